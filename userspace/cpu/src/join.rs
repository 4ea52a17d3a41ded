//! CONCATENATION and PACK.

use super::context::{Affine, Context, resolve_axis};
use super::{KernelError, Value};
use ferrite_ir::DType;
use ferrite_ir::op::Activation;
use ferrite_simd::{Table, look_up};

/// CONCATENATION. The reference rescales uint8 operands in single precision; int8 operands must
/// have the result's quantisation.
pub(super) fn concatenation(
    ctx: &Context<'_>,
    axis: i32,
    activation: Activation,
) -> Result<Value, KernelError> {
    if activation != Activation::None {
        return Err(KernelError::Unsupported);
    }
    let first = ctx.input(0)?;
    let axis = resolve_axis(axis.into(), first.shape().len())?;
    let mut parts = Vec::new();
    let mut shape = first.shape().to_vec();
    shape[axis] = 0;
    for i in 0..ctx.inputs.len() {
        let x = ctx.input(i)?;
        let fits = x.dtype() == first.dtype()
            && x.shape().len() == shape.len()
            && (0..shape.len()).all(|d| d == axis || x.shape()[d] == shape[d]);
        if !fits {
            return Err(mismatch(first, x));
        }
        shape[axis] = shape[axis]
            .checked_add(x.shape()[axis])
            .ok_or_else(|| mismatch(first, x))?;
        parts.push((x, rescaling(ctx, i)?));
    }
    let size = first.dtype().size();
    let inner: usize = shape[axis + 1..].iter().product::<usize>() * size;
    let lengths = parts.iter().map(|(x, _)| x.shape()[axis] * inner).collect();
    join(parts, lengths, Value::zeros(first.dtype(), shape)?)
}

/// PACK: operands of one shape stacked along a new axis.
pub(super) fn pack(ctx: &Context<'_>, axis: i32) -> Result<Value, KernelError> {
    let first = ctx.input(0)?;
    let mut shape = first.shape().to_vec();
    let axis = resolve_axis(axis.into(), shape.len() + 1)?;
    shape.insert(axis, ctx.inputs.len());
    let mut parts = Vec::new();
    for i in 0..ctx.inputs.len() {
        let x = ctx.input(i)?;
        if x.dtype() != first.dtype() || x.shape() != first.shape() {
            return Err(mismatch(first, x));
        }
        parts.push((x, None));
    }
    let inner: usize = shape[axis + 1..].iter().product();
    let lengths = vec![inner * first.dtype().size(); parts.len()];
    join(parts, lengths, Value::zeros(first.dtype(), shape)?)
}

fn mismatch(a: &Value, b: &Value) -> KernelError {
    KernelError::Shape {
        what: "operands of different types or shapes cannot be joined",
        shapes: vec![a.shape().to_vec(), b.shape().to_vec()],
    }
}

/// The table that brings a uint8 operand to the result's quantisation, if they differ.
fn rescaling(ctx: &Context<'_>, index: usize) -> Result<Option<Table>, KernelError> {
    let dtype = ctx.input(index)?.dtype();
    let quantised =
        ctx.input_tensor(index)?.quant.is_some() && ctx.output_tensor(0)?.quant.is_some();
    if !matches!(dtype, DType::U8 | DType::I8) || !quantised {
        return Ok(None);
    }
    let (x, y) = (ctx.input_affine(index)?, Affine::of(ctx.output_tensor(0)?)?);
    if x == y {
        return Ok(None);
    }
    if dtype == DType::I8 {
        return Err(KernelError::Quantisation {
            tensor: ctx.input_tensor(index)?.name.clone(),
            what: "int8 operands must have the result's quantisation",
        });
    }
    let scale = x.scale * (1.0 / y.scale);
    let bias = -x.zero_point as f32 * scale;
    Ok(Some(std::array::from_fn(|v| {
        let value = (v as f32 * scale + bias).round() as i32;
        value.saturating_add(y.zero_point).clamp(0, 255) as u8
    })))
}

/// Writes the operands' pieces of the given lengths in turn until all are used up.
fn join(
    parts: Vec<(&Value, Option<Table>)>,
    lengths: Vec<usize>,
    mut out: Value,
) -> Result<Value, KernelError> {
    let stride: usize = lengths.iter().sum();
    if stride == 0 || out.elements() == 0 {
        return Ok(out);
    }
    let mut at = 0;
    for ((x, table), len) in parts.into_iter().zip(lengths) {
        if len == 0 {
            continue;
        }
        let rows = out.bytes_mut().chunks_exact_mut(stride);
        for (to, from) in rows.zip(x.bytes().chunks_exact(len)) {
            let to = &mut to[at..at + len];
            match &table {
                None => to.copy_from_slice(from),
                Some(table) => look_up(table, from, to),
            }
        }
        at += len;
    }
    Ok(out)
}
