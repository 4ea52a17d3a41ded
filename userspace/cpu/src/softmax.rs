//! SOFTMAX over the last dimension.
//!
//! On 8-bit tensors the exponential is gemmlowp's fixed-point one. It depends only on the distance
//! from the row's maximum, so it is a table of 256 entries.

use super::context::{Byte, Context, by_byte_type};
use super::fixed_point::{doubling_high_mul, rounding_shift_right, saturating_shift_left};
use super::{KernelError, Multiplier, Value};
use ferrite_ir::DType;
use ferrite_process::parallel;

/// Integer bits of the exponential's operand (Q5.26).
const OPERAND_BITS: u32 = 5;
/// Integer bits of the sum of exponentials (Q12.19).
const SUM_BITS: i32 = 12;

pub(super) fn run(ctx: &Context<'_>, beta: f32) -> Result<Value, KernelError> {
    let x = ctx.input(0)?;
    let result = ctx.output_tensor(0)?;
    let depth = x.shape().last().copied().unwrap_or(0);
    if depth == 0 || result.dtype != x.dtype() {
        return Err(KernelError::Shape {
            what: "softmax needs a last dimension, and a result of the operand's type",
            shapes: vec![x.shape().to_vec()],
        });
    }
    let mut out = Value::zeros(x.dtype(), x.shape())?;
    if x.dtype() == DType::F32 {
        let rows = x.view::<f32>()?.chunks_exact(depth);
        for (row, out) in rows.zip(out.view_mut::<f32>()?.chunks_exact_mut(depth)) {
            float_row(row, out, beta);
        }
        return Ok(out);
    }
    let exponentials = Exponentials::new(ctx.input_affine(0)?.scale, beta)?;
    by_byte_type!(x.dtype(), "the operand", T => {
        let (rows, group) = (x.view::<T>()?, (1 << 12) / depth.min(1 << 12));
        parallel::chunks_mut_grouped(out.view_mut::<T>()?, depth, group, |i, out| {
            exponentials.normalise(&rows[i * depth..][..depth], out);
        });
        Ok(())
    })?;
    Ok(out)
}

fn float_row(row: &[f32], out: &mut [f32], beta: f32) {
    let max = row.iter().copied().fold(f32::MIN, f32::max);
    let mut sum = 0.0;
    for (o, &v) in out.iter_mut().zip(row) {
        *o = ((v - max) * beta).exp();
        sum += *o;
    }
    for o in out {
        *o /= sum;
    }
}

/// Exponentials by distance from the maximum.
struct Exponentials {
    /// In Q0.31; `None` where the reference leaves the element out.
    table: [Option<i32>; 256],
}

impl Exponentials {
    fn new(scale: f32, beta: f32) -> Result<Exponentials, KernelError> {
        let fraction = 31 - OPERAND_BITS;
        let real = f64::from(beta) * f64::from(scale) * f64::from(1 << fraction);
        // Larger factors leave nothing but the maximum in any case.
        let capped = real.min(f64::from(i32::MAX));
        if capped.is_nan() || capped <= 1.0 {
            return Err(KernelError::Multiplier { value: real });
        }
        let m = Multiplier::from_real(capped)?;
        let radius = f64::from((1 << OPERAND_BITS) - 1) * f64::from(1 << fraction)
            / (1i64 << m.shift) as f64;
        let least = -(radius.floor() as i64);
        let table = std::array::from_fn(|distance| {
            let difference = -(distance as i32);
            (i64::from(difference) >= least).then(|| {
                let shifted = i64::from(difference) << m.shift;
                exp_of_negative(doubling_high_mul(shifted as i32, m.mantissa))
            })
        });
        Ok(Exponentials { table })
    }

    fn normalise<T: Byte>(&self, row: &[T], out: &mut [T]) {
        let Some(max) = row.iter().copied().max() else {
            return;
        };
        let lookup = |v: T| self.table[(max.widen() - v.widen()) as usize];
        let sum = row.iter().fold(0u32, |sum, &v| {
            let term = lookup(v).map_or(0, |e| rounding_shift_right(e, SUM_BITS));
            sum.saturating_add(term as u32)
        });
        // The reciprocal of the sum in Q0.31, times a power of two. The maximum itself adds one,
        // so the sum is not zero.
        let headroom = sum.leading_zeros();
        let mantissa = sum.wrapping_shl(headroom);
        let reciprocal = reciprocal_of_one_plus(mantissa.wrapping_sub(1 << 31) as i32);
        let exponent = SUM_BITS - headroom as i32 + 31 - 8;
        let quotient = |e: Option<i32>| {
            let value = e.map_or(0, |e| {
                shift_right_wide(doubling_high_mul(reciprocal, e), exponent)
            });
            T::saturate(value + T::LOWEST)
        };
        if row.len() < self.table.len() {
            for (o, &v) in out.iter_mut().zip(row) {
                *o = quotient(lookup(v));
            }
            return;
        }
        let results = self.table.map(quotient);
        for (o, &v) in out.iter_mut().zip(row) {
            *o = results[(max.widen() - v.widen()) as usize];
        }
    }
}

