//! Feature maps with a border of their zero point, converted on the way: the form in which windows need
//! no bounds checks and padding contributes nothing.

use super::KernelError;
use super::window::Axis;
use crate::memory::{self, OutOfMemory};
use bytemuck::Pod;
use ferrite_process::parallel;

/// Geometry of the map of one batch entry with its border.
pub(super) struct Frame {
    height: usize,
    width: usize,
    channels: usize,
    top: usize,
    left: usize,
    rows: usize,
    /// Elements from pixel to pixel.
    pub pixel: usize,
    /// Elements from row to row.
    pub row: usize,
}

/// Largest map in elements.
const MAX_ELEMENTS: usize = 1 << 30;

impl Frame {
    /// A frame that holds everything the windows along `y` and `x` reach. `copies` repeats each
    /// channel (depth multiplier); pixels are padded to a multiple of `align` channels.
    pub fn new(
        y: &Axis,
        x: &Axis,
        channels: usize,
        copies: usize,
        align: usize,
    ) -> Result<Frame, KernelError> {
        let (top, rows) = extent(y);
        let (left, columns) = extent(x);
        let too_large = || KernelError::TooLarge {
            shape: vec![rows, columns, channels, copies],
        };
        let pixel = channels
            .checked_mul(copies)
            .and_then(|c| c.checked_next_multiple_of(align))
            .ok_or_else(too_large)?;
        let row = columns.checked_mul(pixel).ok_or_else(too_large)?;
        rows.checked_mul(row)
            .filter(|&n| n <= MAX_ELEMENTS)
            .ok_or_else(too_large)?;
        Ok(Frame {
            height: y.input,
            width: x.input,
            channels,
            top,
            left,
            rows,
            pixel,
            row,
        })
    }

    /// Element offset that a tap at input offset (`dy`, `dx`) adds to a window's origin.
    pub fn tap(&self, dy: i64, dx: i64) -> usize {
        let row = (dy + self.top as i64) as usize;
        let column = (dx + self.left as i64) as usize;
        row * self.row + column * self.pixel
    }

    /// Whether there is no border.
    fn is_bare(&self) -> bool {
        self.rows == self.height && self.row == self.width * self.channels
    }

    /// Lays out one batch entry, each element as `convert` makes it. `tail` more of the border follow
    /// the last pixel.
    pub fn lay_out<T: Copy + Sync, E: Pod + Send + Sync>(
        &self,
        source: &[T],
        border: E,
        (copies, tail): (usize, usize),
        convert: impl Fn(T) -> E + Sync,
    ) -> Result<Vec<E>, OutOfMemory> {
        if copies == 1 && self.is_bare() {
            let mut data = memory::room(source.len() + tail)?;
            data.extend(source.iter().map(|&x| convert(x)));
            data.resize(source.len() + tail, border);
            return Ok(data);
        }
        let mut data = memory::repeated(border, self.rows * self.row + tail)?;
        let line = self.width * self.channels;
        let interior = &mut data[self.top * self.row..][..self.height * self.row];
        parallel::chunks_mut_grouped(interior, self.row, 16, |y, to| {
            let from = &source[y * line..][..line];
            let to = &mut to[self.left * self.pixel..];
            if copies == 1 && self.pixel == self.channels {
                for (t, &f) in to.iter_mut().zip(from) {
                    *t = convert(f);
                }
                return;
            }
            for (to, from) in to
                .chunks_exact_mut(self.pixel)
                .zip(from.chunks_exact(self.channels))
            {
                for (t, &f) in to.chunks_exact_mut(copies).zip(from) {
                    t.fill(convert(f));
                }
            }
        });
        Ok(data)
    }
}

/// Border in front of the input and total extent along one axis.
fn extent(axis: &Axis) -> (usize, usize) {
    let live = axis.live_taps();
    let lowest = live.first().map_or(0, |t| t.1).min(0);
    let last = ((axis.output - 1) * axis.stride) as i64;
    let highest = live.last().map_or(0, |t| t.1 + last);
    let before = -lowest as usize;
    let after = (highest - (axis.input as i64 - 1)).max(0) as usize;
    (before, before + axis.input + after)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferrite_ir::op::Padding;

    #[test]
    fn borders_are_zero_and_channels_repeat() {
        let axis = Axis::new(2, 3, 1, 1, Padding::Same).unwrap();
        let frame = Frame::new(&axis, &axis, 2, 2, 8).unwrap();
        assert_eq!((frame.pixel, frame.row), (8, 32));
        let data = frame
            .lay_out(&[1, 2, 3, 4, 5, 6, 7, 8], 0i16, (2, 1), |v: i16| v - 10)
            .unwrap();
        assert_eq!(data.len(), 4 * 32 + 1);
        assert_eq!(data[32 + 8..][..5], [-9, -9, -8, -8, 0]);
        assert!(data[..32].iter().all(|&v| v == 0));
        assert_eq!(frame.tap(-1, -1), 0);
    }

    #[test]
    fn huge_dilation_needs_no_huge_border() {
        let axis = Axis::new(33, 3, 1, 1 << 20, Padding::Same).unwrap();
        let frame = Frame::new(&axis, &axis, 1, 1, 1).unwrap();
        assert_eq!(frame.row, 33);
    }
}
