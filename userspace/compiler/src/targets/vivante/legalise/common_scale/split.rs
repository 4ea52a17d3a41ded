//! Weights in steps of another scale, to a part of a step: the sum of a digit for the input and of
//! further ones for maps with the input's values divided by powers of a base.
//!
//! Rounding weights to 8 bits of a common scale alone would be wrong by up to half a step of the
//! largest channel's. With a second and a third map they are right to a part of that, and what is left
//! is mostly the rounding of these maps, which only the small digits meet.

/// Most maps that a job reads.
pub const MOST_PARTS: usize = 3;

/// Into how many parts weights are split, and what the maps' values are divided by, one after the
/// other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Base {
    /// The input, and maps beside it.
    pub parts: usize,
    /// What the values of each map are divided by for the next. It is odd: no value lies in the middle.
    pub divisor: i32,
}

/// A larger divisor makes weights more exact, but digits, and with them the share of the maps' rounding
/// in the sums, larger. For inputs of a root mean square of an eighth of the byte range, which
/// activations with their rare large values have, and an odd divisor, the sum of both errors is smallest
/// with these (see `divisors_are_the_best`).
pub const BASES: [Base; 2] = [
    Base {
        parts: 2,
        divisor: 11,
    },
    Base {
        parts: 3,
        divisor: 5,
    },
];

impl Base {
    /// What the values of a map are divided by; the input is the first.
    pub fn divisor_of(self, part: usize) -> i32 {
        self.divisor.pow(part as u32)
    }

    /// Steps of the smallest digit in one of the first.
    fn steps(self) -> i32 {
        self.divisor_of(self.parts - 1)
    }

    /// Mean square of what rounding leaves of a map's values, in its steps.
    fn rounding(self, part: usize) -> f64 {
        let steps = f64::from(self.divisor_of(part));
        (steps * steps - 1.0) / (12.0 * steps * steps)
    }

    /// The digits of so many smallest steps, in place of a weight between -128 and 127.
    fn digits(self, whole: i32, weight: f64) -> Split {
        let mut digits = [0; MOST_PARTS];
        let (mut left, half) = (whole, self.divisor / 2);
        for digit in digits[1..self.parts].iter_mut().rev() {
            let next = (left + left.signum() * half) / self.divisor;
            *digit = left - next * self.divisor;
            left = next;
        }
        // Rounding may have gone beyond the byte.
        digits[0] = left.clamp(-128, 127);
        digits[1] += (left - digits[0]) * self.divisor;
        Split {
            digits,
            rest: weight - f64::from(whole) / f64::from(self.steps()),
        }
    }

    /// The parts of an output's weights, which are between -128 and 127. What they leave out adds up to
    /// next to nothing: values that are all alike, as those of a smooth picture, give the right sum.
    pub fn split(self, weights: &[f64]) -> Vec<Split> {
        let steps = f64::from(self.steps());
        let whole = |weight: f64| (weight * steps).round() as i32;
        let nearest = |&weight: &f64| self.digits(whole(weight), weight);
        let mut parts: Vec<Split> = weights.iter().map(nearest).collect();
        let left = parts.iter().map(|part| part.rest).sum::<f64>() * steps;
        let count = left.abs().round() as usize;
        if count > 0 {
            let sign = left.signum();
            let rest = |at: usize| sign * parts[at].rest;
            let mut order: Vec<usize> = (0..parts.len()).collect();
            // Those that are nearest to being rounded the other way.
            order.select_nth_unstable_by(count - 1, |&a, &b| {
                rest(b).total_cmp(&rest(a)).then(a.cmp(&b))
            });
            for &at in &order[..count] {
                let weight = weights[at];
                parts[at] = self.digits(whole(weight) + sign as i32, weight);
            }
        }
        parts
    }

    /// Mean square error of an output's sums, for values spread evenly over the bytes.
    pub fn error(self, splits: &[Split], zero: u8) -> f64 {
        let [mean, variance] = spread(zero);
        let (mut rest, mut squares, mut rounding) = (0.0, 0.0, 0.0);
        for split in splits {
            rest += split.rest;
            squares += split.rest * split.rest;
            for part in 1..self.parts {
                let digit = f64::from(split.digits[part]);
                rounding += digit * digit * self.rounding(part);
            }
        }
        rest * rest * mean + squares * variance + rounding
    }

    /// The same for so many weights before they are known, on average.
    pub fn expected(self, weights: usize, zero: u8) -> f64 {
        let [mean, variance] = spread(zero);
        mean * self.rest() + weights as f64 * self.each(variance)
    }

