//! The inner loops of direct convolution: tiles of 8 pixels by 32 kernels.
//!
//! Data and weights are int16 pairs in 32-bit words, so that one multiply-add instruction takes two
//! channels of 8 (AVX2) or 16 (AVX-512) kernels. Which one is decided at run time.

use super::simd::Level;
#[cfg(target_arch = "x86_64")]
use super::simd::Once;

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
    mut f: impl FnMut(usize, &Tile),
) {
    match Level::detect() {
        #[cfg(target_arch = "x86_64")]
        Level::Avx512(simd) => pulp::Simd::vectorize(
            simd,
            Once(
                #[inline(always)]
                || {
                    for (i, window) in windows.enumerate() {
                        f(i, &avx512(simd, weights, &window));
                    }
                },
            ),
        ),
        #[cfg(target_arch = "x86_64")]
        Level::Avx2(simd) => pulp::Simd::vectorize(
            simd,
            Once(
                #[inline(always)]
                || {
                    for (i, window) in windows.enumerate() {
                        f(i, &avx2(simd, weights, &window));
                    }
                },
            ),
        ),
        Level::Portable => {
            for (i, window) in windows.enumerate() {
                f(i, &portable(weights, &window));
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn avx512(simd: pulp::x86::V4, weights: &[i32], window: &Window<'_>) -> Tile {
    use std::arch::x86_64::__m512i;
    let zero = simd.avx512f._mm512_setzero_si512();
    let mut acc = [[zero; 2]; PIXELS];
    let mut rows = pulp::as_arrays::<LANES, _>(weights).0;
    for &start in window.runs {
        let (now, later) = rows.split_at(window.run);
        rows = later;
        let data: [&[i32]; PIXELS] =
            std::array::from_fn(|p| &window.data[window.pixels[p] + start..][..window.run]);
        for (k, row) in now.iter().enumerate() {
            let [low, high]: [__m512i; 2] = pulp::cast(*row);
            for p in 0..PIXELS {
                let pair = simd.avx512f._mm512_set1_epi32(data[p][k]);
                let product = simd.avx512bw._mm512_madd_epi16(pair, low);
                acc[p][0] = simd.avx512f._mm512_add_epi32(acc[p][0], product);
                let product = simd.avx512bw._mm512_madd_epi16(pair, high);
                acc[p][1] = simd.avx512f._mm512_add_epi32(acc[p][1], product);
            }
        }
    }
    acc.map(pulp::cast)
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn avx2(simd: pulp::x86::V3, weights: &[i32], window: &Window<'_>) -> Tile {
    use std::arch::x86_64::__m256i;
    /// Pixels at a time: 4 pixels by 2 vectors of kernels fit the 16 registers.
    const STEP: usize = 4;
    let rows = pulp::as_arrays::<LANES, _>(weights).0;
    let mut tile = [[0; LANES]; PIXELS];
    for first in (0..PIXELS).step_by(STEP) {
        for half in 0..2 {
            let zero = simd.avx._mm256_setzero_si256();
            let mut acc = [[zero; 2]; STEP];
            for (r, &start) in window.runs.iter().enumerate() {
                let now = &rows[r * window.run..][..window.run];
                let data: [&[i32]; STEP] = std::array::from_fn(|p| {
                    &window.data[window.pixels[first + p] + start..][..window.run]
                });
                for (k, row) in now.iter().enumerate() {
                    let vectors: [__m256i; 4] = pulp::cast(*row);
                    for p in 0..STEP {
                        let pair = simd.avx._mm256_set1_epi32(data[p][k]);
                        for v in 0..2 {
                            let product = simd.avx2._mm256_madd_epi16(pair, vectors[half * 2 + v]);
                            acc[p][v] = simd.avx2._mm256_add_epi32(acc[p][v], product);
                        }
                    }
                }
            }
            for (p, vectors) in acc.into_iter().enumerate() {
                let lanes: [i32; LANES / 2] = pulp::cast(vectors);
                tile[first + p][half * LANES / 2..][..LANES / 2].copy_from_slice(&lanes);
            }
        }
    }
    tile
}

fn portable(weights: &[i32], window: &Window<'_>) -> Tile {
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

#[cfg(test)]
mod tests {
    use super::*;

    /// All instruction sets that this machine has give the same sums.
    #[test]
    fn instruction_sets_agree() {
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
        let expected = portable(&weights, &window);
        assert_ne!(expected[0], expected[1]);
        tiles(&weights, std::iter::once(window), |_, tile| {
            assert_eq!(*tile, expected);
        });
        #[cfg(target_arch = "x86_64")]
        if let Some(simd) = pulp::x86::V3::try_new() {
            let window = Window {
                data: &data,
                pixels: std::array::from_fn(|p| p * 31),
                runs: &[0, 50, 120],
                run: 20,
            };
            let tile = pulp::Simd::vectorize(
                simd,
                Once(
                    #[inline(always)]
                    || avx2(simd, &weights, &window),
                ),
            );
            assert_eq!(tile, expected);
        }
    }
}
