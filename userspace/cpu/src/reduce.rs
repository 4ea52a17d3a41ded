//! MEAN, SUM, REDUCE_MAX and REDUCE_MIN.
//!
//! The int8 SUM of LiteRT's reference kernels reads its input as unsigned and is wrong; the one
//! here is the rescaled sum that its uint8 kernel computes.

use super::context::{Affine, Byte, Context, by_byte_type, resolve_axis};
use super::value::Element;
use super::{KernelError, Multiplier, Value};
use crate::memory::{self, OutOfMemory};
use ferrite_ir::DType;
use ferrite_ir::op::Reduce;

pub(super) fn run(ctx: &Context<'_>, op: Reduce, keep_dims: bool) -> Result<Value, KernelError> {
    let x = ctx.input(0)?;
    let plan = Plan::new(x, ctx.input(1)?, keep_dims)?;
    let mut out = Value::zeros(x.dtype(), plan.output.clone())?;
    match (op, x.dtype()) {
        (Reduce::Max | Reduce::Min, DType::U8) => plan.extremum::<u8>(x, &mut out, op)?,
        (Reduce::Max | Reduce::Min, DType::I8) => plan.extremum::<i8>(x, &mut out, op)?,
        (Reduce::Max | Reduce::Min, DType::I32) => plan.extremum::<i32>(x, &mut out, op)?,
        (Reduce::Max | Reduce::Min, DType::I64) => plan.extremum::<i64>(x, &mut out, op)?,
        (Reduce::Max | Reduce::Min, DType::F32) => plan.extremum::<f32>(x, &mut out, op)?,
        (Reduce::Mean | Reduce::Sum, DType::F32) => {
            let count = if op == Reduce::Mean {
                plan.count as f32
            } else {
                1.0
            };
            let sums = plan.fold(x.view::<f32>()?, 0.0, |acc: &mut f32, v| *acc += v)?;
            for (o, sum) in out.view_mut::<f32>()?.iter_mut().zip(sums) {
                *o = sum / count;
            }
        }
        (Reduce::Mean | Reduce::Sum, DType::I32) => {
            let count = if op == Reduce::Mean {
                plan.count as i64
            } else {
                1
            };
            let add = |acc: &mut i64, v: i32| *acc = acc.wrapping_add(v.into());
            let sums = plan.fold(x.view::<i32>()?, 0, add)?;
            for (o, sum) in out.view_mut::<i32>()?.iter_mut().zip(sums) {
                *o = (sum / count) as i32;
            }
        }
        (Reduce::Mean | Reduce::Sum, _) => {
            by_byte_type!(x.dtype(), "the operand", T => {
                let scaling = Scaling::new(ctx, &plan, op)?;
                let add = |acc: &mut i32, v: T| *acc = acc.wrapping_add(v.widen());
                let sums = plan.fold(x.view::<T>()?, 0, add)?;
                for (o, sum) in out.view_mut::<T>()?.iter_mut().zip(sums) {
                    let value = scaling.apply(sum);
                    *o = T::saturate(value);
                }
                Ok(())
            })?;
        }
        (_, found) => {
            return Err(KernelError::ElementType {
                what: "the operand",
                found,
            });
        }
    }
    Ok(out)
}

/// Rescaling of a quantised sum or mean. The mean's division goes into the multiplier.
struct Scaling {
    multiplier: Multiplier,
    /// Sum of the input's zero points.
    offset: i32,
    zero_point: i32,
}

impl Scaling {
    fn new(ctx: &Context<'_>, plan: &Plan, op: Reduce) -> Result<Scaling, KernelError> {
        let (x, y) = (ctx.input_affine(0)?, Affine::of(ctx.output_tensor(0)?)?);
        let mut m = Multiplier::from_real(f64::from(x.scale) / f64::from(y.scale))?;
        if op == Reduce::Mean {
            let count = plan.count as u64;
            let shift = (63 - count.leading_zeros() as i32)
                .min(32)
                .min(31 + m.shift);
            m.mantissa = ((i64::from(m.mantissa) << shift) / count as i64) as i32;
            m.shift -= shift;
        }
        Ok(Scaling {
            multiplier: m,
            offset: (x.zero_point).wrapping_mul(plan.count as i32),
            zero_point: y.zero_point,
        })
    }

    fn apply(&self, sum: i32) -> i32 {
        self.multiplier
            .apply(sum.wrapping_sub(self.offset))
            .wrapping_add(self.zero_point)
    }
}

/// Where each input element goes.
struct Plan {
    input: Vec<usize>,
    reduced: Vec<bool>,
    output: Vec<usize>,
    /// Input elements for each output element.
    count: usize,
}

impl Plan {
    fn new(x: &Value, axes: &Value, keep_dims: bool) -> Result<Plan, KernelError> {
        let input = x.shape().to_vec();
        let mut reduced = vec![false; input.len()];
        for axis in axes.integers()? {
            reduced[resolve_axis(axis, input.len())?] = true;
        }
        let dims = input.iter().zip(&reduced);
        let output = dims
            .clone()
            .filter(|&(_, &r)| keep_dims || !r)
            .map(|(&d, &r)| if r { 1 } else { d })
            .collect();
        let count = dims.filter(|&(_, &r)| r).map(|(&d, _)| d).product();
        if x.elements() == 0 || count > i32::MAX as usize {
            return Err(KernelError::Shape {
                what: "nothing, or too much, to reduce",
                shapes: vec![input],
            });
        }
        Ok(Plan {
            input,
            reduced,
            output,
            count,
        })
    }

    /// Folds the elements of each output in the input's order.
    fn fold<T: Copy, A: Copy>(
        &self,
        input: &[T],
        start: A,
        step: impl Fn(&mut A, T),
    ) -> Result<Vec<A>, OutOfMemory> {
        // Steps of the output along each input dimension.
        let mut steps = vec![0usize; self.input.len()];
        let mut size = 1;
        for (i, step) in steps.iter_mut().enumerate().rev() {
            if !self.reduced[i] {
                *step = size;
                size *= self.input[i];
            }
        }
        let mut acc = memory::repeated(start, size)?;
        let (Some(&row), Some(&row_step)) = (self.input.last(), steps.last()) else {
            acc.iter_mut().zip(input).for_each(|(a, &v)| step(a, v));
            return Ok(acc);
        };
        let outer = &self.input[..self.input.len() - 1];
        for (index, row) in input.chunks_exact(row).enumerate() {
            let (mut rest, mut at) = (index, 0);
            for (&n, &s) in outer.iter().zip(&steps).rev() {
                at += rest % n * s;
                rest /= n;
            }
            if row_step == 0 {
                let mut sum = acc[at];
                row.iter().for_each(|&v| step(&mut sum, v));
                acc[at] = sum;
            } else {
                let acc = &mut acc[at..at + row.len()];
                acc.iter_mut().zip(row).for_each(|(a, &v)| step(a, v));
            }
        }
        Ok(acc)
    }

    fn extremum<T: Element + PartialOrd>(
        &self,
        x: &Value,
        out: &mut Value,
        op: Reduce,
    ) -> Result<(), KernelError> {
        let better = |a: T, b: T| if op == Reduce::Max { a > b } else { a < b };
        let step = |acc: &mut Option<T>, v: T| {
            if acc.is_none_or(|a| better(v, a)) {
                *acc = Some(v);
            }
        };
        let found = self.fold(x.view::<T>()?, None, step)?;
        for (o, v) in out.view_mut::<T>()?.iter_mut().zip(found) {
            // Every output has at least one element: the plan refuses empty inputs.
            *o = v.unwrap_or(T::zeroed());
        }
        Ok(())
    }
}
