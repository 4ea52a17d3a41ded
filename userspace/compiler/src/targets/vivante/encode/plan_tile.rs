//! Output tiles of a layer, and the superblocks that its kernels are held in.
//!
//! The rules are those of the vendor's compiler as far as Mesa follows them: a core's input buffer
//! holds [`INPUT_DEPTH`] lines of a tile, more where tiles are narrow enough to share a line, its
//! accumulators [`ACCUM_DEPTH`] rows.

use crate::targets::vivante::chip::{ACCUM_DEPTH, CORES, INPUT_DEPTH, MAX_KERNELS, MAX_TILE_X};

/// What matters of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Output columns, before pooling.
    pub width: usize,
    /// Output rows, before pooling.
    pub height: usize,
    /// Output channels.
    pub outputs: usize,
    /// Taps along an axis.
    pub kernel: usize,
    /// Whether only every second row and column is kept.
    pub pooled: bool,
}

/// How the layer is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Tile columns.
    pub tile_x: usize,
    /// Tile rows.
    pub tile_y: usize,
    /// Passes over a tile.
    pub superblocks: usize,
    /// Kernels of a core in one pass.
    pub kernels_per_core: usize,
}

/// Lines that share one line of a core's buffers.
fn interleave(tile_x: usize, kernel: usize) -> usize {
    let span = kernel - 1 + tile_x;
    let by_width = match tile_x {
        33.. => 1,
        17.. => 2,
        9.. => 4,
        _ => 8,
    };
    match span {
        37.. => 1,
        19.. => by_width.min(4),
        _ => by_width.min(2),
    }
}

impl Shape {
    /// Plans tiles and superblocks.
    pub fn plan(self) -> Plan {
        let tile_x = self.width.min(MAX_TILE_X);
        let lines = interleave(tile_x, self.kernel);
        let mut tile_y = (INPUT_DEPTH * lines + 1).saturating_sub(self.kernel);
        tile_y = tile_y.min(lines * ACCUM_DEPTH).min(self.height);
        if self.pooled {
            tile_y -= tile_y % 2;
        }
        tile_y = tile_y.max(1);
        let per_core = self.outputs.div_ceil(CORES);
        let mut held = ACCUM_DEPTH * lines / tile_y;
        if self.kernel == 1 {
            held = held.min(ACCUM_DEPTH / 3);
        }
        held = held.min(per_core).clamp(1, MAX_KERNELS);
        let passes = self.outputs.div_ceil(CORES * held);
        let balanced = self.outputs.div_ceil(passes * CORES);
        let superblocks = per_core.div_ceil(balanced);
        Plan {
            tile_x,
            tile_y,
            superblocks,
            kernels_per_core: per_core.div_ceil(superblocks),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values that Mesa's compiler arrives at for layers of the MobileNets.
    #[test]
    fn plans_agree_with_those_that_run_on_silicon() {
        for (width, outputs, kernel, pooled, expected) in [
            (112, 32, 2, true, [64, 10, 1, 4]),
            (112, 32, 3, false, [64, 10, 1, 4]),
            (112, 64, 1, false, [64, 12, 2, 4]),
            (112, 64, 3, true, [64, 10, 2, 4]),
            (56, 128, 1, false, [56, 12, 4, 4]),
            (56, 128, 3, false, [56, 10, 3, 6]),
            (28, 256, 1, false, [28, 24, 7, 5]),
            (28, 256, 3, false, [28, 22, 7, 5]),
            (14, 512, 1, false, [14, 14, 8, 8]),
            (7, 1024, 1, false, [7, 7, 8, 16]),
            (1, 1001, 1, false, [1, 1, 6, 21]),
            (28, 64, 5, false, [28, 20, 2, 4]),
        ] {
            let plan = Shape {
                width,
                height: width,
                outputs,
                kernel,
                pooled,
            }
            .plan();
            let found = [
                plan.tile_x,
                plan.tile_y,
                plan.superblocks,
                plan.kernels_per_core,
            ];
            assert_eq!(
                found, expected,
                "{width}x{width}x{outputs}, kernel {kernel}"
            );
        }
    }
}
