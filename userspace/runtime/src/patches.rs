//! Windows of a host tensor as pixels (im2col).

use ferrite_compiler::executable::{Patches, Port};
use std::ops::Range;

/// Elements of the host tensor.
pub fn elements(patches: &Patches) -> usize {
    let sides = patches.image.iter();
    sides.fold(patches.images, |all, &side| all.saturating_mul(side))
}

/// The rows of a map whose pixels are windows of a host tensor.
pub struct Rows<'a> {
    patches: &'a Patches,
    host: &'a [u8],
    /// Rows of the map for an image.
    height: usize,
    columns: usize,
    /// What windows see beyond the edge.
    border: u8,
}

impl<'a> Rows<'a> {
    /// Of a port and its host tensor, which has the size that the patches say; None if they do not make
    /// the port's map.
    pub fn of(port: &Port, patches: &'a Patches, host: &'a [u8]) -> Option<Self> {
        let [rows, columns, channels] = port.shape;
        let [kh, kw] = patches.kernel;
        let [h, w, c] = patches.image;
        // Nothing that is computed of these overflows.
        let pairs = [
            patches.kernel,
            patches.stride,
            patches.dilation,
            patches.pad,
        ];
        let mut sizes = pairs
            .iter()
            .flatten()
            .chain(&port.shape)
            .chain(&patches.image);
        let small = sizes.all(|&size| size < 1 << 20);
        let fits = small
            && port.dtype.size() == 1
            && kh * kw * c == channels
            && patches.images > 0
            && rows.is_multiple_of(patches.images)
            && h * w * c * columns > 0
            && patches.dilation.iter().all(|&step| step > 0);
        fits.then(|| Rows {
            patches,
            host,
            height: rows / patches.images,
            columns,
            border: port.pad_value.wrapping_sub(port.bias),
        })
    }

    /// Room for some pixels.
    pub fn buffer(&self, pixels: usize) -> Vec<u8> {
        let [kh, kw] = self.patches.kernel;
        vec![0; pixels * kh * kw * self.patches.image[2]]
    }

    /// Writes some pixels of row `y`, one after the other.
    pub fn write(&self, y: usize, columns: Range<usize>, row: &mut [u8]) {
        let Patches {
            image: [h, w, c],
            kernel: [kh, kw],
            stride,
            dilation,
            pad,
            ..
        } = *self.patches;
        let image = self.image(y);
        let top = y % self.height * stride[0];
        for (x, pixel) in columns.zip(row.chunks_exact_mut(kh * kw * c)) {
            for (ky, taps) in pixel.chunks_exact_mut(kw * c).enumerate() {
                let line = (top + ky * dilation[0]).checked_sub(pad[0]);
                let Some(line) = line.filter(|&line| line < h) else {
                    taps.fill(self.border);
                    continue;
                };
                for (kx, to) in taps.chunks_exact_mut(c).enumerate() {
                    let column = (x * stride[1] + kx * dilation[1]).checked_sub(pad[1]);
                    match column.filter(|&column| column < w) {
                        Some(column) => to.copy_from_slice(&image[(line * w + column) * c..][..c]),
                        None => to.fill(self.border),
                    }
                }
            }
        }
    }

    /// Pixels of row `y` that lie in the host tensor as they are, and a multiple of `step` bytes apart:
    /// windows of one line inside the image, with at least `bytes` bytes from the start of each on.
    pub fn whole(&self, y: usize, bytes: usize) -> Whole<'a> {
        let none = Whole {
            columns: 0..0,
            bytes: &[],
            step: 0,
        };
        let Patches {
            image: [h, w, c],
            kernel: [kh, kw],
            stride: [_, stride],
            dilation: [_, dilation],
            pad: [above, before],
            ..
        } = *self.patches;
        let line = (y % self.height * self.patches.stride[0]).checked_sub(above);
        let Some(line) = line.filter(|&line| line < h) else {
            return none;
        };
        if kh != 1 || kw > 1 && dilation != 1 || stride == 0 || kw > w {
            return none;
        }
        let first = before.div_ceil(stride).min(self.columns);
        let Some(column) = (first * stride).checked_sub(before) else {
            return none;
        };
        let from = (line * w + column) * c;
        let bytes_left = self.image(y).get(from..).unwrap_or_default();
        let inside = (w + before - kw) / stride + 1;
        let readable = match bytes_left.len().checked_sub(bytes) {
            Some(more) => first + more / (stride * c) + 1,
            None => first,
        };
        Whole {
            columns: first..inside.min(readable).min(self.columns).max(first),
            bytes: bytes_left,
            step: stride * c,
        }
    }

    /// The image that row `y` is made of.
    fn image(&self, y: usize) -> &'a [u8] {
        let size: usize = self.patches.image.iter().product();
        &self.host[y / self.height * size..][..size]
    }
}

/// Neighbouring pixels of a row, in a host tensor.
pub struct Whole<'a> {
    /// Which they are.
    pub columns: Range<usize>,
    /// The tensor from the first one on.
    pub bytes: &'a [u8],
    /// From one to the next.
    pub step: usize,
}
