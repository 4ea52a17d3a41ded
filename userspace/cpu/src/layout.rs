//! Operators that only move elements within one tensor: RESHAPE, SQUEEZE, EXPAND_DIMS, TRANSPOSE,
//! SPACE_TO_DEPTH and DEPTH_TO_SPACE.

use super::context::{Context, nhwc, resolve_axis};
use super::strided::{Grid, steps};
use super::{KernelError, Value};

/// RESHAPE: to the shape of the result tensor, or of the shape operand where that does not fit.
pub(super) fn reshape(ctx: &Context<'_>) -> Result<Value, KernelError> {
    let x = ctx.input(0)?;
    let shape = &ctx.output_tensor(0)?.shape;
    if shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d)) == Some(x.elements()) {
        return x.clone().reshaped(shape.to_vec());
    }
    let wanted = ctx.input(1)?.integers()?;
    let known: usize = wanted
        .iter()
        .filter_map(|&d| usize::try_from(d).ok())
        .try_fold(1usize, usize::checked_mul)
        .unwrap_or(0);
    let free = x.elements().checked_div(known).unwrap_or(0);
    let shape: Vec<usize> = wanted
        .iter()
        .map(|&d| usize::try_from(d).unwrap_or(free))
        .collect();
    x.clone().reshaped(shape)
}

/// SQUEEZE: to the shape of the result tensor.
pub(super) fn squeeze(ctx: &Context<'_>) -> Result<Value, KernelError> {
    ctx.input(0)?
        .clone()
        .reshaped(ctx.output_tensor(0)?.shape.to_vec())
}

/// EXPAND_DIMS: one more dimension of size one.
pub(super) fn expand_dims(ctx: &Context<'_>) -> Result<Value, KernelError> {
    let x = ctx.input(0)?;
    let axis = ctx.input(1)?.integers()?;
    let axis = *axis
        .first()
        .ok_or(KernelError::MissingOperand { index: 1 })?;
    let mut shape = x.shape().to_vec();
    shape.insert(resolve_axis(axis, shape.len() + 1)?, 1);
    x.clone().reshaped(shape)
}

/// TRANSPOSE.
pub(super) fn transpose(ctx: &Context<'_>) -> Result<Value, KernelError> {
    let x = ctx.input(0)?;
    let permutation = ctx.input(1)?.integers()?;
    let rank = x.shape().len();
    let mut seen = vec![false; rank];
    let mut dims = Vec::new();
    let steps = steps(x.shape());
    for &axis in &permutation {
        let axis = resolve_axis(axis, rank)?;
        seen[axis] = true;
        dims.push((x.shape()[axis], steps[axis]));
    }
    if permutation.len() != rank || seen.contains(&false) {
        return Err(KernelError::Shape {
            what: "the permutation does not name each dimension once",
            shapes: vec![x.shape().to_vec()],
        });
    }
    let shape = dims.iter().map(|d| d.0).collect();
    Grid { start: 0, dims }.copy(x, shape)
}

/// SPACE_TO_DEPTH: blocks of pixels become channels.
pub(super) fn space_to_depth(ctx: &Context<'_>, block: usize) -> Result<Value, KernelError> {
    let x = ctx.input(0)?;
    let [n, h, w, c] = nhwc(x, "the input of SPACE_TO_DEPTH has four dimensions")?;
    if block == 0 || h % block != 0 || w % block != 0 {
        return Err(uneven(x, block));
    }
    let (oh, ow) = (h / block, w / block);
    let row = (w * c) as i64;
    let dims = vec![
        (n, h as i64 * row),
        (oh, block as i64 * row),
        (ow, (block * c) as i64),
        (block, row),
        (block, c as i64),
        (c, 1),
    ];
    Grid { start: 0, dims }.copy(x, vec![n, oh, ow, c * block * block])
}

/// DEPTH_TO_SPACE: channels become blocks of pixels.
pub(super) fn depth_to_space(ctx: &Context<'_>, block: usize) -> Result<Value, KernelError> {
    let x = ctx.input(0)?;
    let [n, h, w, c] = nhwc(x, "the input of DEPTH_TO_SPACE has four dimensions")?;
    let area = block.checked_mul(block).filter(|&a| a > 0 && c % a == 0);
    let depth = c / area.ok_or_else(|| uneven(x, block))?;
    let row = (w * c) as i64;
    let dims = vec![
        (n, h as i64 * row),
        (h, row),
        (block, (block * depth) as i64),
        (w, c as i64),
        (block, depth as i64),
        (depth, 1),
    ];
    Grid { start: 0, dims }.copy(x, vec![n, h * block, w * block, depth])
}

fn uneven(x: &Value, block: usize) -> KernelError {
    KernelError::Shape {
        what: "the input does not divide into blocks of the given side",
        shapes: vec![x.shape().to_vec(), vec![block, block]],
    }
}