    /// Mean square of what is left of a weight.
    fn rest(self) -> f64 {
        1.0 / (12.0 * f64::from(self.steps()).powi(2))
    }

    /// Mean square error by a weight, for values with this mean square.
    fn each(self, square: f64) -> f64 {
        let digits = f64::from(self.divisor * self.divisor - 1) / 12.0;
        let rounding: f64 = (1..self.parts).map(|part| self.rounding(part)).sum();
        square * self.rest() + digits * rounding
    }
}

/// A weight in parts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Split {
    /// For the input, and for each map beside it.
    pub digits: [i32; MOST_PARTS],
    /// What they leave out.
    pub rest: f64,
}

/// Square of the mean of values spread evenly over the bytes, as distances from `zero`, and their
/// variance.
fn spread(zero: u8) -> [f64; 2] {
    let mean = 127.5 - f64::from(zero);
    [mean * mean, 255.0 * 255.0 / 12.0]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Weights from a generator of random numbers.
    fn weights(count: usize, seed: u64) -> Vec<f64> {
        let mut state = seed;
        let mut next = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f64 / f64::from(1 << 24)
        };
        (0..count).map(|_| 254.0 * next() - 127.0).collect()
    }

    #[test]
    fn parts_make_up_the_weights() {
        for base in BASES {
            let step = 1.0 / f64::from(base.steps());
            for count in [1, 2, 9, 25, 960] {
                let weights = weights(count, count as u64);
                let splits = base.split(&weights);
                for (&Split { digits, rest }, weight) in splits.iter().zip(&weights) {
                    let parts = (0..base.parts)
                        .map(|part| f64::from(digits[part]) / f64::from(base.divisor_of(part)));
                    let sum = parts.sum::<f64>() + rest;
                    assert!((sum - weight).abs() < 1e-9, "{weight}");
                    assert!(rest.abs() <= step, "{weight}: {rest}");
                    assert!((-128..=127).contains(&digits[0]));
                    let small = |digit: &i32| digit.abs() <= base.divisor / 2;
                    assert!(digits[1..].iter().all(small), "{weight}: {digits:?}");
                }
                let left: f64 = splits.iter().map(|split| split.rest).sum();
                assert!(left.abs() <= 0.5 * step + 1e-9, "{count}: {left}");
            }
        }
    }

    #[test]
    fn whole_weights_are_exact() {
        let weights: Vec<f64> = (-128..=127).map(f64::from).collect();
        for base in BASES {
            for (split, weight) in base.split(&weights).iter().zip(-128..) {
                let digits = [weight, 0, 0];
                assert_eq!(*split, Split { digits, rest: 0.0 });
            }
        }
    }

    #[test]
    fn errors_are_near_those_expected() {
        for base in BASES {
            for (count, zero) in [(9, 0), (9, 128), (64, 40), (960, 0)] {
                let outputs = 2000;
                let of = |seed| base.error(&base.split(&weights(count, seed)), zero);
                let found = (0..outputs).map(of).sum::<f64>() / outputs as f64;
                let ratio = found / base.expected(count, zero);
                assert!(
                    (0.95..1.2).contains(&ratio),
                    "{base:?} {count} {zero}: {ratio}"
                );
            }
        }
    }

    /// What sums are off by, counted for inputs that are spread evenly.
    #[test]
    fn errors_are_those_of_the_sums() {
        for base in BASES {
            for zero in [0, 128] {
                let count = 50;
                let (mut found, mut estimated) = (0.0, 0.0);
                for seed in 0..400 {
                    let given = weights(count, seed);
                    let splits = base.split(&given);
                    estimated += base.error(&splits, zero);
                    let values = weights(count, seed + 1000);
                    let values = values.iter().map(|v| ((v + 127.0) * 255.9 / 254.0).floor());
                    let mut off = 0.0;
                    for ((split, weight), value) in splits.iter().zip(&given).zip(values) {
                        let value = value - f64::from(zero);
                        off -= weight * value;
                        for part in 0..base.parts {
                            let divided = value / f64::from(base.divisor_of(part));
                            off += f64::from(split.digits[part]) * divided.round();
                        }
                    }
                    found += off * off;
                }
                let ratio = found / estimated;
                assert!((0.8..1.25).contains(&ratio), "{base:?} {zero}: {ratio}");
            }
        }
    }

    #[test]
    fn divisors_are_the_best() {
        let eighth = (256.0f64 / 8.0).powi(2);
        for base in BASES {
            for divisor in (3..100).step_by(2) {
                let other = Base { divisor, ..base };
                assert!(base.each(eighth) <= other.each(eighth), "{other:?}");
            }
        }
    }
}
