//! The stages on blocks of values.
//!
//! Values are integers held in f64: sums and products of int32 and int16 stay below 2^53, so each
//! step is exact, and rounding to nearest even is one vector instruction.

use super::super::config::Config;
use super::super::fault::Check;
use super::decode::{Alu, Dpu, EwOperand, Multiply, OutCvt, Output, Stage};
use super::operands::StageOperands;
use super::table::Table;

const INT32: (f64, f64) = (i32::MIN as f64, i32::MAX as f64);

/// A task's stages with their operands.
pub(crate) struct Pipeline {
    pub dpu: Dpu,
    pub operands: [StageOperands; 2],
    /// What the element-wise stage looks its results up in.
    pub table: Option<Table>,
    /// Right shift of the accumulator in CORE.
    pub truncate: u32,
}

/// 2^-shift; 0 where any int32 * int16 product would round to 0.
fn power(shift: u32) -> f64 {
    if shift > 62 {
        return 0.0;
    }
    1.0 / (1u64 << shift) as f64
}

#[inline(always)]
fn saturate(x: f64) -> f64 {
    x.clamp(INT32.0, INT32.1)
}

impl Pipeline {
    /// Fails if what came out rests on what is not known.
    pub(crate) fn check(&self, config: &Config) -> Check {
        self.table.as_ref().map_or(Ok(()), |t| t.check(config))
    }

    /// Runs all stages on `values` (`[pixel][G]`, of no more than `limit` either way) of the group that
    /// starts at channel `first`; `operand` is the element-wise operand in the same order. Leaves output
    /// values.
    #[inline(always)]
    pub(crate) fn run<const G: usize>(
        &self,
        values: &mut [f64],
        limit: f64,
        operand: &[f64],
        first: usize,
    ) {
        if self.truncate > 0 {
            let m = power(self.truncate);
            values
                .iter_mut()
                .for_each(|x| *x = (*x * m).round_ties_even());
        }
        let [bs, bn] = &self.operands;
        let limit = stage::<G>(values, limit, &self.dpu.bs, bs, first, false);
        stage::<G>(values, limit, &self.dpu.bn, bn, first, true);
        if let Some(ew) = &self.dpu.ew.operand {
            elementwise(values, operand, ew);
        }
        if let Some(table) = &self.table {
            table.look_up(values);
        }
        if let Some(upper) = self.dpu.ew.relu {
            relu(values, upper);
        }
        convert(values, &self.dpu.cvt, self.dpu.output);
    }
}

/// BS adds, then multiplies; BN multiplies, then adds. From the largest magnitude before to that behind.
#[inline(always)]
fn stage<const G: usize>(
    values: &mut [f64],
    mut limit: f64,
    stage: &Stage,
    operands: &StageOperands,
    first: usize,
    multiply_first: bool,
) -> f64 {
    if multiply_first && let Some(multiply) = &stage.multiply {
        limit = product::<G>(
            values,
            limit,
            multiply,
            &operands.multiply[first..first + G],
        );
    }
    if let Some((alu, _)) = stage.alu {
        limit = combine::<G>(values, limit, alu, &operands.alu[first..first + G]);
    }
    if !multiply_first && let Some(multiply) = &stage.multiply {
        limit = product::<G>(
            values,
            limit,
            multiply,
            &operands.multiply[first..first + G],
        );
    }
    if let Some(upper) = stage.relu {
        relu(values, upper);
    }
    limit
}

/// The largest magnitude.
#[inline(always)]
fn largest(operands: &[f64]) -> f64 {
    operands.iter().fold(0.0, |most, o| {
        let o = o.abs();
        if o > most { o } else { most }
    })
}

/// Saturates to 32 bits where magnitudes up to `limit` can need it. Gives what they are behind it.
#[inline(always)]
fn saturate_all(values: &mut [f64], limit: f64) -> f64 {
    if limit <= INT32.1 {
        return limit;
    }
    values.iter_mut().for_each(|x| *x = saturate(*x));
    -INT32.0
}

