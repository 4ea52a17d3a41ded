//! Depthwise convolution of one group of 64 channels.

use super::BLOCK;
use super::cna::{Conv, DEPTHWISE_GROUP};
use super::features::Panel;
use bytemuck::cast_slice;
use ferrite_simd::{self as simd, Isa, LANES, Loop};
use std::ops::Range;

const GROUP: usize = DEPTHWISE_GROUP as usize;

/// Computes rows of output sums and passes them on in blocks of pixels, `[pixel][channel]`, with the
/// index of the block's first pixel within the rows.
pub(super) fn rows(
    conv: &Conv,
    panel: &Panel,
    group: usize,
    rows: Range<usize>,
    weights: &[i32],
    emit: &mut impl FnMut(usize, &[i32]),
) {
    let width = conv.out_width as usize;
    let start = |pixel: usize| {
        let (y, x) = (rows.start + pixel / width, pixel % width);
        let pixel = panel.pixel(y * conv.stride[0] as usize, x * conv.stride[1] as usize);
        2 * pixel + group * GROUP
    };
    simd::run(Pixels {
        values: panel.values(),
        count: rows.len() * width,
        start,
        taps: &tap_offsets(conv, panel),
        depth: (panel.channels - group * GROUP).min(GROUP),
        weights,
        emit,
    });
}

struct Pixels<'a, S, E> {
    values: &'a [i16],
    count: usize,
    /// Where the window of a pixel begins.
    start: S,
    taps: &'a [usize],
    depth: usize,
    weights: &'a [i32],
    emit: &'a mut E,
}

impl<S: Fn(usize) -> usize, E: FnMut(usize, &[i32])> Loop for Pixels<'_, S, E> {
    #[inline(always)]
    fn run<I: Isa, const TILE: usize, const BLOCKS: usize>(self, isa: I) {
        let mut block = [0; BLOCK * GROUP];
        for first in (0..self.count).step_by(BLOCK) {
            let count = (self.count - first).min(BLOCK);
            for at in (0..count).step_by(TILE) {
                // A last, partial tile computes its last pixel several times.
                let mut windows: [&[i16]; TILE] = [&[]; TILE];
                for (i, window) in windows.iter_mut().enumerate() {
                    *window = &self.values[(self.start)(first + (at + i).min(count - 1))..];
                }
                for channel in (0..self.depth / LANES * LANES).step_by(LANES) {
                    let mut acc = [isa.splat(0); TILE];
                    for (t, &tap) in self.taps.iter().enumerate() {
                        let row = &self.weights[t * self.depth + channel..][..LANES];
                        let Some(row) = cast_slice(row).first_chunk() else {
                            continue;
                        };
                        for (acc, window) in acc.iter_mut().zip(windows) {
                            if let Some(x) = window[tap + channel..].first_chunk() {
                                *acc = isa.add_lanes(*acc, x, row);
                            }
                        }
                    }
                    let pixels = block.chunks_exact_mut(GROUP).skip(at).take(TILE);
                    for (sums, acc) in pixels.zip(acc) {
                        sums[channel..][..LANES].copy_from_slice(&isa.lanes(acc));
                    }
                }
            }
            self.rest(first, &mut block[..count * GROUP]);
            (self.emit)(first, &block[..count * GROUP]);
        }
    }
}

impl<S: Fn(usize) -> usize, E> Pixels<'_, S, E> {
    /// Channels that fill no vector, of pixels from `first` on.
    fn rest(&self, first: usize, block: &mut [i32]) {
        let rest = self.depth / LANES * LANES..self.depth;
        if rest.is_empty() {
            return;
        }
        for (at, sums) in block.chunks_exact_mut(GROUP).enumerate() {
            let window = &self.values[(self.start)(first + at)..];
            for channel in rest.clone() {
                let products = self.taps.iter().enumerate().map(|(t, &tap)| {
                    let [weight, _]: [i16; 2] =
                        bytemuck::cast(self.weights[t * self.depth + channel]);
                    i32::from(window[tap + channel]) * i32::from(weight)
                });
                sums[channel] = products.sum();
            }
        }
    }
}

/// Offset of each tap from the window's first value.
fn tap_offsets(conv: &Conv, panel: &Panel) -> Vec<usize> {
    let [dy, dx] = conv.dilation.map(|d| d as usize);
    let [height, width] = conv.kernel.map(|k| k as usize);
    (0..height)
        .flat_map(|ky| (0..width).map(move |kx| (ky, kx)))
        .map(|(ky, kx)| 2 * panel.pixel(ky * dy, kx * dx))
        .collect()
}
