//! Windows of a host tensor as pixels (im2col).

use ferrite_compiler::executable::{Patches, Port};

use crate::layout::LayoutError;

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
    /// What windows see beyond the edge.
    border: u8,
}

impl<'a> Rows<'a> {
    /// Of a port and its host tensor, which has the size that the patches say.
    pub fn of(port: &Port, patches: &'a Patches, host: &'a [u8]) -> Result<Self, LayoutError> {
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
        if !fits {
            return Err(LayoutError::Patches {
                rows,
                columns,
                channels,
            });
        }
        Ok(Rows {
            patches,
            host,
            height: rows / patches.images,
            border: port.pad_value.wrapping_sub(port.bias),
        })
    }

    /// Writes row `y`: its pixels, one after the other.
    pub fn write(&self, y: usize, row: &mut [u8]) {
        let Patches {
            image: [h, w, c],
            kernel: [kh, kw],
            stride,
            dilation,
            pad,
            ..
        } = *self.patches;
        let pixel = kh * kw * c;
        let image = &self.host[y / self.height * (h * w * c)..][..h * w * c];
        let top = y % self.height * stride[0];
        for ky in 0..kh {
            let taps = ky * kw * c..(ky + 1) * kw * c;
            let pixels = row.chunks_exact_mut(pixel).map(|to| &mut to[taps.clone()]);
            let inside = (top + ky * dilation[0]).checked_sub(pad[0]);
            let Some(line) = inside.filter(|&line| line < h) else {
                pixels.for_each(|to| to.fill(self.border));
                continue;
            };
            let line = &image[line * w * c..][..w * c];
            for (x, to) in pixels.enumerate() {
                let left = x * stride[1];
                if dilation[1] == 1 && left >= pad[1] && left - pad[1] + kw <= w {
                    to.copy_from_slice(&line[(left - pad[1]) * c..][..kw * c]);
                    continue;
                }
                for (kx, to) in to.chunks_exact_mut(c).enumerate() {
                    let column = (left + kx * dilation[1]).checked_sub(pad[1]);
                    match column.filter(|&column| column < w) {
                        Some(column) => to.copy_from_slice(&line[column * c..][..c]),
                        None => to.fill(self.border),
                    }
                }
            }
        }
    }
}
