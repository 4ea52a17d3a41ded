//! The fixed-point arithmetic of TFLite's reference kernels (gemmlowp's conventions).
//!
//! A real factor is held as `multiplier / 2^31 * 2^shift` with `multiplier` in `[2^30, 2^31)`.
//! Applying it rounds twice: once in the doubling high multiply, once in the right shift.

use super::KernelError;

/// A real factor in fixed point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Multiplier {
    /// Mantissa in Q31. Negative only for negative factors.
    pub mantissa: i32,
    /// Power of two: left shift when positive, right shift when negative; not below -31.
    ///
    /// Left shifts act modulo 32, as in the reference on x86-64 and AArch64. C++ leaves those above
    /// 31 undefined, yet models have them: a layer that is always zero may have any scale.
    pub shift: i32,
}

impl Multiplier {
    /// The nearest fixed-point factor. Factors below 2^-32 become zero.
    ///
    /// # Errors
    /// [`KernelError::Multiplier`] if it is not finite.
    pub fn from_real(real: f64) -> Result<Multiplier, KernelError> {
        if !real.is_finite() {
            return Err(KernelError::Multiplier { value: real });
        }
        if real == 0.0 {
            return Ok(Multiplier::default());
        }
        let (fraction, mut shift) = frexp(real);
        let mut mantissa = (fraction * (1i64 << 31) as f64).round() as i64;
        if mantissa.abs() == 1 << 31 {
            mantissa /= 2;
            shift += 1;
        }
        if shift < -31 {
            return Ok(Multiplier::default());
        }
        Ok(Multiplier {
            mantissa: mantissa as i32,
            shift,
        })
    }

    /// As [`Multiplier::from_real`] for factors that must be less than one.
    ///
    /// # Errors
    /// [`KernelError::Multiplier`] if it is not positive and less than one.
    pub fn from_real_below_one(real: f64) -> Result<Multiplier, KernelError> {
        if real > 0.0 && real < 1.0 {
            let m = Multiplier::from_real(real)?;
            if m.shift <= 0 {
                return Ok(m);
            }
        }
        Err(KernelError::Multiplier { value: real })
    }

    /// The factor times `x`. The left shift drops high bits, as the reference's does in practice.
    #[inline(always)]
    pub fn apply(self, x: i32) -> i32 {
        let left = self.shift.max(0);
        let right = -self.shift.min(0);
        rounding_shift_right(
            doubling_high_mul(x.wrapping_shl(left as u32), self.mantissa),
            right,
        )
    }
}

/// Splits a finite number other than zero into a fraction in [0.5, 1) and a power of two.
fn frexp(x: f64) -> (f64, i32) {
    let scaled = if x.is_subnormal() {
        x * 2f64.powi(64)
    } else {
        x
    };
    let bits = scaled.to_bits();
    let exponent = ((bits >> 52) & 0x7ff) as i32 - 1022;
    let fraction = f64::from_bits((bits & !(0x7ff << 52)) | (1022 << 52));
    (
        fraction,
        if x.is_subnormal() {
            exponent - 64
        } else {
            exponent
        },
    )
}

/// Saturating, rounding, doubling high multiply: `a * b / 2^31`, ties towards plus infinity.
#[inline(always)]
pub fn doubling_high_mul(a: i32, b: i32) -> i32 {
    if a == i32::MIN && b == i32::MIN {
        return i32::MAX;
    }
    ((i64::from(a) * i64::from(b) + (1 << 30)) >> 31) as i32
}

/// [`doubling_high_mul`] for 16-bit numbers: `a * b / 2^15`.
#[inline(always)]
pub fn doubling_high_mul_16(a: i16, b: i16) -> i16 {
    if a == i16::MIN && b == i16::MIN {
        return i16::MAX;
    }
    ((i32::from(a) * i32::from(b) + (1 << 14)) >> 15) as i16
}

/// `x / 2^exponent`, rounded to nearest, ties away from zero. `exponent` in 0..=31.
#[inline(always)]
pub fn rounding_shift_right(x: i32, exponent: i32) -> i32 {
    let mask = ((1u32 << (exponent & 31)) - 1) as i32;
    let remainder = x & mask;
    let threshold = (mask >> 1) + i32::from(x < 0);
    (x >> (exponent & 31)) + i32::from(remainder > threshold)
}

