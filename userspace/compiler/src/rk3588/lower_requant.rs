//! QUANTIZE between 8-bit types and stand-alone clamps: the output stage alone.

use ferrite_ir::OpId;
use ferrite_ir::op::{Activation, OpKind};
use smallvec::smallvec;

use super::context::Context;
use super::conv::PROVEN;
use super::lower::{Lowered, Reads, finish};
use super::program::Stage;
use super::requant::{self, STEPS};
use crate::Unsupported;
use crate::common::fold_activation::clamp;

/// Lowers a QUANTIZE from 8 bits to 8 bits, RELU, RELU6 or RELU_N1_TO_1 node.
pub fn lower_requant(ctx: &mut Context, op: OpId) -> Result<(Reads, Lowered), Unsupported> {
    let node = ctx.graph.node(op);
    let (input, output) = (ctx.operand(op, 0)?, node.outputs[0]);
    let activation = match node.kind {
        OpKind::Quantize => Activation::None,
        OpKind::Unary(unary) => clamp(unary).ok_or_else(|| {
            Unsupported::new(format!("no lowering of {} to the RK3588", unary.name()))
        })?,
        _ => return Err(Unsupported::new("not a requantisation")),
    };
    let (from, to) = (ctx.stored(input)?, ctx.stored(output)?);
    let range = requant::clamp_of(ctx, output, to.range(activation));
    let (offset, shifts) = requant::clamp_shifts(to.zero, range);
    let (source, target) = (ctx.side(input)?, ctx.side(output)?);
    let mut layer = requant::pointwise(op, source, target, "requantise");
    layer.bias = vec![-from.zero; target.channels];
    layer.stage = Stage::narrow(requant::scaling(from.scale / to.scale, STEPS)?, offset);
    finish(ctx, &mut layer)?;
    let mut lowered = Lowered {
        name: "requantise".into(),
        evidence: PROVEN,
        layers: vec![layer],
        raw: None,
    };
    requant::cascade(ctx, &mut lowered, op, output, &shifts)?;
    Ok((smallvec![input], lowered))
}
