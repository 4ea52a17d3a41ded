//! Direct convolution of one kernel group.

use super::super::mac::{LANES, PIXELS, Tile, Window, tiles};
use super::BLOCK;
use super::cna::Conv;
use super::features::Panel;
use std::ops::Range;

/// Computes rows of output sums and passes them on in blocks of pixels, `[pixel][kernel]`, with the
/// index of the block's first pixel within the rows.
pub(super) fn rows(
    conv: &Conv,
    panel: &Panel,
    rows: Range<usize>,
    weights: &[i32],
    emit: &mut impl FnMut(usize, &[i32]),
) {
    let width = conv.out_width as usize;
    let pixels = rows.len() * width;
    let stride = conv.stride.map(|s| s as usize);
    let window_start = |pixel: usize| {
        let pixel = pixel.min(pixels - 1);
        panel.pixel(
            (rows.start + pixel / width) * stride[0],
            pixel % width * stride[1],
        )
    };
    let (runs, run) = contiguous_runs(conv, panel);
    let windows = (0..pixels.div_ceil(PIXELS)).map(|tile| Window {
        data: &panel.pairs,
        pixels: std::array::from_fn(|p| window_start(tile * PIXELS + p)),
        runs: &runs,
        run,
    });
    let mut block = [0; BLOCK * LANES];
    let last = pixels.div_ceil(PIXELS) - 1;
    tiles(
        weights,
        windows,
        #[inline(always)]
        |tile, sums: &Tile| {
            let at = tile * PIXELS % BLOCK;
            block[at * LANES..][..PIXELS * LANES].copy_from_slice(sums.as_flattened());
            if at + PIXELS == BLOCK || tile == last {
                let first = tile * PIXELS / BLOCK * BLOCK;
                emit(first, &block[..(pixels - first).min(BLOCK) * LANES]);
            }
        },
    );
}

/// The pieces of a kernel window that are contiguous in the panel: whole rows of the kernel, or
/// single pixels if it is dilated.
fn contiguous_runs(conv: &Conv, panel: &Panel) -> (Vec<usize>, usize) {
    let [height, width] = conv.kernel.map(|k| k as usize);
    let [dy, dx] = conv.dilation.map(|d| d as usize);
    if dx == 1 {
        let starts = (0..height).map(|ky| panel.pixel(ky * dy, 0)).collect();
        return (starts, width * panel.channels / 2);
    }
    let starts = (0..height)
        .flat_map(|ky| (0..width).map(move |kx| (ky, kx)))
        .map(|(ky, kx)| panel.pixel(ky * dy, kx * dx))
        .collect();
    (starts, panel.channels / 2)
}
