//! A scale for each channel, applied on the chip.
//!
//! The chip multiplies `acc + A` by a 15-bit `C` of the channel, shifts the product of up to 48 bits
//! right, and rescales the result, which all channels have in the same steps, to 8 bits. `C` is a rounded
//! number and `A` an integer, so that both are chosen together: for the least error over the results
//! that a layer has.

use super::quant::{Multiplier, q31};
use super::weights::Filter;
use crate::sums::Sums;
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
    /// Smallest and largest result that the weights can make and the output can hold, in steps from the
    /// zero point.
    results: [f64; 2],
}

impl Channel {
    /// A result that is looked at, or the nearest that the channel can have.
    fn result(&self, result: f64) -> f64 {
        result.clamp(self.results[0], self.results[1])
    }

    /// Distance of a result from what a multiplier and a bias make of its sum, in output steps.
    fn off(&self, unit: &Unit, multiplier: f64, bias: f64, result: f64) -> f64 {
        // Results are those of `sum + bias` at the factor.
        let slope = multiplier / unit.rho;
        (result / self.factor - self.bias + bias) * slope - result - self.more * self.factor
    }

    /// The bias for a multiplier, and the error of both, in output steps, summed over results.
    fn fit(&self, unit: &Unit, multiplier: f64) -> (f64, f64) {
        let off = |bias: f64, result: f64| self.off(unit, multiplier, bias, result);
        let side = |bias: f64, sign: f64| -> f64 {
            let error = |(result, weight)| off(bias, self.result(sign * result)).abs() * weight;
            RESULTS.map(error).iter().sum()
        };
        // Where the two lines cross: in the middle of most results, or at the zero point.
        let crossing = self.result(if self.signed { 0.0 } else { 14.0 });
        let exact = -off(0.0, crossing) / (multiplier / unit.rho);
        let candidates = [exact.floor(), exact.ceil()].map(|bias| {
            let below = if self.signed { side(bias, -1.0) } else { 0.0 };
            (bias, side(bias, 1.0) + below)
        });
        let [a, b] = candidates;
        if b.1 < a.1 { b } else { a }
    }

    /// Largest error over the results, in output steps.
    fn worst(&self, unit: &Unit, multiplier: f64, bias: f64) -> f64 {
        let off = |result| self.off(unit, multiplier, bias, result).abs();
        self.results.map(off).into_iter().fold(0.0, f64::max)
    }

    /// The multiplier and the bias with the least error together; none if it is too large.
    fn best(&self, unit: &Unit) -> Option<(i16, i32)> {
        let exact = self.factor * unit.rho;
        let nearest = exact.round().min(32_767.0);
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
        if self.worst(unit, multiplier, bias) > ERROR {
            // A channel that is dead behind its activation: nothing comes of it.
            let nothing = self.results.iter().all(|result| result.abs() <= ERROR);
            return nothing.then_some((0, 0));
        }
        // Biases may lie beyond what an addition can hold: their results saturate.
        let limit = f64::from(1 << 30);
        Some((multiplier as i16, bias.clamp(-limit, limit) as i32))
    }
}

/// Units that are tried, each a little smaller than the one before: where factors are coarse it matters
/// how near to integers they come.
const UNITS: usize = 24;

/// Multipliers and biases of all channels, if they are precise enough for every one.
///
/// With `rho` the product of one output step, `C` is `factor * rho`, the largest nearly 2^15. `range` is
/// that of the results, in steps from the zero point.
pub fn scale(
    filter: &Filter<'_>,
    factors: &[f64],
    input_zero: i32,
    offset: i32,
    rounding: Rounding,
    range: [i32; 2],
) -> Option<Scaled> {
    let most = factors.iter().copied().fold(0.0, f64::max);
    if !(most.is_finite() && most > 0.0) || factors.iter().any(|f| f.is_nan() || *f <= 0.0) {
        return None;
    }
    let reach = f64::from((127 - input_zero).max(input_zero + 128));
    let channel = |(index, (&factor, sums)): (usize, (&f64, &Sums))| {
        let bias = filter.model_bias(index);
        let (_, left) = q31(factor);
        let results = [-1.0, 1.0].map(|sign| {
            let result = (bias as f64 + sign * f64::from(sums.magnitude) * reach) * factor;
            result.clamp(f64::from(range[0]), f64::from(range[1]))
        });
        Channel {
            factor,
            bias: (bias - i64::from(input_zero) * i64::from(sums.signed)) as f64,
            more: match rounding {
                Rounding::TwiceAboveZero if left < 0 => carry(factor),
                _ => 0.0,
            },
            signed: rounding != Rounding::TwiceAboveZero,
            results,
        }
    };
    let pairs = factors.iter().zip(filter.sums()).enumerate();
    let channels: Vec<Channel> = pairs.map(channel).collect();
    (0..UNITS).find_map(|unit| {
        let smaller = 1.0 - unit as f64 / (2 * UNITS) as f64;
        let wanted = 32_766.0 / most * (1.0 - 1.0 / 16_384.0) * smaller;
        scale_by(&channels, wanted, offset)
    })
}

/// What makes one rounding of a sum fall in with two, in accumulator steps: a half by the mantissa.
fn carry(factor: f64) -> f64 {
    f64::powi(2.0, 30) / f64::from(q31(factor).0)
}

/// Multipliers and biases with about `wanted` products for an output step.
fn scale_by(channels: &[Channel], wanted: f64, offset: i32) -> Option<Scaled> {
    let shift = (wanted / INTERMEDIATE).log2().floor().clamp(0.0, 31.0);
    let wanted = wanted.min(UNSHIFTED * f64::powf(2.0, shift));
    let multiplier = Multiplier::nearest(f64::powf(2.0, shift) / wanted)?;
    let unit = Unit {
        rho: f64::powf(2.0, shift) / multiplier.value(),
    };
    let operands: Option<Vec<(i16, i32)>> = channels.iter().map(|c| c.best(&unit)).collect();
    let (factors, bias) = operands?.into_iter().unzip();
    Some(Scaled {
        stage: Stage::PerChannel {
            factors,
            shift: shift as u8,
            multiplier,
            offset,
        },
        bias,
    })
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
                    more: carry(factor),
                    signed: false,
                    results: [0.0, 127.0],
                };
                let unit = Unit { rho };
                let (c, a) = channel.best(&unit).expect("precise enough");
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
