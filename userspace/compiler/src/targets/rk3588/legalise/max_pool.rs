//! MAX_POOL_2D from additions that saturate.
//!
//! The PPU's 8-bit pooling is only inferred from registers. But the larger of two values is
//! `a + max(b - a, 0)`, and a difference of 8-bit values that is cut off below zero fits 8 bits: a
//! depthwise layer with the weights -1 and 1 makes it, its saturation being the cut, and a residual
//! addition adds it to `a`. Each such step takes the maximum of a map and itself moved by some pixels,
//! so that a window of k takes about log2(k) steps along each axis. Nothing is rounded.

use ferrite_ir::op::Hw;
use ferrite_ir::{DType, OpId};

use super::add::slices;
use super::finish::finish;
use super::pointwise::cascade;
use crate::error::Unsupported;
use crate::lowered::Lowered;
use crate::npu::{Item, Pool};
use crate::targets::rk3588::context::Context;
use crate::targets::rk3588::numbers::clamp::clamp_shifts;
use crate::targets::rk3588::numbers::quant::{Multiplier, Scaling};
use crate::targets::rk3588::program::{
    Addend, Combine, Layer, Mode, PROVEN, Rect, Side, Stage, Taps, Tiles, Weights,
};

/// The lowest stored value: what padding holds, and what no difference is written as.
const LOWEST: i8 = -128;

/// Maximum of a map and itself moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Step {
    /// Rows and columns from an element to the one it is compared with; one of them is 0.
    shift: [isize; 2],
    /// Elements from one to the next of those that are kept.
    stride: Hw,
}

/// Layers for a maximum pooling.
pub fn max_pool(
    ctx: &mut Context,
    item: &Item,
    pool: &Pool,
) -> Result<Lowered<Layer>, Unsupported> {
    let &Pool {
        images: n,
        input_size: Hw { h, w },
        output_size: Hw { h: oh, w: ow },
        channels: c,
        window,
        pad,
        ..
    } = pool;
    let (op, output) = (item.op, ctx.result(item.op));
    let (from, to) = (ctx.stored(pool.input)?, ctx.stored(output)?);
    if from != to {
        return Err(Unsupported::new(format!(
            "a maximum pooling from scale {} to scale {}",
            from.scale, to.scale
        )));
    }
    let stride = Hw {
        h: if oh == 1 { 1 } else { pool.stride.h },
        w: if ow == 1 { 1 } else { pool.stride.w },
    };
    let chip = ctx.chip();
    if stride.h.max(stride.w) > chip.max_stride {
        return Err(Unsupported::new(format!(
            "stride {} x {} exceeds the hardware's {}",
            stride.h, stride.w, chip.max_stride
        )));
    }
    // No window reaches farther than the map.
    let around = |size: usize, window: usize, before: usize| {
        [before.min(size - 1), (window - 1 - before).min(size - 1)]
    };
    let steps = steps(
        [around(h, window.h, pad.h), around(w, window.w, pad.w)],
        stride,
        chip.max_pad,
    );
    let (offset, shifts) = clamp_shifts(0, item.range);
    let (source, target) = (ctx.side(pool.input)?, ctx.side(output)?);
    let image = |side: Side, size: Hw, at: usize| Side {
        channels: c,
        grid: Hw {
            h: n * size.h,
            w: size.w,
        },
        rect: Rect {
            y: at * size.h,
            x: 0,
            h: size.h,
            w: size.w,
        },
        ..side
    };
    let mut layers = Vec::new();
    for at in 0..n {
        let mut map = image(source, Hw { h, w }, at);
        let target = image(target, Hw { h: oh, w: ow }, at);
        for (i, step) in steps.iter().enumerate() {
            let last = i + 1 == steps.len();
            let into = match last {
                true => target,
                false => {
                    let kept = |size: usize, stride: usize, outputs: usize| match stride {
                        1 => size,
                        _ => outputs,
                    };
                    scratch(
                        ctx,
                        Hw {
                            h: kept(map.rect.h, step.stride.h, oh),
                            w: kept(map.rect.w, step.stride.w, ow),
                        },
                        c,
                    )
                }
            };
            step.lower(
                ctx,
                op,
                map,
                into,
                if last { offset } else { 0 },
                &mut layers,
            )?;
            map = into;
        }
    }
    cascade(ctx, &mut layers, op, output, &shifts)?;
    let name = "maximum pooling by saturating additions";
    Ok(Lowered::new(name, PROVEN, layers))
}

