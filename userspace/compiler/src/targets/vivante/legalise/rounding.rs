//! TFLite rounds twice where the NPU rounds once, but for fully connected layers.
//!
//! Of convolutions TFLite multiplies a sum of products with a mantissa `m` between 1/2 and 1, rounds, shifts right by
//! `s` bits and rounds again. For sums above zero the result is at least `k` from
//! `m * sum + 1/2 >= (k - 1/2) * 2^s` on: one rounding of a sum that is `1/2m` larger, so between
//! 1/2 and 1. An accumulator can be made larger by integers only, and only where sums below zero do
//! not matter, as their results round the other way. The rest is left to the multiplier: larger by
//! as much as the range of results allows, it makes up for what is missing in the middle of it.

use crate::targets::vivante::program::Multiplier;

/// How TFLite's kernels round the results of a layer. Ties go away from zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rounding {
    /// Once: fully connected layers, in LiteRT from 1.4 on.
    Once,
    /// Twice: convolutions.
    Twice,
}

/// Factors from here on are not shifted right by TFLite.
const UNSHIFTED: f64 = 0.5;
/// Smaller factors have so large sums that what is added to them does not show.
const SMALLEST: f64 = 1.0 / 65536.0;

/// Of so many results one is compared: the sums where they begin lie on a line.
const SAMPLE: usize = 4;

/// The multiplier for a layer whose results are `factor` times its sums, and what to add to its
/// accumulators, so that as few sums as possible have another result than in TFLite. `nearest` is
/// the multiplier nearest to the factor, `steps` how far results reach below and above the zero
/// point.
pub fn fit(
    rounding: Rounding,
    factor: f64,
    nearest: Multiplier,
    steps: [i32; 2],
) -> (Multiplier, i32) {
    let most = steps[0].max(steps[1]);
    if rounding == Rounding::Once || !(SMALLEST..UNSHIFTED).contains(&factor) || most < 1 {
        return (nearest, 0);
    }
    let wanted: Vec<(i64, i64)> = (1..=i64::from(most))
        .step_by(SAMPLE)
        .map(|k| (k, least_twice(k, factor)))
        .collect();
    // No sum of the range is moved by more than 1.
    let reach = (65536.0 * factor / f64::from(most)).ceil() as i32 + 1;
    let added = if steps[0] == 0 { 0..2 } else { 0..1 };
    let mut best = (i64::MAX, nearest, 0);
    // From the nearest on, so that it stays where nothing is gained.
    for delta in (0..=reach).flat_map(|delta| [delta, -delta]) {
        let mantissa = u16::try_from(i32::from(nearest.mantissa) + delta);
        let Some(mantissa) = mantissa.ok().filter(|m| *m < 1 << 15) else {
            continue;
        };
        let multiplier = Multiplier {
            mantissa,
            ..nearest
        };
        let mut apart = [0, 0];
        for &(k, wanted) in &wanted {
            let larger = least_once(k, multiplier) - wanted;
            apart[0] += larger.abs();
            apart[1] += (larger - 1).abs();
        }
        for added in added.clone() {
            if apart[added as usize] < best.0 {
                best = (apart[added as usize], multiplier, added);
            }
        }
    }
    (best.1, best.2)
}

/// What TFLite's second rounding is worth where no results are below the zero point: one rounding of
/// sums that are larger by this has the same results.
pub fn added(rounding: Rounding, factor: f64) -> f64 {
    if rounding == Rounding::Once || !(SMALLEST..UNSHIFTED).contains(&factor) {
        return 0.0;
    }
    let mantissa = factor * f64::powi(0.5, factor.log2().floor() as i32 + 1);
    0.5 / mantissa
}

/// Half of `2^shift`, if that is an integer.
fn half(shift: u32) -> i64 {
    (1 << shift) >> 1
}

/// Least sum whose result is at least `k` in TFLite, for factors from `SMALLEST` to `UNSHIFTED`.
fn least_twice(k: i64, factor: f64) -> i64 {
    let exponent = ((factor.to_bits() >> 52 & 0x7ff) as i32) - 1022;
    let mantissa = (factor * f64::powi(2.0, 31 - exponent)).round() as i64;
    let shift = exponent.unsigned_abs();
    let first = (k << shift) - half(shift);
    ((first << 31) - half(31) + mantissa - 1).div_euclid(mantissa)
}