#[inline(always)]
fn combine<const G: usize>(values: &mut [f64], limit: f64, alu: Alu, operands: &[f64]) -> f64 {
    let Ok(operands) = <&[f64; G]>::try_from(operands) else {
        return limit;
    };
    let (pixels, _) = pulp::as_arrays_mut::<G, _>(values);
    for pixel in pixels {
        for (x, &o) in pixel.iter_mut().zip(operands) {
            *x = apply(alu, *x, o);
        }
    }
    let limit = match alu {
        Alu::Multiply => limit * largest(operands),
        _ => limit + largest(operands),
    };
    saturate_all(values, limit)
}

#[inline(always)]
fn apply(alu: Alu, x: f64, o: f64) -> f64 {
    match alu {
        Alu::Add => x + o,
        Alu::Subtract => x - o,
        Alu::Maximum => x.max(o),
        Alu::Minimum => x.min(o),
        Alu::Multiply => x * o,
    }
}

#[inline(always)]
fn product<const G: usize>(
    values: &mut [f64],
    limit: f64,
    multiply: &Multiply,
    operands: &[f64],
) -> f64 {
    let Ok(operands) = <&[f64; G]>::try_from(operands) else {
        return limit;
    };
    let (m, negative) = (power(multiply.shift), power(multiply.shift_negative));
    let (pixels, _) = pulp::as_arrays_mut::<G, _>(values);
    if m == negative {
        for pixel in pixels {
            for (x, &o) in pixel.iter_mut().zip(operands) {
                *x = (*x * o * m).round_ties_even();
            }
        }
    } else {
        for pixel in pixels {
            for (x, &o) in pixel.iter_mut().zip(operands) {
                let p = *x * o;
                let m = if p < 0.0 { negative } else { m };
                *x = (p * m).round_ties_even();
            }
        }
    }
    let larger = if m > negative { m } else { negative };
    // Half a step of rounding, and what the bound itself is rounded by.
    saturate_all(values, limit * largest(operands) * larger + 1.0)
}

#[inline(always)]
fn relu(values: &mut [f64], upper: Option<i32>) {
    let upper = upper.map_or(INT32.1, f64::from);
    // No NaN comes here, which `max` and `min` would look for.
    for x in values {
        let above = if *x > 0.0 { *x } else { 0.0 };
        *x = if above < upper { above } else { upper };
    }
}

#[inline(always)]
fn elementwise(values: &mut [f64], operand: &[f64], ew: &EwOperand) {
    let (offset, scale, m) = (f64::from(ew.offset), f64::from(ew.scale), power(ew.shift));
    for (x, &o) in values.iter_mut().zip(operand) {
        let o = if ew.add_first {
            ((o + offset) * scale * m).round_ties_even()
        } else {
            (o * scale * m).round_ties_even() + offset
        };
        *x = saturate(apply(ew.alu, *x, narrowed(ew, saturate(o))));
    }
}

/// A factor of a product is read with 16 bits, others as they are.
#[inline(always)]
fn narrowed(ew: &EwOperand, o: f64) -> f64 {
    match ew.alu {
        Alu::Multiply => f64::from(o as i32 as i16),
        _ => o,
    }
}

#[inline(always)]
fn convert(values: &mut [f64], cvt: &OutCvt, output: Output) {
    let (low, high) = match output {
        Output::Int8 => (-128.0, 127.0),
        Output::Int32 | Output::Fp32 => INT32,
    };
    let (offset, scale, m) = (
        f64::from(cvt.offset),
        f64::from(cvt.scale),
        power(cvt.shift),
    );
    if cvt.add_first {
        for x in values {
            let sum = saturate(*x + offset);
            *x = (sum * scale * m).round_ties_even().clamp(low, high);
        }
    } else {
        // scale * m is exact: 16 bits times a power of two.
        let factor = scale * m;
        for x in values {
            *x = ((*x * factor).round_ties_even() + offset).clamp(low, high);
        }
    }
}
