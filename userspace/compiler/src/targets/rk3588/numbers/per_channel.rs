//! A scale for each channel, applied on the chip.
//!
//! The chip multiplies `acc + A` by a 15-bit `C` of the channel, shifts the product of up to 48 bits
//! right, and rescales the result, which all channels have in the same steps, to 8 bits. `C` is a rounded
//! number and `A` an integer, so that both are chosen together: for the least error over the results
//! that a layer has.

use super::quant::{Multiplier, q31};
use super::weights::Filter;
use crate::targets::rk3588::program::Stage;

/// How often the reference rounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rounding {
    /// Once, as the chip does.
    Once,
    /// Twice, of results that do not lie below the zero point: as one rounding of a sum that is between
    /// a half and one larger.
    TwiceAboveZero,
    /// Twice, of results on both sides: no sum that is larger or smaller would do.
    Twice,
}

/// The output stage and the operands of the channels.
pub struct Scaled {
    /// The stage.
    pub stage: Stage,
    /// Added to the accumulators of each channel.
    pub bias: Vec<i32>,
}

/// Largest error, in output steps, that scaling per channel may add before rounding.
const ERROR: f64 = 0.4;
/// Intermediate steps for one of the output: enough that the rounding to them does not show, and few
/// enough that 32 bits hold all that the output can.
const INTERMEDIATE: f64 = 65_536.0;
/// Largest intermediate steps where the product is not shifted: it saturates at 32 bits.
const UNSHIFTED: f64 = 8_388_608.0;
/// Results that are looked at, in steps from the zero point, and how much each counts: small ones are
/// the likelier ones.
const RESULTS: [(f64, f64); 4] = [(3.0, 1.0), (14.0, 0.8), (40.0, 0.4), (100.0, 0.1)];

/// Scales of a whole layer, in products.
struct Unit {
    /// Products of one output step.
    rho: f64,
}

/// One channel.
struct Channel {
    /// Output steps of an accumulator step.
    factor: f64,
    /// What the model adds to sums over stored data.
    bias: f64,
    /// What makes one rounding fall in with two, in accumulator steps.
    more: f64,
    /// Whether results lie below the zero point too.
    signed: bool,
    /// Smallest and largest result that the weights can make, in output steps.
    results: [f64; 2],
}

impl Channel {
    /// A result that is looked at, or the nearest that the channel can have.
    fn result(&self, result: f64) -> f64 {
        result.clamp(self.results[0], self.results[1])
    }

    /// The bias for a multiplier, and the error of both, in output steps, summed over results.
    fn fit(&self, unit: &Unit, multiplier: f64) -> (f64, f64) {
        // Results are those of `sum + bias` at the factor.
        let slope = multiplier / unit.rho;
        let off = |bias: f64, result: f64| {
            (result / self.factor - self.bias + bias) * slope - result - self.more * self.factor
        };
        let side = |bias: f64, sign: f64| -> f64 {
            let error = |(result, weight)| off(bias, self.result(sign * result)).abs() * weight;
            RESULTS.map(error).iter().sum()
        };
        // Where the two lines cross: in the middle of most results, or at the zero point.
        let crossing = self.result(if self.signed { 0.0 } else { 14.0 });
        let exact = -off(0.0, crossing) / slope;
        let candidates = [exact.floor(), exact.ceil()].map(|bias| {
            let below = if self.signed { side(bias, -1.0) } else { 0.0 };
            (bias, side(bias, 1.0) + below)
        });
        let [a, b] = candidates;
        if b.1 < a.1 { b } else { a }
    }
}

