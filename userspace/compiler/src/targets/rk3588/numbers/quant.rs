//! Scales and zero points in the forms the hardware takes.

use std::fmt;

use super::integer_factor;
use crate::error::Unsupported;

/// 2 to the power of `exponent`, which is that of a normal number or gives 0 below or infinity above.
fn power_of_two(exponent: i32) -> f64 {
    f64::from_bits(((exponent + 1023).clamp(0, 2047) as u64) << 52)
}

/// Exponent of a positive number. Subnormal ones have none of their own here: they are too small to
/// matter.
fn exponent(number: f64) -> i32 {
    (number.to_bits() >> 52) as i32 - 1023
}

/// A positive factor `scale / 2^shift` as the DPU's converters apply it, `scale` in `[2^14, 2^15)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Multiplier {
    /// 15-bit mantissa.
    pub scale: u16,
    /// Right shift after the multiplication.
    pub shift: u8,
}

impl Multiplier {
    /// Largest shift that is of use: a 32-bit value times 15 bits is zero beyond it.
    const MAX_SHIFT: i32 = 47;

    /// The multiplier nearest to `factor` (relative error at most 2^-15).
    ///
    /// None if the factor is not positive and finite, or 2^15 and more. Factors below 2^-33 become
    /// the smallest representable one: whatever they multiply rounds to zero.
    pub fn nearest(factor: f64) -> Option<Multiplier> {
        if !(factor.is_finite() && factor > 0.0) {
            return None;
        }
        let mut exponent = exponent(factor);
        let mut scale = (factor * power_of_two(14 - exponent)).round_ties_even();
        if scale >= 32768.0 {
            // Rounding carried.
            exponent += 1;
            scale /= 2.0;
        }
        let shift = 14 - exponent;
        if shift < 0 {
            return None;
        }
        if shift > Self::MAX_SHIFT {
            return Some(Multiplier {
                scale: 1 << 14,
                shift: Self::MAX_SHIFT as u8,
            });
        }
        Some(Multiplier {
            scale: scale as u16,
            shift: shift as u8,
        })
    }

    /// The factor it stands for.
    pub fn value(self) -> f64 {
        f64::from(self.scale) * power_of_two(-i32::from(self.shift))
    }
}

/// A positive factor in two parts: an integer in front of the output converter, exact in 32 bits,
/// and the converter's own 15-bit multiplier. Their product has as many bits as the range of the
/// accumulators leaves room for, and yet there is one rounding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Scaling {
    /// Integer factor; 1 leaves the multiplier of the DPU's stages bypassed.
    pub factor: i16,
    /// What the output converter applies.
    pub multiplier: Multiplier,
}

impl Scaling {
    /// Integer factors to choose from: enough that the best is some 2^-10 of the converter's step
    /// away from the wanted value.
    const CHOICE: i32 = 1023;

    /// The scaling nearest to `real` for accumulators of at most `reach` in magnitude.
    ///
    /// None where [`Multiplier::nearest`] has none.
    pub fn nearest(real: f64, reach: i64) -> Option<Scaling> {
        let plain = Scaling {
            factor: 1,
            multiplier: Multiplier::nearest(real)?,
        };
        let most = (i64::from(i32::MAX) / reach.max(1)).clamp(1, i64::from(i16::MAX)) as i32;
        let mut best: Option<(f64, i32)> = None;
        let mut first = 1.max(most - Self::CHOICE);
        while first <= most {
            // Quotients down to the next power of two have one exponent, and so one shift.
            let exponent = exponent(real / f64::from(first));
            let last = (real / power_of_two(exponent)) as i32;
            let last = last.clamp(first, most);
            let shift = 14 - exponent;
            if (0..=Multiplier::MAX_SHIFT).contains(&shift) {
                let unit = power_of_two(shift);
                let (error, factor) = integer_factor::factor(real * unit, first..=last);
                if best.is_none_or(|best| error / unit < best.0) {
                    best = Some((error / unit, factor));
                }
            }
            first = last + 1;
        }
        match best {
            Some((error, factor)) if error <= (plain.value() - real).abs() => Some(Scaling {
                factor: factor as i16,
                multiplier: Multiplier::nearest(real / f64::from(factor))?,
            }),
            _ => Some(plain),
        }
    }

    /// A factor of one.
    pub const ONE: Scaling = Scaling {
        factor: 1,
        multiplier: Multiplier {
            scale: 1 << 14,
            shift: 14,
        },
    };

    /// The factor it stands for.
    pub fn value(self) -> f64 {
        f64::from(self.factor) * self.multiplier.value()
    }
}

/// Largest distance of an 8-bit value from its zero point.
pub const STEPS: i64 = 255;

/// The nearest scaling of accumulators up to `reach`, or why there is none.
pub fn scaling(factor: f64, reach: i64) -> Result<Scaling, Unsupported> {
    Scaling::nearest(factor, reach).ok_or_else(|| {
        Unsupported::new(format!(
            "rescaling by {factor} is beyond the output converter"
        ))
    })
}

