//! The inner loops of direct convolution: tiles of 8 pixels by 32 kernels.
//!
//! Data and weights are int16 pairs in 32-bit words, so that one multiply-add instruction takes two
//! channels of 8 (AVX2) or 16 (AVX-512) kernels. Which one is decided at run time.

use ferrite_simd::{self as simd, Isa, Loop, PairRow};

/// Kernels of a tile.
pub(crate) const LANES: usize = 32;
/// Pixels of a tile.
pub(crate) const PIXELS: usize = 8;

/// Accumulators of a tile, `[pixel][kernel]`.
pub(crate) type Tile = [[i32; LANES]; PIXELS];

/// The part of the data that a tile needs.
pub(crate) struct Window<'a> {
    /// Pairs of channels.
    pub data: &'a [i32],
    /// First pair of each pixel's window.
    pub pixels: [usize; PIXELS],
    /// Start of each contiguous run of a window, relative to its first pair.
    pub runs: &'a [usize],
    /// Length of each run, in pairs.
    pub run: usize,
}

/// Calls `f` for each tile of a range of windows, all with one set of weights.
pub(crate) fn tiles<'a>(
    weights: &[i32],
    windows: impl Iterator<Item = Window<'a>>,
    f: impl FnMut(usize, &Tile),
) {
    simd::run(Tiles {
        weights,
        windows,
        f,
    });
}

struct Tiles<'w, W, F> {
    weights: &'w [i32],
    windows: W,
    f: F,
}

impl<'a, W: Iterator<Item = Window<'a>>, F: FnMut(usize, &Tile)> Loop for Tiles<'_, W, F> {
    #[inline(always)]
    fn run<I: Isa, const TILE: usize, const BLOCKS: usize>(mut self, isa: I) {
        // Half of the kernels to a row.
        let rows: &[[PairRow; 2]] = bytemuck::cast_slice(self.weights);
        for (i, window) in self.windows.enumerate() {
            let mut tile = [[0; LANES]; PIXELS];
            for first in (0..PIXELS).step_by(TILE) {
                for half in (0..2).step_by(BLOCKS) {
                    part::<I, TILE, BLOCKS>(isa, rows, &window, first, half, &mut tile);
                }
            }
            (self.f)(i, &tile);
        }
    }
}

/// Computes `TILE` pixels and `BLOCKS` halves of the kernels of a tile.
#[inline(always)]
fn part<I: Isa, const TILE: usize, const BLOCKS: usize>(
    isa: I,
    rows: &[[PairRow; 2]],
    window: &Window<'_>,
    first: usize,
    half: usize,
    tile: &mut Tile,
) {
    let mut acc = [[isa.splat(0); BLOCKS]; TILE];
    let mut rows = rows;
    for &start in window.runs {
        let (now, later) = rows.split_at(window.run);
        rows = later;
        let mut data: [&[i32]; TILE] = [&[]; TILE];
        for (data, pixel) in data.iter_mut().zip(&window.pixels[first..]) {
            *data = &window.data[pixel + start..][..window.run];
        }
        for (k, row) in now.iter().enumerate() {
            for (acc, data) in acc.iter_mut().zip(data) {
                let pair = bytemuck::cast(data[k]);
                for (acc, row) in acc.iter_mut().zip(&row[half..]) {
                    *acc = isa.add_pairs(*acc, pair, row);
                }
            }
        }
    }
    for (lanes, acc) in tile[first..].iter_mut().zip(acc) {
        let blocks = lanes.as_chunks_mut().0;
        for (to, acc) in blocks[half..].iter_mut().zip(acc) {
            *to = isa.lanes(acc);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by_definition(weights: &[i32], window: &Window<'_>) -> Tile {
        let mut tile = [[0; LANES]; PIXELS];
        for (r, &start) in window.runs.iter().enumerate() {
            let rows = weights[r * window.run * LANES..].chunks_exact(LANES);
            for (k, row) in rows.take(window.run).enumerate() {
                for (acc, pixel) in tile.iter_mut().zip(window.pixels) {
                    let data: [i16; 2] = bytemuck::cast(window.data[pixel + start + k]);
                    for (sum, &word) in acc.iter_mut().zip(row) {
                        let weight: [i16; 2] = bytemuck::cast(word);
                        *sum += i32::from(data[0]) * i32::from(weight[0])
                            + i32::from(data[1]) * i32::from(weight[1]);
                    }
                }
            }
        }
        tile
    }

    #[test]
    fn tiles_are_sums_of_products() {
        let mut state = 1u32;
        let mut word = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let pair = [(state >> 8) as i8, (state >> 16) as i8].map(i16::from);
            bytemuck::cast::<_, i32>(pair)
        };
        let data: Vec<i32> = (0..400).map(|_| word()).collect();
        let weights: Vec<i32> = (0..3 * 20 * LANES).map(|_| word()).collect();
        let window = Window {
            data: &data,
            pixels: std::array::from_fn(|p| p * 31),
            runs: &[0, 50, 120],
            run: 20,
        };
        let expected = by_definition(&weights, &window);
        assert_ne!(expected[0], expected[1]);
        let mut count = 0;
        tiles(&weights, std::iter::once(window), |_, tile| {
            assert_eq!(*tile, expected);
            count += 1;
        });
        assert_eq!(count, 1);
    }
}