/// The steps for windows that reach so far before and behind an element along rows and columns, of
/// `farthest` elements at most. At least one.
fn steps(around: [[usize; 2]; 2], stride: Hw, farthest: usize) -> Vec<Step> {
    let one = Hw { h: 1, w: 1 };
    let mut steps = Vec::new();
    // Columns first: what the stride leaves out need not be compared along the other axis.
    for axis in [1, 0] {
        let [before, behind] = around[axis];
        let mut reached = [0, 0];
        while reached != [before, behind] {
            let seen = reached[0] + reached[1] + 1;
            let left = [before - reached[0], behind - reached[1]];
            let side = usize::from(left[1] > 0);
            // An element that is moved over the border takes what it has seen inside along with it,
            // unless that lies next to it.
            let distance = match side == 0 && reached[1] > 0 {
                true => 1,
                false => left[side].min(seen).min(farthest),
            };
            reached[side] += distance;
            let mut shift = [0, 0];
            shift[axis] = if side == 1 { 1 } else { -1 } * distance as isize;
            steps.push(Step { shift, stride: one });
        }
        if let Some(last) = steps.last_mut() {
            match axis {
                1 => last.stride.w = stride.w,
                _ => {
                    last.stride = Hw {
                        h: stride.h,
                        w: last.stride.w,
                    }
                }
            }
        }
    }
    if around[1] == [0, 0]
        && let Some(last) = steps.last_mut()
    {
        last.stride.w = stride.w;
    }
    if steps.is_empty() {
        // A copy of what the stride keeps: nothing exceeds itself.
        steps.push(Step {
            shift: [0, 0],
            stride,
        });
    }
    steps
}

/// A new cube of one image.
fn scratch(ctx: &mut Context, size: Hw, channels: usize) -> Side {
    let cube = ctx
        .program_mut()
        .add_cube([size.h, size.w, channels], DType::I8, None);
    Side {
        cube,
        surface: 0,
        channels,
        grid: size,
        rect: Rect {
            y: 0,
            x: 0,
            h: size.h,
            w: size.w,
        },
    }
}