impl fmt::Display for Scaling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.factor != 1 {
            write!(f, "{} * ", self.factor)?;
        }
        write!(f, "{}>>{}", self.multiplier.scale, self.multiplier.shift)
    }
}

/// TFLite's form of a positive factor: a Q31 mantissa and a left shift.
pub fn q31(factor: f64) -> (i32, i32) {
    if factor <= 0.0 || !factor.is_finite() {
        return (0, 0);
    }
    let mut shift = factor.log2().floor() as i32 + 1;
    let mut fraction = factor / f64::powi(2.0, shift);
    if fraction >= 1.0 {
        shift += 1;
        fraction /= 2.0;
    } else if fraction < 0.5 {
        shift -= 1;
        fraction *= 2.0;
    }
    let mut mantissa = (fraction * f64::from(1u32 << 31)).round() as i64;
    if mantissa == 1 << 31 {
        mantissa /= 2;
        shift += 1;
    }
    if shift < -31 {
        return (0, 0);
    }
    (mantissa as i32, shift)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn multipliers_are_nearest_and_normalised() {
        for factor in [1.0, 0.5, 1.82, 3.3e-7, 0.999_999, 2.0, 0.007_812_5, 127.3] {
            let m = Multiplier::nearest(factor).unwrap();
            assert!((1 << 14..1 << 15).contains(&m.scale), "{factor}: {m:?}");
            let error = (m.value() / factor - 1.0).abs();
            assert!(
                error <= f64::powi(2.0, -15),
                "{factor}: {m:?} off by {error}"
            );
        }
    }

    #[test]
    fn a_mantissa_of_all_ones_carries_into_the_exponent() {
        // Mesa's conversion yields half the value here.
        let m = Multiplier::nearest(1.0 - f64::powi(2.0, -20)).unwrap();
        assert_eq!((m.scale, m.shift), (1 << 14, 14));
    }

    #[test]
    fn scalings_are_fine_and_keep_products_in_32_bits() {
        for real in [0.9, 0.5, 0.004_821, 3.3e-7, 0.999_999, 1.0 / 49.0] {
            for reach in [255, 40_000, 585_225, 9_000_000, 1 << 30] {
                let s = Scaling::nearest(real, reach).unwrap();
                assert!(i64::from(s.factor) * reach <= i64::from(i32::MAX));
                let room = (i64::from(i32::MAX) / reach).min(1 << 10) as f64;
                // The nearest of `room` candidates that lie at random; what rounds to zero anyway
                // need not be precise.
                let error = (s.value() - real).abs() * reach as f64;
                let bound = 16.0 * f64::powi(2.0, -15) / room * real * reach as f64;
                assert!(
                    error <= bound.max(1e-3),
                    "{real}, {reach}: {s} off by {error}"
                );
            }
        }
        assert_eq!(Scaling::nearest(1.0, 255).map(Scaling::value), Some(1.0));
    }

    /// Every candidate, one by one.
    fn nearest_of_all(real: f64, reach: i64) -> Option<Scaling> {
        let plain = Multiplier::nearest(real)?;
        let most = (i64::from(i32::MAX) / reach.max(1)).clamp(1, i64::from(i16::MAX)) as i32;
        let mut best: Option<Scaling> = None;
        let error = |scaling: Scaling| (scaling.value() - real).abs();
        let all = (1.max(most - Scaling::CHOICE)..=most).filter_map(|factor| {
            let multiplier = Multiplier::nearest(real / f64::from(factor))?;
            Some((factor as i16, multiplier))
        });
        for (factor, multiplier) in all.chain([(1, plain)]) {
            let scaling = Scaling { factor, multiplier };
            if best.is_none_or(|best| error(scaling) < error(best)) {
                best = Some(scaling);
            }
        }
        best
    }

    #[test]
    fn the_search_finds_what_trying_all_finds() {
        let mut real = 3.1e-7;
        while real < 40_000.0 {
            for reach in [
                1,
                70_000,
                585_225,
                2_500_001,
                9_000_000,
                300_000_000,
                i64::MAX,
            ] {
                let (found, all) = (Scaling::nearest(real, reach), nearest_of_all(real, reach));
                assert_eq!(found, all, "{real}, {reach}");
            }
            real *= 1.0713;
        }
    }

    #[test]
    fn factors_that_cannot_be_applied_are_refused() {
        for factor in [0.0, -1.0, f64::NAN, f64::INFINITY, 32768.0] {
            assert_eq!(Multiplier::nearest(factor), None, "{factor}");
        }
    }

    #[test]
    fn q31_reproduces_the_factor() {
        for factor in [1.0, 0.25, 1.82, 3.3e-7, 0.999_999_999_9] {
            let (m, s) = q31(factor);
            let value = f64::from(m) * f64::powi(2.0, s - 31);
            assert!((value / factor - 1.0).abs() < 1e-9, "{factor}");
        }
    }
}
