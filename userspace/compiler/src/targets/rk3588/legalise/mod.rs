//! Items of the NPU form as layers of the RK3588.

mod add;
mod add_constant;
mod average;
mod bilinear;
mod blocks;
mod channels;
mod concat;
mod conv;
mod copies;
mod elementwise;
mod finish;
mod interleave;
mod join;
mod max_pool;
mod nearest;
mod pointwise;
mod prelu;
mod rescale;
mod slice;
mod split_padding;
mod spread;
mod table;
pub mod tiles;
mod transposed;

use super::context::Context;
use super::program::Layer;
use crate::error::Unsupported;
use crate::lowered::Lowered;
use crate::npu::{Item, PoolKind, Work};

#[cfg(test)]
pub use pointwise::pointwise;

/// Layers for an item; they refer to cubes in the context.
pub fn legalise(ctx: &mut Context, item: &Item) -> Result<Lowered<Layer>, Unsupported> {
    let mut lowered = match &item.work {
        Work::Conv(conv) => conv::conv(ctx, item, conv),
        Work::TransposedConv(conv) => transposed::transposed(ctx, item, conv),
        Work::Pool(pool) if pool.kind == PoolKind::Maximum => max_pool::max_pool(ctx, item, pool),
        Work::Pool(pool) => average::average(ctx, item, pool),
        Work::Add { operands, subtract } => add::add(ctx, item, *operands, *subtract),
        Work::Elementwise { function, operands } => {
            elementwise::elementwise(ctx, item, *function, *operands)
        }
        Work::AddConstant {
            input,
            constant,
            subtract,
        } => add_constant::add_constant(ctx, item, *input, *constant, *subtract),
        Work::Concat(operands) => concat::concat(ctx, item, operands),
        Work::Prelu { input, slopes } => prelu::prelu(ctx, item, *input, *slopes),
        &Work::Bilinear { input, grid } => bilinear::bilinear(ctx, item, input, grid),
        &Work::Nearest { input, grid } => nearest::nearest(ctx, item, input, grid),
        Work::PadChannels { input, before } => channels::pad(ctx, item, *input, *before),
        &Work::DepthToSpace { input, block } => blocks::to_space(ctx, item, input, block),
        &Work::SpaceToDepth { input, block } => blocks::to_depth(ctx, item, input, block),
        Work::Join { operands, columns } => join::join(ctx, item, operands, *columns),
        &Work::Slice { input, first, step } => slice::slice(ctx, item, input, first, step),
        Work::Unfold(input) => blocks::unfold(ctx, item, *input),
        Work::Split(input) => channels::split(ctx, item, *input),
        Work::Channels { input, first } => channels::channels(ctx, item, *input, *first),
        Work::Table(input) => table::table(ctx, item, *input),
        Work::Rescale(input) => rescale::rescale(ctx, item, *input),
        Work::Pad { .. } | Work::View(_) | Work::Host(_) => Err(Unsupported::new(format!(
            "no lowering of {} to the RK3588",
            ctx.graph.op_name(item.op)
        ))),
    }?;
    let weakest = lowered.layers.iter().map(|layer| layer.evidence).max();
    lowered.evidence = weakest.unwrap_or(lowered.evidence);
    Ok(lowered)
}
