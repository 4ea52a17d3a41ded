//! QUANTIZE between 8-bit types, and RELU and the like that nothing before them can take.

use ferrite_ir::OpId;
use ferrite_ir::op::{Activation, OpKind};
use smallvec::smallvec;

use super::context::Context;
use super::elementwise::{Clamp, plane, rescale};
use super::lower::Lowering;
use crate::Unsupported;
use crate::common::fold_activation;

/// Lowers a QUANTIZE node or a clamp.
pub fn lower_requant(ctx: &mut Context, op: OpId) -> Lowering {
    let node = ctx.graph.node(op);
    let (activation, name) = match node.kind {
        OpKind::Quantize => (Activation::None, "requantise"),
        OpKind::Unary(unary) => match fold_activation::clamp(unary) {
            Some(activation) => (activation, "clamp"),
            None => {
                return Err(Unsupported::new(format!(
                    "no lowering of {} to the A311D",
                    ctx.graph.op_name(op)
                )));
            }
        },
        _ => return Err(Unsupported::new("no rescaling")),
    };
    let (input, output) = (ctx.operand(op, 0)?, node.outputs[0]);
    let (zero, scale) = ctx.quantisation(input)?;
    let (_, out_scale) = ctx.quantisation(output)?;
    let clamp = Clamp::of(ctx, output, activation)?;
    let (from, to) = (ctx.map(input)?, ctx.map(output)?);
    let [h, w, channels] = ctx.at(from).shape;
    let size = plane(h * w * channels, h * w)?;
    let factor = scale / out_scale;
    let mut job = rescale(
        op,
        name,
        (from, 0, zero),
        (to, 0, clamp.zeros[0]),
        size,
        factor,
    )?;
    job.relu = clamp.relu;
    let layers = clamp.finish(ctx, job)?;
    Ok((smallvec![input], name.to_string(), layers))
}
