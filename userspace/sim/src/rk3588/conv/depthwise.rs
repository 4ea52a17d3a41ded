//! Depthwise convolution of one group of 64 channels.

use super::super::simd::vectorised;
use super::BLOCK;
use super::cna::{Conv, DEPTHWISE_GROUP};
use super::features::Panel;
use std::ops::Range;

const GROUP: usize = DEPTHWISE_GROUP as usize;
/// Channels whose sums stay in registers.
const LANES: usize = 16;

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
    vectorised(
        #[inline(always)]
        || {
            let width = conv.out_width as usize;
            let pixels = rows.len() * width;
            let taps = tap_offsets(conv, panel);
            let depth = (panel.channels - group * GROUP).min(GROUP);
            let mut block = [0; BLOCK * GROUP];
            for first in (0..pixels).step_by(BLOCK) {
                let count = (pixels - first).min(BLOCK);
                for (i, sums) in block.chunks_exact_mut(GROUP).take(count).enumerate() {
                    let (y, x) = (rows.start + (first + i) / width, (first + i) % width);
                    let start = 2 * panel
                        .pixel(y * conv.stride[0] as usize, x * conv.stride[1] as usize)
                        + group * GROUP;
                    pixel(&panel.values()[start..], &taps, weights, depth, sums);
                }
                emit(first, &block[..count * GROUP]);
            }
        },
    );
}

/// Sums of one pixel. `data` starts at the window's first value.
#[inline(always)]
fn pixel(data: &[i16], taps: &[usize], weights: &[i32], depth: usize, sums: &mut [i32]) {
    let (chunks, _) = pulp::as_arrays_mut::<LANES, _>(sums);
    for (c, out) in chunks.iter_mut().take(depth / LANES).enumerate() {
        let mut acc = [0; LANES];
        for (t, &tap) in taps.iter().enumerate() {
            let values = &data[tap + c * LANES..][..LANES];
            let row = &weights[t * depth + c * LANES..][..LANES];
            for ((sum, &x), &w) in acc.iter_mut().zip(values).zip(row) {
                *sum += i32::from(x) * w;
            }
        }
        *out = acc;
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
