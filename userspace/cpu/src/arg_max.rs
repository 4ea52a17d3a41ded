//! ARG_MAX: the first index of the largest element along an axis.

use super::context::{Context, resolve_axis};
use super::value::Element;
use super::{KernelError, Value};
use crate::memory;
use ferrite_ir::DType;
use ferrite_process::parallel;

pub(super) fn run(ctx: &Context<'_>, output: DType) -> Result<Value, KernelError> {
    let x = ctx.input(0)?;
    let axis = ctx.input(1)?.integers()?;
    let axis = *axis
        .first()
        .ok_or(KernelError::MissingOperand { index: 1 })?;
    let axis = resolve_axis(axis, x.shape().len())?;
    if x.elements() == 0 {
        return Err(KernelError::Shape {
            what: "no element to choose from",
            shapes: vec![x.shape().to_vec()],
        });
    }
    let indices = match x.dtype() {
        DType::U8 => indices::<u8>(x, axis)?,
        DType::I8 => indices::<i8>(x, axis)?,
        DType::I32 => indices::<i32>(x, axis)?,
        DType::F32 => indices::<f32>(x, axis)?,
        found => {
            return Err(KernelError::ElementType {
                what: "the operand",
                found,
            });
        }
    };
    let mut shape = x.shape().to_vec();
    shape.remove(axis);
    match output {
        DType::I32 => Value::from_slice::<i32>(
            shape,
            &indices.iter().map(|&i| i as i32).collect::<Vec<_>>(),
        ),
        DType::I64 => Value::from_slice::<i64>(shape, &indices),
        found => Err(KernelError::ElementType {
            what: "the result",
            found,
        }),
    }
}

fn indices<T: Element + PartialOrd>(x: &Value, axis: usize) -> Result<Vec<i64>, KernelError> {
    let size = x.shape()[axis];
    let inner: usize = x.shape()[axis + 1..].iter().product();
    let data = x.view::<T>()?;
    let mut out = memory::zeros(data.len() / size)?;
    let group = (1 << 12) / (size * inner).min(1 << 12);
    parallel::chunks_mut_grouped(&mut out, inner, group, |i, out| {
        let data = &data[i * size * inner..][..size * inner];
        for (i, o) in out.iter_mut().enumerate() {
            let mut best = (0, data[i]);
            for k in 1..size {
                let v = data[k * inner + i];
                if v > best.1 {
                    best = (k, v);
                }
            }
            *o = best.0 as i64;
        }
    });
    Ok(out)
}
