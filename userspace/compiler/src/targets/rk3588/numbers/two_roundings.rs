//! One rounding that falls in with TFLite's two.
//!
//! TFLite rounds the product of an accumulator and a mantissa in [0.5, 1) to an integer first, then
//! the right shift by `s` to nearest, ties away from zero. For results that are not below the zero
//! point the two are one rounding of a value that is `2^-(s + 1)` steps larger: a multiple of `2^-s`
//! rounds up from half a step on, and half a multiple less than that is rounded up to it. In units of
//! the accumulator that is `0.5 / mantissa`, between a half and one.

use super::quant::{Scaling, q31, scaling};
use crate::error::Unsupported;

/// Output stage for results that are not below the zero point:
/// `round(((acc + carry) * scaling.factor + nudge) * scaling.multiplier)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Imitation {
    /// The scaling to use, with its slope corrected where a carry asks for it.
    pub scaling: Scaling,
    /// Added to accumulators: part of the bias.
    pub carry: i32,
    /// Added to the products with the integer factor. 0 where nothing may follow that factor, or its
    /// unit is too coarse.
    pub nudge: i32,
}

/// The result, in steps, at which carry and slope cancel: a quarter of the range of 8 bits. Results
/// of layers that clamp at zero crowd there rather than in the middle.
const CROSSING: f64 = 64.0;

/// The imitation for accumulators up to `reach` scaled by `factor`, with or without an addition
/// behind the integer factor.
pub fn imitate(factor: f64, reach: i64, additions: bool) -> Result<Imitation, Unsupported> {
    let (mantissa, shift) = q31(factor);
    if shift >= 0 || additions {
        let scaling = scaling(factor, reach)?;
        let nudge = match shift >= 0 {
            true => Some(0),
            false => nudge(shift, scaling),
        };
        if let Some(nudge) = nudge {
            return Ok(Imitation {
                scaling,
                carry: 0,
                nudge,
            });
        }
    }
    // A whole accumulator is up to half of one too much: a slope that is less by so little gives it
    // back.
    let wanted = f64::powi(2.0, 30) / f64::from(mantissa);
    let slope = 1.0 - (1.0 - wanted) * factor / CROSSING;
    Ok(Imitation {
        scaling: scaling(factor * slope, reach)?,
        carry: 1,
        nudge: 0,
    })
}

/// The addition behind the integer factor, unless its unit is too coarse.
fn nudge(shift: i32, scaling: Scaling) -> Option<i32> {
    let wanted = f64::powi(2.0, shift - 1) / scaling.multiplier.value();
    // The next integer above: ties of the first rounding go up.
    let nudge = wanted.floor() + 1.0;
    (nudge - wanted <= wanted / 16.0).then_some(nudge as i32)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Positive accumulators, through one rounding and through two: how many results differ with
    /// the imitation and without, each weighted as if small results were the likelier ones.
    fn differences(factor: f64, additions: bool) -> (f64, f64) {
        let most = (300.0 / factor) as i64;
        let made = imitate(factor, most + 2, additions).expect("in range");
        let plain = Imitation {
            scaling: scaling(factor, most + 2).expect("in range"),
            carry: 0,
            nudge: 0,
        };
        let (mantissa, shift) = q31(factor);
        let (right, half) = (-shift, 1_i64 << (-shift - 1));
        let mut differ = [0.0, 0.0];
        for acc in 0..most {
            let high = (acc * i64::from(mantissa) + (1 << 30)) >> 31;
            let reference = (high + half) >> right;
            for (one, sum) in [made, plain].iter().zip(&mut differ) {
                let product = (acc + i64::from(one.carry)) * i64::from(one.scaling.factor)
                    + i64::from(one.nudge);
                let value = product as f64 * one.scaling.multiplier.value();
                if value.round_ties_even() as i64 != reference {
                    *sum += f64::exp(-(reference as f64) / 40.0);
                }
            }
        }
        (differ[0], differ[1])
    }

    #[test]
    fn an_addition_replaces_the_first_of_two_roundings() {
        for factor in [0.004_821, 0.000_37, 0.043_9, 0.007_9, 0.26] {
            let (with, without) = differences(factor, true);
            assert!(with * 20.0 <= without, "{factor}: {with}, not {without}");
        }
    }

    #[test]
    fn a_carry_comes_near_to_it() {
        let (mut with, mut without) = (0.0, 0.0);
        for factor in [0.004_821, 0.000_37, 0.007_9, 0.011, 0.0062, 0.0023, 0.0017] {
            let (a, b) = differences(factor, false);
            assert!(a < b * 0.8, "{factor}: {a}, not {b}");
            (with, without) = (with + a, without + b);
        }
        assert!(with * 3.0 < without, "{with}, not {without}");
    }
}
