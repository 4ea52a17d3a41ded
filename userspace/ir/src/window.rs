//! Where the windows of convolutions and poolings lie, by TFLite's rules.

use crate::op::{ConvParams, Hw, Padding, PoolParams};

/// Windows along one axis: how many, and how far they reach over the borders of the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Windows {
    /// Number of windows: the output's size.
    pub output: usize,
    /// Elements of padding before the first element of the input.
    pub before: usize,
    /// Elements of padding after the last one. Only as many as the last window covers.
    pub after: usize,
}

/// Elements from the first to the last tap of a dilated window.
pub const fn extent(taps: usize, dilation: usize) -> usize {
    taps.saturating_sub(1) * dilation + 1
}

/// Windows of `taps` elements `dilation` apart, each `stride` behind the previous one, over
/// `input` elements. `None` if the window does not fit into an input without padding, or a
/// parameter is zero.
///
/// SAME gives ceil(input / stride) windows and puts the smaller half of the padding first.
pub fn windows(
    input: usize,
    taps: usize,
    stride: usize,
    dilation: usize,
    padding: Padding,
) -> Option<Windows> {
    if [input, taps, stride, dilation].contains(&0) {
        return None;
    }
    let extent = extent(taps, dilation);
    let output = match padding {
        Padding::Same => input.div_ceil(stride),
        Padding::Valid => input.checked_sub(extent)? / stride + 1,
    };
    let covered = (output - 1) * stride + extent;
    let total = match padding {
        Padding::Same => covered.saturating_sub(input),
        Padding::Valid => 0,
    };
    Some(Windows {
        output,
        before: total / 2,
        after: total - total / 2,
    })
}

/// Windows along both spatial axes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SpatialWindows {
    /// Along the height.
    pub h: Windows,
    /// Along the width.
    pub w: Windows,
}

impl SpatialWindows {
    /// The output's spatial size.
    pub fn output(&self) -> Hw {
        Hw {
            h: self.h.output,
            w: self.w.output,
        }
    }
}

impl ConvParams {
    /// Windows of a kernel of this size over an input of this size.
    pub fn windows(&self, input: Hw, kernel: Hw) -> Option<SpatialWindows> {
        let (s, d, p) = (self.stride, self.dilation, self.padding);
        Some(SpatialWindows {
            h: windows(input.h, kernel.h, s.h, d.h, p)?,
            w: windows(input.w, kernel.w, s.w, d.w, p)?,
        })
    }
}

impl PoolParams {
    /// Windows over an input of this size.
    pub fn windows(&self, input: Hw) -> Option<SpatialWindows> {
        let (s, k, p) = (self.stride, self.window, self.padding);
        Some(SpatialWindows {
            h: windows(input.h, k.h, s.h, 1, p)?,
            w: windows(input.w, k.w, s.w, 1, p)?,
        })
    }
}

/// Windows of a transposed convolution: those of the convolution that it reverses, which goes
/// over its *output*. Their number is the input's size when the shapes fit together.
pub fn transposed_windows(
    output: Hw,
    kernel: Hw,
    stride: Hw,
    padding: Padding,
) -> Option<SpatialWindows> {
    Some(SpatialWindows {
        h: windows(output.h, kernel.h, stride.h, 1, padding)?,
        w: windows(output.w, kernel.w, stride.w, 1, padding)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn w(output: usize, before: usize, after: usize) -> Option<Windows> {
        Some(Windows {
            output,
            before,
            after,
        })
    }

    #[test]
    fn same_puts_the_smaller_half_first() {
        assert_eq!(windows(224, 3, 2, 1, Padding::Same), w(112, 0, 1));
        assert_eq!(windows(225, 3, 2, 1, Padding::Same), w(113, 1, 1));
        assert_eq!(windows(7, 3, 1, 1, Padding::Same), w(7, 1, 1));
        assert_eq!(windows(33, 3, 1, 2, Padding::Same), w(33, 2, 2));
        assert_eq!(windows(5, 1, 3, 1, Padding::Same), w(2, 0, 0));
        assert_eq!(windows(1, 4, 1, 1, Padding::Same), w(1, 1, 2));
    }

    #[test]
    fn valid_has_no_padding() {
        assert_eq!(windows(7, 7, 2, 1, Padding::Valid), w(1, 0, 0));
        assert_eq!(windows(8, 3, 2, 1, Padding::Valid), w(3, 0, 0));
        assert_eq!(windows(8, 3, 1, 4, Padding::Valid), None);
        assert_eq!(windows(8, 3, 0, 1, Padding::Valid), None);
    }
}
