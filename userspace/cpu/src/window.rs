//! Geometry of sliding windows along one axis.

use super::KernelError;
use ferrite_ir::op::Padding;

/// Windows along one axis: output `o` with tap `k` reads input `o * stride + k * dilation - before`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Axis {
    /// Input elements.
    pub input: usize,
    /// Output elements.
    pub output: usize,
    /// Taps.
    pub taps: usize,
    /// Step of the window.
    pub stride: usize,
    /// Step of the taps.
    pub dilation: usize,
    /// Padding elements in front of the input.
    pub before: usize,
}

/// Largest extent, stride or dilation: keeps all index arithmetic far inside 64 bits.
const LIMIT: usize = 1 << 28;

impl Axis {
    /// Output size and padding by TFLite's rules.
    pub fn new(
        input: usize,
        taps: usize,
        stride: usize,
        dilation: usize,
        padding: Padding,
    ) -> Result<Axis, KernelError> {
        for (what, value) in [
            ("window extent", input),
            ("window size", taps),
            ("stride", stride),
            ("dilation", dilation),
        ] {
            if value == 0 || value > LIMIT {
                return Err(KernelError::Parameter {
                    what,
                    value: value.try_into().unwrap_or(i64::MAX),
                });
            }
        }
        let reach = (taps - 1) * dilation + 1;
        let output = match padding {
            Padding::Same => input.div_ceil(stride),
            Padding::Valid if reach <= input => (input - reach) / stride + 1,
            Padding::Valid => {
                return Err(KernelError::Parameter {
                    what: "window reach beyond the input",
                    value: reach as i64,
                });
            }
        };
        let needed = (output - 1) * stride + reach;
        Ok(Axis {
            input,
            output,
            taps,
            stride,
            dilation,
            before: needed.saturating_sub(input) / 2,
        })
    }

    /// The taps that read an input element for at least one output, with the offset each adds.
    pub fn live_taps(&self) -> Vec<(usize, i64)> {
        let offset = |k: usize| (k * self.dilation) as i64 - self.before as i64;
        (0..self.taps)
            .map(|k| (k, offset(k)))
            .filter(|&(_, o)| {
                // The first output that is not left of the input must not be right of it.
                let first = if o >= 0 {
                    0
                } else {
                    (-o as usize).div_ceil(self.stride)
                };
                first < self.output && ((first * self.stride) as i64 + o) < self.input as i64
            })
            .collect()
    }

    /// The part of the window of output `o` that lies in the input: first input element and count.
    /// Only for dilation 1.
    pub fn clip(&self, o: usize) -> (usize, usize) {
        let start = o * self.stride;
        let first = start.saturating_sub(self.before);
        let end = (start + self.taps)
            .saturating_sub(self.before)
            .min(self.input);
        (first, end.saturating_sub(first))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_follow_tflite() {
        let a = Axis::new(224, 3, 2, 1, Padding::Same).unwrap();
        assert_eq!((a.output, a.before), (112, 0));
        let a = Axis::new(5, 3, 1, 1, Padding::Same).unwrap();
        assert_eq!((a.output, a.before), (5, 1));
        let a = Axis::new(5, 3, 2, 1, Padding::Valid).unwrap();
        assert_eq!((a.output, a.before), (2, 0));
        assert!(Axis::new(2, 3, 1, 1, Padding::Valid).is_err());
        assert!(Axis::new(2, 3, 0, 1, Padding::Same).is_err());
    }

    #[test]
    fn live_taps_match_brute_force() {
        for input in 1..6 {
            for taps in 1..5 {
                for stride in 1..5 {
                    for dilation in 1..8 {
                        let a = Axis::new(input, taps, stride, dilation, Padding::Same).unwrap();
                        let reads = |k: usize| {
                            (0..a.output).any(|o| {
                                let i = (o * stride + k * dilation) as i64 - a.before as i64;
                                (0..input as i64).contains(&i)
                            })
                        };
                        let live: Vec<_> = a.live_taps().iter().map(|t| t.0).collect();
                        let expected: Vec<_> = (0..taps).filter(|&k| reads(k)).collect();
                        assert_eq!(live, expected, "{a:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn clip_matches_brute_force() {
        for input in 1..6 {
            for taps in 1..5 {
                for stride in 1..4 {
                    let a = Axis::new(input, taps, stride, 1, Padding::Same).unwrap();
                    for o in 0..a.output {
                        let hit: Vec<_> = (0..taps)
                            .map(|k| (o * stride + k) as i64 - a.before as i64)
                            .filter(|i| (0..input as i64).contains(i))
                            .collect();
                        let (first, count) = a.clip(o);
                        assert_eq!(count, hit.len());
                        assert_eq!(first as i64, hit[0]);
                    }
                }
            }
        }
    }
}
