//! CONCATENATION of channels: each operand is copied, and rescaled where its quantisation differs,
//! into its surfaces of the result.

use ferrite_ir::op::{Activation, OpKind};
use ferrite_ir::{DType, OpId, TensorId};

use super::context::Context;
use super::conv::PROVEN;
use super::lower::{Lowered, Reads, finish};
use super::program::{Layer, Mode, Side, Stage, Weights};
use super::quant::Scaling;
use super::requant::{self, STEPS};
use crate::Unsupported;

/// Channels of an int8 atom.
const ATOM: usize = 16;

/// Lowers a CONCATENATION node along the channels.
///
/// Operands are copied in order: a writer stores whole groups of channels, and what it leaves in
/// the surfaces of the next operand is overwritten by that one. A copy starts at a new atom; where an
/// operand has to start within one, all are copied to a scratch cube first.
pub fn lower_concat(ctx: &mut Context, op: OpId) -> Result<(Reads, Lowered), Unsupported> {
    let node = ctx.graph.node(op);
    let OpKind::Concatenation { axis, activation } = node.kind else {
        return Err(Unsupported::new("not a concatenation"));
    };
    if activation != Activation::None {
        return Err(Unsupported::new("a concatenation with an activation"));
    }
    let output = node.outputs[0];
    let rank = ctx.tensor(output).shape.len();
    if rank < 2 || (axis != -1 && axis as usize != rank - 1) {
        return Err(Unsupported::new(format!(
            "a concatenation along axis {axis} instead of the channels"
        )));
    }
    let target = ctx.side(output)?;
    let reads = (0..node.inputs.len())
        .map(|index| ctx.operand(op, index))
        .collect::<Result<Reads, _>>()?;
    let mut counts = Vec::with_capacity(reads.len());
    for &input in &reads {
        counts.push(ctx.side(input)?.channels);
    }
    if counts.iter().sum::<usize>() != target.channels {
        return Err(Unsupported::new("operands and result differ in channels"));
    }
    // Every operand but the last has to end where an atom does.
    let whole = counts
        .split_last()
        .is_none_or(|(_, others)| others.iter().all(|c| c % ATOM == 0));
    let mut layers = Vec::new();
    let name = if whole {
        copies(ctx, op, &reads, target, &mut layers)?;
        "concatenation by copies"
    } else {
        let aligned: Vec<usize> = counts.iter().map(|c| c.next_multiple_of(ATOM)).collect();
        let [h, w, _] = ctx.program.cube(target.cube).shape;
        let channels = aligned.iter().sum();
        let cube = ctx.program.add_cube([h, w, channels], DType::I8, None);
        let scratch = Side {
            cube,
            surface: 0,
            channels,
            ..target
        };
        copies(ctx, op, &reads, scratch, &mut layers)?;
        layers.push(closing_up(ctx, op, &counts, &aligned, scratch, target)?);
        "concatenation by copies and a selecting convolution"
    };
    let lowered = Lowered {
        name: name.into(),
        evidence: PROVEN,
        layers,
        raw: None,
    };
    Ok((reads, lowered))
}

/// Copies each operand to the next free atom of `target`.
fn copies(
    ctx: &mut Context,
    op: OpId,
    inputs: &[TensorId],
    target: Side,
    layers: &mut Vec<Layer>,
) -> Result<(), Unsupported> {
    let to = ctx.stored(ctx.graph.node(op).outputs[0])?;
    let mut surface = target.surface;
    for &input in inputs {
        let (from, source) = (ctx.stored(input)?, ctx.side(input)?);
        let part = Side {
            surface,
            channels: source.channels,
            ..target
        };
        let mut layer = requant::pointwise(op, source, part, "concatenate");
        layer.bias = vec![-from.zero; source.channels];
        layer.stage = Stage::narrow(requant::scaling(from.scale / to.scale, STEPS)?, to.zero);
        finish(ctx, &mut layer)?;
        layers.push(layer);
        surface += source.channels.div_ceil(ATOM);
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
    let mut layer = requant::pointwise(op, source, target, "close up");
    layer.mode = Mode::Direct;
    layer.weights = Weights::Select { from };
    layer.stage = Stage::narrow(Scaling::ONE, 0);
    finish(ctx, &mut layer)?;
    Ok(layer)
}