/// `rounding_shift_right` for any exponent: from a sum of 512 on, where the reference aborts, the
/// quotient is below half a step but for ties.
fn shift_right_wide(x: i32, exponent: i32) -> i32 {
    if exponent <= 31 {
        rounding_shift_right(x, exponent.max(0))
    } else {
        let half = 1i64 << (exponent - 1);
        ((i64::from(x) + half) >> exponent) as i32
    }
}

/// e^x in Q0.31 for x <= 0 in Q5.26.
fn exp_of_negative(x: i32) -> i32 {
    const FRACTION: u32 = 31 - OPERAND_BITS;
    const QUARTER: i32 = 1 << (FRACTION - 2);
    /// e^-(2^k) in Q0.31 for k = -2..=4.
    const FACTORS: [i32; 7] = [
        1_672_461_947,
        1_302_514_674,
        790_015_084,
        290_630_308,
        39_332_535,
        720_401,
        242,
    ];
    if x == 0 {
        return i32::MAX;
    }
    // A part in [-1/4, 0), then one factor for each bit of the rest.
    let part = (x & (QUARTER - 1)) - QUARTER;
    let mut result = exp_of_small_negative(saturating_shift_left(part, OPERAND_BITS));
    let rest = part.wrapping_sub(x);
    for (k, factor) in FACTORS.iter().enumerate() {
        if rest & (QUARTER << k) != 0 {
            result = doubling_high_mul(result, *factor);
        }
    }
    result
}

/// e^x in Q0.31 for x in [-1/4, 0) in Q0.31: a Taylor polynomial around -1/8.
fn exp_of_small_negative(x: i32) -> i32 {
    const EXP_OF_MINUS_EIGHTH: i32 = 1_895_147_668;
    const THIRD: i32 = 715_827_883;
    let x = x + (1 << 28);
    let x2 = doubling_high_mul(x, x);
    let x3 = doubling_high_mul(x2, x);
    let x4 = doubling_high_mul(x2, x2);
    let quarter_x4 = rounding_shift_right(x4, 2);
    let tail = rounding_shift_right(doubling_high_mul(quarter_x4 + x3, THIRD) + x2, 1);
    EXP_OF_MINUS_EIGHTH + doubling_high_mul(EXP_OF_MINUS_EIGHTH, x + tail)
}

/// 1 / (1 + x) in Q0.31 for x in [0, 1) in Q0.31: three Newton steps.
fn reciprocal_of_one_plus(x: i32) -> i32 {
    // 48/17 and -32/17 in Q2.29, the best linear start.
    const START: i32 = 1_515_870_810;
    const SLOPE: i32 = -1_010_580_540;
    const ONE: i32 = 1 << 29;
    let sum = i64::from(x) + i64::from(i32::MAX);
    let half_denominator = ((sum + if sum >= 0 { 1 } else { -1 }) / 2) as i32;
    let mut y = START + doubling_high_mul(half_denominator, SLOPE);
    for _ in 0..3 {
        let error = ONE - doubling_high_mul(half_denominator, y);
        y += saturating_shift_left(doubling_high_mul(y, error), 2);
    }
    saturating_shift_left(y, 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponential_is_close() {
        for i in 0..2000 {
            let x = -f64::from(i) / 100.0;
            let fixed = exp_of_negative((x * f64::from(1 << 26)) as i32);
            assert!(
                (f64::from(fixed) / 2f64.powi(31) - x.exp()).abs() < 1e-6,
                "{x}"
            );
        }
    }

    #[test]
    fn reciprocal_is_close() {
        for i in 0..1000 {
            let x = f64::from(i) / 1000.0;
            let fixed = reciprocal_of_one_plus((x * 2f64.powi(31)) as i32);
            assert!(
                (f64::from(fixed) / 2f64.powi(31) - 1.0 / (1.0 + x)).abs() < 1e-6,
                "{x}"
            );
        }
    }

    #[test]
    fn a_thousand_equal_elements_do_not_abort() {
        let e = Exponentials::new(0.001, 1.0).unwrap();
        let mut out = vec![0i8; 1000];
        e.normalise(&vec![5i8; 1000], &mut out);
        assert!(out.iter().all(|&v| v == -128));
    }
}