/// `x * 2^exponent` with saturation.
#[inline]
pub fn saturating_shift_left(x: i32, exponent: u32) -> i32 {
    let wide = i64::from(x) << exponent;
    wide.clamp(i32::MIN.into(), i32::MAX.into()) as i32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// gemmlowp's definition: the nudge depends on the sign, the division truncates.
    fn high_mul_by_definition(a: i32, b: i32) -> i32 {
        if a == i32::MIN && b == i32::MIN {
            return i32::MAX;
        }
        let product = i128::from(a) * i128::from(b);
        let nudge = if product >= 0 { 1 << 30 } else { 1 - (1 << 30) };
        ((product + nudge) / (1 << 31)) as i32
    }

    /// Nearest integer to x / 2^e with ties away from zero.
    fn shift_by_definition(x: i32, e: u32) -> i32 {
        let magnitude = i128::from(x).abs();
        let rounded = (2 * magnitude + (1 << e)) >> (e + 1);
        (if x < 0 { -rounded } else { rounded }) as i32
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn high_mul_is_exact(a: i32, b: i32) {
            prop_assert_eq!(doubling_high_mul(a, b), high_mul_by_definition(a, b));
        }

        #[test]
        fn high_mul_16_is_exact(a: i16, b: i16) {
            let product = i64::from(a) * i64::from(b);
            let nudge = if product >= 0 { 1 << 14 } else { 1 - (1 << 14) };
            let expected = ((product + nudge) / (1 << 15)).min(32767);
            prop_assert_eq!(i64::from(doubling_high_mul_16(a, b)), expected);
        }

        #[test]
        fn shift_is_exact(x: i32, e in 0u32..=31) {
            prop_assert_eq!(rounding_shift_right(x, e as i32), shift_by_definition(x, e));
        }

        #[test]
        fn saturating_shift_is_exact(x: i32, e in 0u32..=31) {
            let exact = i128::from(x) << e;
            let expected = exact.clamp(i32::MIN.into(), i32::MAX.into()) as i32;
            prop_assert_eq!(saturating_shift_left(x, e), expected);
        }

        /// The mantissa is the nearest one: the error is at most half a unit of it.
        #[test]
        fn multiplier_is_nearest(mantissa in 0.5f64..1.0, exponent in -31i32..=29) {
            let real = mantissa * 2f64.powi(exponent);
            let m = Multiplier::from_real(real).unwrap();
            let back = f64::from(m.mantissa) * 2f64.powi(m.shift - 31);
            prop_assert!((back - real).abs() <= 2f64.powi(exponent - 32));
            prop_assert!(m.mantissa >= 1 << 30);
        }

        /// Two roundings are never further than one unit from the exact product.
        #[test]
        fn apply_is_close(x in -(1i32 << 20)..(1 << 20), real in 1e-6f64..1000.0) {
            let m = Multiplier::from_real(real).unwrap();
            let exact = f64::from(x) * real;
            prop_assert!((f64::from(m.apply(x)) - exact).abs() <= 1.0 + exact.abs() * 1e-9);
        }
    }

    #[test]
    fn edges() {
        assert_eq!(doubling_high_mul(i32::MIN, i32::MIN), i32::MAX);
        assert_eq!(doubling_high_mul(1 << 30, -1), 0);
        assert_eq!(rounding_shift_right(-3, 1), -2);
        assert_eq!(rounding_shift_right(i32::MIN, 31), -1);
        let one = Multiplier::from_real(1.0).unwrap();
        assert_eq!((one.mantissa, one.shift), (1 << 30, 1));
        assert_eq!(one.apply(-77), -77);
        let nearly = Multiplier::from_real(1.0 - 1e-12).unwrap();
        assert_eq!(nearly, one);
        assert_eq!(
            Multiplier::from_real(1e-300).unwrap(),
            Multiplier::default()
        );
        assert_eq!(
            Multiplier::from_real(5e-324).unwrap(),
            Multiplier::default()
        );
        assert_eq!(
            Multiplier::from_real(2f64.powi(101)).unwrap().apply(3),
            3 << 5
        );
        assert!(Multiplier::from_real(f64::NAN).is_err());
        assert!(Multiplier::from_real_below_one(1.0).is_err());
        assert!(Multiplier::from_real_below_one(-0.5).is_err());
        assert_eq!(Multiplier::from_real(-0.25).unwrap().mantissa, -(1 << 30));
    }
}