impl Step {
    /// The layers from `map` to `into`, the last with `offset` added.
    fn lower(
        self,
        ctx: &mut Context,
        op: OpId,
        map: Side,
        into: Side,
        offset: i32,
        layers: &mut Vec<Layer>,
    ) -> Result<(), Unsupported> {
        let out = Hw {
            h: into.rect.h,
            w: into.rect.w,
        };
        // As many rows and columns as are kept, and where the moved map begins behind.
        let seen = |axis: usize, shift: isize| {
            let (size, out, stride) = match axis {
                0 => (map.rect.h, out.h, self.stride.h),
                _ => (map.rect.w, out.w, self.stride.w),
            };
            ((out - 1) * stride + 1 + shift.max(0) as usize).min(size)
        };
        let part = |side: Side, shift: [isize; 2]| Side {
            rect: Rect {
                h: seen(0, shift[0]),
                w: seen(1, shift[1]),
                ..side.rect
            },
            ..side
        };
        let distance = self.shift.map(isize::unsigned_abs);
        let kernel = Hw {
            h: distance[0] + 1,
            w: distance[1] + 1,
        };
        let one = Hw { h: 1, w: 1 };
        let base = Layer {
            op,
            lowering: "max",
            evidence: PROVEN,
            mode: Mode::Direct,
            input: part(map, [0, 0]),
            output: into,
            kernel: one,
            stride: self.stride,
            dilation: one,
            pad: Hw { h: 0, w: 0 },
            pad_value: LOWEST,
            weights: Weights::Identity(1),
            taps: Taps::all(one),
            weight_zero: 0,
            bias: vec![0; map.channels],
            stage: Stage::narrow(Scaling::ONE, offset),
            addend: None,
            tiles: Tiles::new(),
            cores: 1,
            band: None,
        };
        if self.shift == [0, 0] {
            let mut copy = Layer {
                mode: Mode::Depthwise,
                weights: Weights::Constant(1),
                ..base
            };
            finish(ctx, &mut copy)?;
            layers.push(copy);
            return Ok(());
        }
        // Moved on: the element itself is the kernel's first tap, otherwise its last.
        let ahead = self.shift.iter().sum::<isize>() > 0;
        let mut weights = vec![0; kernel.h * kernel.w];
        let last = weights.len() - 1;
        (weights[0], weights[last]) = if ahead { (-1, 1) } else { (1, -1) };
        let excess = scratch(ctx, out, map.channels);
        let mut layer = Layer {
            mode: Mode::Depthwise,
            input: part(map, self.shift),
            output: excess,
            kernel,
            pad: match ahead {
                true => Hw { h: 0, w: 0 },
                false => Hw {
                    h: distance[0],
                    w: distance[1],
                },
            },
            weights: Weights::Taps(weights),
            taps: Taps::all(kernel),
            stage: Stage::narrow(Scaling::ONE, i32::from(LOWEST)),
            ..base.clone()
        };
        finish(ctx, &mut layer)?;
        layers.push(layer);
        for (start, count) in slices(map.channels) {
            let part = |side: Side| Side {
                surface: side.surface + start / ctx.chip().atom_channels(1),
                channels: count,
                ..side
            };
            let mut layer = Layer {
                input: part(base.input),
                output: part(base.output),
                bias: vec![0; count],
                addend: Some(Addend {
                    side: part(excess),
                    offset: -i32::from(LOWEST),
                    multiplier: Multiplier { scale: 1, shift: 0 },
                    combine: Combine::Add,
                }),
                ..base.clone()
            };
            finish(ctx, &mut layer)?;
            layers.push(layer);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One row or column through the steps: a set of elements as bits for each element.
    fn run(steps: &[Step], axis: usize, size: usize) -> Vec<u64> {
        let mut map: Vec<u64> = (0..size).map(|at| 1 << at).collect();
        for step in steps {
            let moved = |at: usize| at.checked_add_signed(step.shift[axis]);
            let seen = |at: usize| moved(at).and_then(|at| map.get(at)).unwrap_or(&0);
            let stride = if axis == 0 {
                step.stride.h
            } else {
                step.stride.w
            };
            map = (0..map.len())
                .step_by(stride)
                .map(|at| map[at] | seen(at))
                .collect();
        }
        map
    }

    #[test]
    fn steps_see_every_element_of_a_window_and_no_other() {
        let windows = [
            [0, 0],
            [0, 1],
            [1, 1],
            [0, 2],
            [2, 2],
            [3, 3],
            [6, 6],
            [15, 15],
            [0, 30],
        ];
        for rows in windows {
            for columns in windows {
                let stride = Hw { h: 2, w: 3 };
                let steps = steps([rows, columns], stride, 15);
                for (axis, [before, behind], stride) in [(0, rows, 2), (1, columns, 3)] {
                    let wanted: Vec<u64> = (0..40_usize)
                        .step_by(stride)
                        .map(|at| {
                            (at.saturating_sub(before)..=(at + behind).min(39))
                                .fold(0, |set, at| set | 1 << at)
                        })
                        .collect();
                    assert_eq!(run(&steps, axis, 40), wanted, "{rows:?} {columns:?}");
                }
            }
        }
    }

    #[test]
    fn windows_without_a_border_behind_double() {
        let one = Hw { h: 1, w: 1 };
        assert_eq!(steps([[0, 1], [0, 1]], one, 15).len(), 2);
        assert_eq!(steps([[1, 1], [1, 1]], one, 15).len(), 4);
        assert_eq!(steps([[0, 0], [0, 30]], one, 15).len(), 5);
    }

    #[test]
    fn a_window_of_one_is_a_copy() {
        let copy = steps([[0, 0], [0, 0]], Hw { h: 2, w: 2 }, 15);
        assert_eq!(copy.len(), 1);
        assert_eq!(copy[0].shift, [0, 0]);
    }
}
