//! Items of the NPU form as layers of the VIPNano-QI.

mod add;
mod channels;
mod common_scale;
mod concat;
mod conv;
mod elementwise;
mod per_channel;
mod rescale;
mod rounding;

use super::context::Context;
use super::program::Layer;
use crate::error::Unsupported;
use crate::executable::Evidence;
use crate::lowered::Lowered;
use crate::npu::{Item, PoolKind, Work};

/// Layers for an item; they refer to maps in the context.
pub fn legalise(ctx: &mut Context, item: &Item) -> Result<Lowered<Layer>, Unsupported> {
    let mut lowered = match &item.work {
        Work::Conv(conv) => conv::conv(ctx, item, conv),
        Work::Pool(pool) if pool.kind == PoolKind::Maximum => Err(Unsupported::new(
            "the encoding of maximum pooling on this chip is not known",
        )),
        Work::Pool(pool) => per_channel::average(ctx, item, pool),
        Work::Add { operands, subtract } => add::add(ctx, item, *operands, *subtract),
        Work::AddConstant { .. } => Err(Unsupported::new(
            "an operand of the sum is a constant: no lowering of that to the A311D",
        )),
        Work::Concat(operands) => concat::concat(ctx, item, operands),
        Work::Pad { input, before } => per_channel::pad(ctx, item, *input, *before),
        Work::Rescale(input) => rescale::rescale(ctx, item, *input),
        Work::Channels { input, first } => channels::channels(ctx, item, *input, *first),
        Work::Split(input) => channels::split(ctx, item, *input),
        Work::PadChannels { .. }
        | Work::Prelu { .. }
        | Work::TransposedConv(_)
        | Work::Bilinear { .. }
        | Work::DepthToSpace { .. }
        | Work::SpaceToDepth { .. }
        | Work::Join { .. }
        | Work::Slice { .. }
        | Work::Unfold(_)
        | Work::Nearest { .. }
        | Work::Elementwise { .. }
        | Work::Table(_)
        | Work::View(_)
        | Work::Host(_) => Err(Unsupported::new(format!(
            "no lowering of {} to the A311D",
            ctx.graph.op_name(item.op)
        ))),
    }?;
    let weakest = lowered.layers.iter().map(|layer| layer.evidence).max();
    lowered.evidence = weakest.unwrap_or(Evidence::Silicon);
    if !ctx.admits(lowered.evidence) {
        let why = format!(
            "{}: an accumulator that counts an output step or more has not been seen on the chip",
            lowered.name
        );
        return Err(
            Unsupported::new(why).with_remedy("prove it with `ferrite selftest` on a board")
        );
    }
    Ok(lowered)
}
