//! CONCATENATION of channels: each operand is copied, and rescaled where its quantisation differs,
//! to its planes of the result.

use ferrite_ir::OpId;
use ferrite_ir::op::{Activation, OpKind};

use super::context::Context;
use super::elementwise::{plane, rescale};
use super::lower::Lowering;
use crate::Unsupported;

/// Lowers a CONCATENATION node along the channels.
pub fn lower_concat(ctx: &mut Context, op: OpId) -> Lowering {
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
    let (out_zero, out_scale) = ctx.quantisation(output)?;
    let target = ctx.map(output)?;
    let (mut layers, mut reads, mut offset) = (Vec::new(), Vec::new(), 0);
    for index in 0..node.inputs.len() {
        let input = ctx.operand(op, index)?;
        let (zero, scale) = ctx.quantisation(input)?;
        let map = ctx.map(input)?;
        let [h, w, channels] = ctx.at(map).shape;
        layers.push(rescale(
            op,
            "concatenate",
            (map, 0, zero),
            (target, offset, out_zero),
            plane(h * w * channels, h * w)?,
            scale / out_scale,
        )?);
        reads.push(input);
        offset += h * w * channels;
    }
    if offset != ctx.at(target).real_bytes() {
        return Err(Unsupported::new("operands and result differ in size"));
    }
    Ok((reads, "concatenation by copies".to_string(), layers))
}
