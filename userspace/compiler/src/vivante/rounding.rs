//! TFLite rounds twice where the NPU rounds once.
//!
//! TFLite multiplies a sum of products with a mantissa `m` between 1/2 and 1, rounds, shifts right by
//! `s` bits and rounds again. For sums that are not negative the result is at least `k` from
//! `m * sum + 1/2 >= (k - 1/2) * 2^s` on: one rounding of a sum that is `1/2m` larger. Accumulators
//! are integers, so what can be added is 0 or 1, and `1/2m` is never nearer to 0.

/// What to add to the accumulators of a layer whose results are `factor` times its sums and not
/// below the zero point, so that one rounding comes nearest to TFLite's two.
pub fn first_rounding(factor: f64) -> i32 {
    // Larger factors are not shifted.
    i32::from(factor < 0.5)
}

#[cfg(test)]
mod tests {
    use super::super::program::Multiplier;
    use super::*;

    /// TFLite's reference kernels, for sums from 0 on: mantissa of 31 bits, shift.
    fn rounded_twice(sum: i64, factor: f64) -> i64 {
        let exponent = factor.log2().floor() as i32 + 1;
        let mantissa = (factor * f64::powi(2.0, 31 - exponent)).round() as i64;
        let first = ((sum << exponent.max(0)) * mantissa + (1 << 30)) >> 31;
        let shift = -exponent.min(0);
        (first + ((1 << shift) >> 1)) >> shift
    }

    /// The NN unit, for sums from 0 on.
    fn rounded_once(sum: i64, factor: f64) -> i64 {
        let Multiplier { mantissa, shift } = Multiplier::nearest(factor).expect("in range");
        (sum * (32768 + i64::from(mantissa)) + ((1 << shift) >> 1)) >> shift
    }

    /// Share of the sums with results up to 255 that are a step apart; none may be farther.
    fn apart(factor: f64, added: i32) -> f64 {
        let sums = (255.0 / factor) as i64;
        let differ = (0..=sums).filter(|&sum| {
            let ours = rounded_once(sum + i64::from(added), factor);
            let distance = (ours - rounded_twice(sum, factor)).abs();
            assert!(distance <= 1, "{factor} {sum}");
            distance == 1
        });
        differ.count() as f64 / (sums + 1) as f64
    }

    #[test]
    fn fewer_results_are_a_step_apart() {
        let (mut before, mut after) = (0.0, 0.0);
        for step in 0..100 {
            let factor = 1.2 * f64::powf(0.94, f64::from(step));
            let (plain, nudged) = (apart(factor, 0), apart(factor, first_rounding(factor)));
            // Multipliers of 15 bits are off by less than a 2^16th: 1 in 256 of a step at the most.
            assert!(nudged <= plain + 1.0 / 256.0, "{factor}: {plain}, {nudged}");
            before += plain;
            after += nudged;
        }
        assert!(after < 0.5 * before, "{before}, {after}");
    }

    #[test]
    fn mantissas_of_a_half_leave_no_difference() {
        for shift in 1..12 {
            let factor = f64::powi(0.5, shift + 1);
            assert_eq!(apart(factor, first_rounding(factor)), 0.0);
            assert!(apart(factor, 0) > 0.0);
        }
    }

    #[test]
    fn factors_that_are_not_shifted_are_left_alone() {
        for factor in [0.5, 0.7, 0.999, 1.0, 1.7] {
            assert_eq!(first_rounding(factor), 0);
        }
    }
}
