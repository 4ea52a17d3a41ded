//! CONCATENATION of channels: each operand is copied, and rescaled where its quantisation differs,
//! into its surfaces of the result.

use ferrite_ir::{DType, OpId, TensorId};

use super::channels::select;
use super::finish::finish;
use super::pointwise::pointwise;
use crate::error::Unsupported;
use crate::lowered::Lowered;
use crate::npu::Item;
use crate::targets::rk3588::context::Context;
use crate::targets::rk3588::numbers::quant::{STEPS, scaling};
use crate::targets::rk3588::program::{Layer, PROVEN, Side, Stage};

/// Layers for a concatenation along the channels.
///
/// Operands are copied in order: a writer stores whole groups of channels, and what it leaves in
/// the surfaces of the next operand is overwritten by that one. A copy starts at a new atom; where an
/// operand has to start within one, all are copied to a scratch cube first.
pub fn concat(
    ctx: &mut Context,
    item: &Item,
    operands: &[TensorId],
) -> Result<Lowered<Layer>, Unsupported> {
    let op = item.op;
    let target = ctx.side(ctx.result(op))?;
    let mut counts = Vec::with_capacity(operands.len());
    for &input in operands {
        counts.push(ctx.side(input)?.channels);
    }
    if counts.iter().sum::<usize>() != target.channels {
        return Err(Unsupported::new("operands and result differ in channels"));
    }
    let atom = ctx.chip().atom_channels(1);
    // Every operand but the last has to end where an atom does.
    let whole = counts
        .split_last()
        .is_none_or(|(_, others)| others.iter().all(|c| c % atom == 0));
    let mut layers = Vec::new();
    let name = if whole {
        copies(ctx, op, operands, target, &mut layers)?;
        "concatenation by copies"
    } else {
        let aligned: Vec<usize> = counts.iter().map(|c| c.next_multiple_of(atom)).collect();
        let [h, w, _] = ctx.program().cube(target.cube).shape;
        let channels = aligned.iter().sum();
        let cube = ctx
            .program_mut()
            .add_cube([h, w, channels], DType::I8, None);
        let scratch = Side {
            cube,
            surface: 0,
            channels,
            ..target
        };
        copies(ctx, op, operands, scratch, &mut layers)?;
        layers.push(closing_up(ctx, op, &counts, &aligned, scratch, target)?);
        "concatenation by copies and a selecting convolution"
    };
    Ok(Lowered::new(name, PROVEN, layers))
}

/// Copies each operand to the next free atom of `target`.
fn copies(
    ctx: &mut Context,
    op: OpId,
    inputs: &[TensorId],
    target: Side,
    layers: &mut Vec<Layer>,
) -> Result<(), Unsupported> {
    let to = ctx.stored(ctx.result(op))?;
    let mut surface = target.surface;
    for &input in inputs {
        let (from, source) = (ctx.stored(input)?, ctx.side(input)?);
        let part = Side {
            surface,
            channels: source.channels,
            ..target
        };
        let mut layer = pointwise(op, source, part, "concatenate");
        layer.bias = vec![-from.zero; source.channels];
        layer.stage = Stage::narrow(scaling(from.scale / to.scale, STEPS)?, to.zero);
        finish(ctx, &mut layer)?;
        layers.push(layer);
        surface += source.channels.div_ceil(ctx.chip().atom_channels(1));
    }
    Ok(())
}

/// Closes the gaps between operands of `counts` channels that each start at a new atom: a 1x1
/// convolution in which each output channel has weight for one input channel.
fn closing_up(
    ctx: &mut Context,
    op: OpId,
    counts: &[usize],
    aligned: &[usize],
    source: Side,
    target: Side,
) -> Result<Layer, Unsupported> {
    let mut from = Vec::with_capacity(target.channels);
    let mut first = 0;
    for (count, aligned) in counts.iter().zip(aligned) {
        from.extend(first as u32..(first + count) as u32);
        first += aligned;
    }
    let mut layer = select(op, source, target, "close up", from);
    finish(ctx, &mut layer)?;
    Ok(layer)
}
