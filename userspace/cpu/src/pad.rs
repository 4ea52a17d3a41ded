//! PAD, PADV2 and MIRROR_PAD.

use super::context::{Affine, Context};
use super::{KernelError, Value};
use crate::memory;
use ferrite_ir::DType;

/// Elements added in front and behind, for each dimension.
fn amounts(ctx: &Context<'_>) -> Result<Vec<[usize; 2]>, KernelError> {
    let (x, pads) = (ctx.input(0)?, ctx.input(1)?);
    if pads.shape() != [x.shape().len(), 2] {
        return Err(KernelError::Shape {
            what: "paddings are pairs for each dimension",
            shapes: vec![x.shape().to_vec(), pads.shape().to_vec()],
        });
    }
    let values = pads.integers()?;
    let mut pairs = Vec::new();
    for pair in values.chunks_exact(2) {
        let mut amount = [0; 2];
        for (a, &v) in amount.iter_mut().zip(pair) {
            *a = usize::try_from(v)
                .ok()
                .filter(|&v| v <= i32::MAX as usize)
                .ok_or(KernelError::Parameter {
                    what: "a padding",
                    value: v,
                })?;
        }
        pairs.push(amount);
    }
    Ok(pairs)
}

fn padded_shape(x: &Value, pads: &[[usize; 2]]) -> Vec<usize> {
    let dims = x.shape().iter().zip(pads);
    dims.map(|(d, p)| d.saturating_add(p[0] + p[1])).collect()
}

/// PAD and PADV2: a border of the real number zero, or of operand 2.
pub(super) fn constant(ctx: &Context<'_>) -> Result<Value, KernelError> {
    let x = ctx.input(0)?;
    let pads = amounts(ctx)?;
    let shape = padded_shape(x, &pads);
    let size = x.dtype().size();
    let mut out = Value::zeros(x.dtype(), shape.clone())?;
    let fill: Vec<u8> = match ctx.optional(2) {
        Some(v) if v.dtype() == x.dtype() && v.elements() == 1 => v.bytes().to_vec(),
        Some(v) => {
            return Err(KernelError::Shape {
                what: "the padding value is one element of the input's type",
                shapes: vec![v.shape().to_vec()],
            });
        }
        None if matches!(x.dtype(), DType::U8 | DType::I8) => {
            let result = ctx.output_tensor(0)?;
            let zero = match &result.quant {
                Some(_) => Affine::of(result)?.zero_point,
                None => 0,
            };
            vec![zero as u8]
        }
        None => vec![0; size],
    };
    if let [byte] = fill[..] {
        if byte != 0 {
            out.bytes_mut().fill(byte);
        }
    } else if fill.iter().any(|&b| b != 0) {
        for element in out.bytes_mut().chunks_exact_mut(size) {
            element.copy_from_slice(&fill);
        }
    }
    if x.elements() == 0 {
        return Ok(out);
    }
    // Runs of the input without padding inside, each copied to its place.
    let dims = x.shape();
    let outer = (0..dims.len())
        .rev()
        .find(|&d| pads[d] != [0, 0])
        .unwrap_or(0);
    let run = dims[outer..].iter().product::<usize>() * size;
    let inner: usize = dims[(outer + 1).min(dims.len())..].iter().product();
    let to = out.bytes_mut();
    for (index, from) in x.bytes().chunks_exact(run).enumerate() {
        let (mut rest, mut at, mut step) = (index, 0, 1);
        if let (Some(&width), Some(pad)) = (shape.get(outer), pads.get(outer)) {
            at = pad[0] * inner;
            step = width * inner;
        }
        for d in (0..outer).rev() {
            at += (rest % dims[d] + pads[d][0]) * step;
            rest /= dims[d];
            step *= shape[d];
        }
        to[at * size..at * size + run].copy_from_slice(from);
    }
    Ok(out)
}

/// MIRROR_PAD: the border mirrors the input, with or without its outermost elements.
pub(super) fn mirror(ctx: &Context<'_>, reflect: bool) -> Result<Value, KernelError> {
    let x = ctx.input(0)?;
    let pads = amounts(ctx)?;
    let skip = usize::from(reflect);
    for (&d, p) in x.shape().iter().zip(&pads) {
        if p.iter().any(|&p| p + skip > d) {
            return Err(KernelError::Shape {
                what: "a mirrored border is wider than the input",
                shapes: vec![x.shape().to_vec(), p.to_vec()],
            });
        }
    }
    // One dimension after the other, outermost last: each step repeats whole inner blocks.
    let mut bytes = memory::copy(x.bytes())?;
    let mut block = x.dtype().size();
    let shape = padded_shape(x, &pads);
    Value::zeros(x.dtype(), shape.clone())?;
    for d in (0..shape.len()).rev() {
        let (n, [before, after]) = (x.shape()[d], pads[d]);
        let source = (0..shape[d]).map(|i| match i {
            i if i < before => before - i - 1 + skip,
            i if i < before + n => i - before,
            i => 2 * n - 1 - (i - before) - skip,
        });
        debug_assert_eq!(source.len(), n + before + after);
        let mut order = memory::room(source.len())?;
        order.extend(source);
        let mut next = memory::room(bytes.len() / n.max(1) * shape[d])?;
        for group in bytes.chunks_exact((n * block).max(1)) {
            for &i in &order {
                next.extend_from_slice(&group[i * block..][..block]);
            }
        }
        bytes = next;
        block *= shape[d];
    }
    Value::from_bytes(x.dtype(), shape, &bytes)
}
