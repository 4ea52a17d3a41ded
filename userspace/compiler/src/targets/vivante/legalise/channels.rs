//! Some channels of a map: planes lie one after the other, so that they are a map where they are.

use ferrite_ir::TensorId;

use crate::error::Unsupported;
use crate::executable::Evidence;
use crate::lowered::Lowered;
use crate::npu::Item;
use crate::targets::vivante::context::Context;
use crate::targets::vivante::program::Layer;

/// Channels from `first` on.
pub fn channels(
    ctx: &mut Context,
    item: &Item,
    input: TensorId,
    first: usize,
) -> Result<Lowered<Layer>, Unsupported> {
    place(ctx, input, ctx.result(item.op), first)?;
    Ok(in_place())
}

/// All channels, one part behind the other.
pub fn split(
    ctx: &mut Context,
    item: &Item,
    input: TensorId,
) -> Result<Lowered<Layer>, Unsupported> {
    let mut first = 0;
    for &output in &ctx.graph.node(item.op).outputs {
        first += place(ctx, input, output, first)?;
    }
    Ok(in_place())
}

fn in_place() -> Lowered<Layer> {
    Lowered::new("channels in their place", Evidence::Silicon, Vec::new())
}

/// Has a map begin at a channel of another; tells its channels.
fn place(
    ctx: &mut Context,
    input: TensorId,
    output: TensorId,
    first: usize,
) -> Result<usize, Unsupported> {
    let (source, target) = (ctx.map(input)?, ctx.map(output)?);
    let [h, w, channels] = ctx.at(target).shape;
    debug_assert!(ctx.at(target).part_of.is_none());
    let map = &mut ctx.maps.all[target];
    // Nothing writes here but what makes the whole.
    map.bytes = map.real_bytes();
    map.part_of = Some((source, first * h * w));
    Ok(channels)
}
