//! CONCATENATION of channels: each operand is copied, and rescaled where its quantisation differs,
//! into its surfaces of the result.

use ferrite_ir::op::{Activation, OpKind};
use ferrite_ir::{OpId, TensorId};

use super::context::Context;
use super::lower::{Lowered, finish};
use super::lower_conv::PROVEN;
use super::program::{Side, Stage};
use super::requant;
use crate::Unsupported;

/// Lowers a CONCATENATION node along the channels.
///
/// Operands are copied in order: a writer stores whole groups of channels, and what it leaves in
/// the surfaces of the next operand is overwritten by that one.
pub fn lower_concat(ctx: &mut Context, op: OpId) -> Result<(Vec<TensorId>, Lowered), Unsupported> {
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
    let to = ctx.stored(output)?;
    let target = ctx.side(output)?;
    let mut layers = Vec::new();
    let mut reads = Vec::new();
    let mut channel = 0;
    for index in 0..node.inputs.len() {
        let input = ctx.operand(op, index)?;
        let (from, source) = (ctx.stored(input)?, ctx.side(input)?);
        if channel % 16 != 0 {
            return Err(Unsupported::new(format!(
                "operand {index} would start at channel {channel}, within an atom of 16"
            ))
            .with_remedy("make the channel counts multiples of 16"));
        }
        let part = Side {
            surface: target.surface + channel / 16,
            channels: source.channels,
            ..target
        };
        let mut layer = requant::pointwise(op, source, part, "concatenate");
        layer.bias = vec![-from.zero; source.channels];
        layer.stage = Stage::Narrow {
            multiplier: requant::multiplier(from.scale / to.scale)?,
            offset: to.zero,
        };
        finish(ctx, &mut layer)?;
        layers.push(layer);
        reads.push(input);
        channel += source.channels;
    }
    if channel != target.channels {
        return Err(Unsupported::new("operands and result differ in channels"));
    }
    let lowered = Lowered {
        name: "concatenation by copies".to_string(),
        evidence: PROVEN,
        layers,
        raw: None,
    };
    Ok((reads, lowered))
}