/// Factors and biases for the multiplier of each channel, if they are precise enough for every one.
///
/// With `rho` the product of one output step, `C` is `factor * rho`, the largest nearly 2^15. Rounding
/// it leaves an error of up to half a unit times the accumulator, which must stay below a fraction of
/// an output step.
pub fn scale(
    filter: &Filter<'_>,
    factors: &[f64],
    input_zero: i32,
    offset: i32,
    rounding: Rounding,
) -> Option<Scaled> {
    let most = factors.iter().copied().fold(0.0, f64::max);
    if !(most.is_finite() && most > 0.0) || factors.iter().any(|f| f.is_nan() || *f <= 0.0) {
        return None;
    }
    let wanted = 32_766.0 / most * (1.0 - 1.0 / 16_384.0);
    let shift = (wanted / INTERMEDIATE).log2().floor().clamp(0.0, 31.0);
    let wanted = wanted.min(UNSHIFTED * f64::powf(2.0, shift));
    let multiplier = Multiplier::nearest(f64::powf(2.0, shift) / wanted)?;
    let unit = Unit {
        rho: f64::powf(2.0, shift) / multiplier.value(),
    };
    let reach = f64::from((127 - input_zero).max(input_zero + 128));
    let (mut integers, mut biases) = (Vec::new(), Vec::new());
    for (index, (&factor, sums)) in factors.iter().zip(filter.sums()).enumerate() {
        let bias = filter.model_bias(index);
        let exact = factor * unit.rho;
        let nearest = exact.round().clamp(1.0, 32_767.0);
        let steps = 256.0 + (bias as f64 * factor).abs();
        let accumulator = (f64::from(sums.magnitude) * reach).min(steps / factor);
        let error = accumulator * (nearest - exact).abs() / unit.rho
            + 0.5 * nearest / unit.rho
            + 0.5 * f64::powf(2.0, shift) / unit.rho;
        if error > ERROR {
            return None;
        }
        let (mantissa, left) = q31(factor);
        let channel = Channel {
            factor,
            bias: (bias - i64::from(input_zero) * i64::from(sums.signed)) as f64,
            more: match rounding {
                Rounding::TwiceAboveZero if left < 0 => f64::powi(2.0, 30) / f64::from(mantissa),
                _ => 0.0,
            },
            signed: rounding != Rounding::TwiceAboveZero,
            results: [-1.0, 1.0]
                .map(|sign| (bias as f64 + sign * f64::from(sums.magnitude) * reach) * factor),
        };
        let (integer, bias) = channel.best(&unit, nearest);
        integers.push(integer);
        biases.push(bias);
    }
    Some(Scaled {
        stage: Stage::PerChannel {
            factors: integers,
            shift: shift as u8,
            multiplier,
            offset,
        },
        bias: biases,
    })
}

impl Channel {
    /// The multiplier near `nearest` and the bias with the least error together.
    fn best(&self, unit: &Unit, nearest: f64) -> (i16, i32) {
        let mut best = (f64::INFINITY, nearest, 0.0);
        for delta in [0.0, -1.0, 1.0] {
            let multiplier = nearest + delta;
            if !(1.0..=32_767.0).contains(&multiplier) {
                continue;
            }
            let (bias, error) = self.fit(unit, multiplier);
            if error < best.0 {
                best = (error, multiplier, bias);
            }
        }
        let (_, multiplier, bias) = best;
        // Biases of dead channels may lie beyond what an addition can hold: their results saturate.
        let limit = f64::from(1 << 30);
        (multiplier as i16, bias.clamp(-limit, limit) as i32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// TFLite's two roundings of `sum * factor`.
    fn twice(sum: i64, factor: f64) -> i64 {
        let (mantissa, left) = q31(factor);
        let high = (sum * i64::from(mantissa) + (1 << 30)) >> 31;
        let (right, half) = (-left, 1_i64 << (-left - 1));
        (high + half) >> right
    }

    #[test]
    fn multiplier_and_bias_together_come_near_to_two_roundings() {
        let (mut together, mut plain, mut all) = (0, 0, 0);
        for (i, factor) in [0.0031, 0.0047, 0.0083, 0.0017, 0.0122]
            .into_iter()
            .enumerate()
        {
            for (j, rho) in [2.1e6, 2.6e6, 1.4e6, 2.4e6].into_iter().enumerate() {
                let channel = Channel {
                    factor,
                    bias: f64::from(7919 * (i as i32 + 1) - 10_007 * j as i32),
                    more: f64::powi(2.0, 30) / f64::from(q31(factor).0),
                    signed: false,
                    results: [-500.0, 500.0],
                };
                let unit = Unit { rho };
                let (c, a) = channel.best(&unit, (factor * rho).round());
                let once = |sum: f64| (sum * factor).round_ties_even() as i64;
                for sum in (0..(120.0 / factor) as i64).step_by(3) {
                    let stored = sum as f64 - channel.bias;
                    let ours = (stored + f64::from(a)) * f64::from(c) / rho;
                    let expected = twice(sum, factor);
                    all += 1;
                    together += i32::from(ours.round_ties_even() as i64 != expected);
                    plain += i32::from(once(sum as f64) != expected);
                }
            }
        }
        assert!(
            together * 2 < plain,
            "{together} and {plain} of {all} differ"
        );
    }
}
