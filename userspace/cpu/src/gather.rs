//! GATHER and GATHER_ND.

use super::context::{Context, resolve_axis};
use super::{KernelError, Value};

fn checked(index: i64, size: usize) -> Result<usize, KernelError> {
    usize::try_from(index)
        .ok()
        .filter(|&i| i < size)
        .ok_or(KernelError::Index {
            what: "a gather index",
            index,
            size,
        })
}

/// GATHER: slices along an axis, by a tensor of indices.
pub(super) fn gather(ctx: &Context<'_>, axis: i32) -> Result<Value, KernelError> {
    let (x, indices) = (ctx.input(0)?, ctx.input(1)?);
    let axis = resolve_axis(axis.into(), x.shape().len())?;
    let (outer, rest) = x.shape().split_at(axis);
    let (size, inner) = (rest[0], &rest[1..]);
    let picks = indices.integers()?;
    let picks: Vec<usize> = picks
        .into_iter()
        .map(|i| checked(i, size))
        .collect::<Result<_, _>>()?;
    let mut out = Value::zeros(x.dtype(), [outer, indices.shape(), inner].concat())?;
    let block = inner.iter().product::<usize>() * x.dtype().size();
    if out.elements() == 0 {
        return Ok(out);
    }
    let groups = out.bytes_mut().chunks_exact_mut(picks.len() * block);
    for (to, from) in groups.zip(x.bytes().chunks_exact(size * block)) {
        for (to, &i) in to.chunks_exact_mut(block).zip(&picks) {
            to.copy_from_slice(&from[i * block..][..block]);
        }
    }
    Ok(out)
}

/// GATHER_ND: slices by a tensor whose last dimension holds index tuples.
pub(super) fn gather_nd(ctx: &Context<'_>) -> Result<Value, KernelError> {
    let (x, indices) = (ctx.input(0)?, ctx.input(1)?);
    let tuple = indices.shape().last().copied().unwrap_or(0);
    if tuple == 0 || tuple > x.shape().len() {
        return Err(KernelError::Shape {
            what: "index tuples have between one and as many elements as there are dimensions",
            shapes: vec![x.shape().to_vec(), indices.shape().to_vec()],
        });
    }
    let (indexed, inner) = x.shape().split_at(tuple);
    let outer = &indices.shape()[..indices.shape().len() - 1];
    let mut out = Value::zeros(x.dtype(), [outer, inner].concat())?;
    let block = inner.iter().product::<usize>() * x.dtype().size();
    let values = indices.integers()?;
    if block == 0 {
        return Ok(out);
    }
    let tuples = values.chunks_exact(tuple);
    for (to, tuple) in out.bytes_mut().chunks_exact_mut(block).zip(tuples) {
        let mut at = 0;
        for (&i, &size) in tuple.iter().zip(indexed) {
            at = at * size + checked(i, size)?;
        }
        to.copy_from_slice(&x.bytes()[at * block..][..block]);
    }
    Ok(out)
}