/// Least sum whose result is at least `k` on the NPU.
fn least_once(k: i64, multiplier: Multiplier) -> i64 {
    let shift = u32::from(multiplier.shift);
    let mantissa = 32768 + i64::from(multiplier.mantissa);
    ((k << shift) - half(shift) + mantissa - 1).div_euclid(mantissa)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// TFLite's reference kernels: mantissa of 31 bits, shift; both roundings away from zero.
    fn rounded_twice(sum: i64, factor: f64) -> i64 {
        let exponent = factor.log2().floor() as i32 + 1;
        let mantissa = (factor * f64::powi(2.0, 31 - exponent)).round() as i64;
        let first = ((sum.abs() << exponent.max(0)) * mantissa + half(31)) >> 31;
        let shift = exponent.min(0).unsigned_abs();
        sum.signum() * ((first + half(shift)) >> shift)
    }

    /// The NN unit.
    fn rounded_once(sum: i64, Multiplier { mantissa, shift }: Multiplier) -> i64 {
        let product = sum.abs() * (32768 + i64::from(mantissa));
        sum.signum() * ((product + half(shift.into())) >> shift)
    }

    /// Sums with results in the range that are a step apart, as a share; none may be farther.
    fn apart(factor: f64, steps: [i32; 2], (multiplier, added): (Multiplier, i32)) -> f64 {
        let [from, to] = steps.map(|steps| (f64::from(steps) / factor) as i64);
        let differ = (-from..=to).filter(|&sum| {
            let ours = rounded_once(sum + i64::from(added), multiplier);
            let distance = (ours - rounded_twice(sum, factor)).abs();
            assert!(distance <= 1, "{factor} {sum}");
            distance == 1
        });
        differ.count() as f64 / (from + to + 1) as f64
    }

    #[test]
    fn least_sums_are_where_results_change() {
        for step in 0..60 {
            let factor = 0.4999 * f64::powf(0.87, f64::from(step));
            let multiplier = Multiplier::nearest(factor).expect("in range");
            for k in [1, 2, 3, 100, 255] {
                let (twice, once) = (least_twice(k, factor), least_once(k, multiplier));
                let around = [twice - 1, twice].map(|sum| rounded_twice(sum, factor) >= k);
                assert_eq!(around, [false, true], "{factor} {k}");
                let around = [once - 1, once].map(|sum| rounded_once(sum, multiplier) >= k);
                assert_eq!(around, [false, true], "{factor} {k}");
            }
        }
    }

    #[test]
    fn fewer_results_are_a_step_apart() {
        for steps in [[0, 255], [0, 40], [128, 127], [90, 165]] {
            let (mut before, mut after) = (0.0, 0.0);
            for step in 0..60 {
                let factor = 1.2 * f64::powf(0.9, f64::from(step));
                let nearest = Multiplier::nearest(factor).expect("in range");
                let plain = apart(factor, steps, (nearest, 0));
                let fitted = apart(factor, steps, fit(Rounding::Twice, factor, nearest, steps));
                assert!(fitted <= plain + 1e-3, "{factor}: {plain}, {fitted}");
                before += plain;
                after += fitted;
            }
            let share = if steps[0] == 0 { 0.25 } else { 0.6 };
            assert!(after < share * before, "{steps:?}: {before}, {after}");
        }
    }

    #[test]
    fn mantissas_of_a_half_leave_no_difference() {
        for shift in 1..12 {
            let factor = f64::powi(0.5, shift + 1);
            let nearest = Multiplier::nearest(factor).expect("in range");
            let fitted = fit(Rounding::Twice, factor, nearest, [0, 255]);
            assert_eq!(fitted, (nearest, 1));
            assert_eq!(apart(factor, [0, 255], fitted), 0.0);
            assert!(apart(factor, [0, 255], (nearest, 0)) > 0.0);
        }
    }

    /// The nearest multiplier is right for all but a few sums, those next to where results change.
    #[test]
    fn fully_connected_layers_keep_the_nearest_multiplier() {
        let (mut nearest_differs, mut fitted_differs) = (0, 0);
        for step in 0..40 {
            let factor = 0.3 * f64::powf(0.93, f64::from(step));
            let nearest = Multiplier::nearest(factor).expect("in range");
            let once = fit(Rounding::Once, factor, nearest, [0, 255]);
            assert_eq!(once, (nearest, 0));
            let twice = fit(Rounding::Twice, factor, nearest, [0, 255]);
            for sum in 0..(255.0 / factor) as i64 {
                let expected = (sum as f64 * factor).round() as i64;
                nearest_differs += i64::from(rounded_once(sum, nearest) != expected);
                let fitted = rounded_once(sum + i64::from(twice.1), twice.0);
                fitted_differs += i64::from(fitted != expected);
            }
        }
        assert!(
            20 * nearest_differs < fitted_differs,
            "{nearest_differs}, {fitted_differs}"
        );
    }

    /// What is added to sums above zero makes one rounding of two, but where it ends in a fraction.
    #[test]
    fn one_rounding_of_larger_sums_is_two() {
        assert_eq!(added(Rounding::Once, 0.01), 0.0);
        assert_eq!(added(Rounding::Twice, 0.7), 0.0);
        let (mut plain, mut with, mut all) = (0, 0, 0);
        for step in 0..40 {
            let factor = 0.4 * f64::powf(0.87, f64::from(step));
            let added = added(Rounding::Twice, factor);
            assert!((0.5..=1.0).contains(&added), "{factor}: {added}");
            for sum in 0..(200.0 / factor) as i64 {
                let expected = rounded_twice(sum, factor);
                let once = |sum: f64| (sum * factor).round() as i64;
                plain += i64::from(once(sum as f64) != expected);
                with += i64::from(once(sum as f64 + added) != expected);
                all += 1;
            }
        }
        assert!(100 * with < plain && plain < all, "{with} {plain} {all}");
    }

    #[test]
    fn factors_that_are_not_shifted_are_left_alone() {
        for factor in [0.5, 0.7, 0.999, 1.0, 1.7] {
            let nearest = Multiplier::nearest(factor).expect("in range");
            assert_eq!(
                fit(Rounding::Twice, factor, nearest, [0, 255]),
                (nearest, 0)
            );
        }
    }
}
