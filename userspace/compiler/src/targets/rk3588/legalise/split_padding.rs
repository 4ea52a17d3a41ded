//! Padding beyond the elements that the hardware can make.
//!
//! Padding holds the zero point, so taps that see nothing else contribute nothing. Where padding is
//! deeper than the field, the output is cut into bands in which the same leading taps see only
//! padding, and each band is convolved with the rest of the kernel, without any padding.

use smallvec::{SmallVec, smallvec};

/// Outputs along one axis that share a part of the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Band {
    /// First output.
    pub first: usize,
    /// Outputs.
    pub count: usize,
    /// Leading taps left out.
    pub skipped: usize,
    /// First input element.
    pub start: usize,
    /// Padding before it.
    pub pad: usize,
}

/// Bands of an axis: mostly one.
pub type Bands = SmallVec<[Band; 1]>;

/// Cuts an axis into bands, where the CNA makes padding up to `deepest` itself. None if an output would see nothing but padding.
pub fn bands(
    deepest: usize,
    outputs: usize,
    kernel: usize,
    stride: usize,
    dilation: usize,
    pad: usize,
) -> Option<Bands> {
    if pad <= deepest {
        return Some(smallvec![Band {
            first: 0,
            count: outputs,
            skipped: 0,
            start: 0,
            pad,
        }]);
    }
    let mut bands = Bands::new();
    for at in 0..outputs {
        let skipped = pad.saturating_sub(at * stride).div_ceil(dilation);
        if skipped >= kernel {
            return None;
        }
        match bands.last_mut() {
            Some(band) if band.skipped == skipped => band.count += 1,
            _ => bands.push(Band {
                first: at,
                count: 1,
                skipped,
                start: at * stride + skipped * dilation - pad,
                pad: 0,
            }),
        }
    }
    Some(bands)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shallow_padding_is_left_to_the_hardware() {
        let b = bands(15, 8, 3, 1, 15, 15).unwrap();
        assert_eq!((b.len(), b[0].pad, b[0].count), (1, 15, 8));
    }

    #[test]
    fn every_tap_that_meets_data_is_kept_once() {
        for (outputs, kernel, stride, dilation, pad) in [
            (33, 3, 1, 18, 18),
            (40, 9, 1, 4, 16),
            (20, 5, 2, 9, 18),
            (64, 31, 1, 2, 30),
        ] {
            for band in bands(15, outputs, kernel, stride, dilation, pad).unwrap() {
                for at in band.first..band.first + band.count {
                    for tap in 0..kernel {
                        let position = (at * stride + tap * dilation) as isize - pad as isize;
                        assert_eq!(tap >= band.skipped, position >= 0, "{band:?} {at} {tap}");
                        if tap >= band.skipped {
                            let ours = band.start
                                + (at - band.first) * stride
                                + (tap - band.skipped) * dilation;
                            assert_eq!(ours as isize, position);
                        }
                    }
                }
            }
        }
    }
}
