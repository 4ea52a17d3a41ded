//! QUANTIZE between 8-bit types, and RELU and the like that nothing before them can take.

use ferrite_ir::TensorId;

use super::elementwise::{Clamp, plane, rescale as rescale_plane};
use crate::error::Unsupported;
use crate::executable::Evidence;
use crate::lowered::Lowered;
use crate::npu::{Item, Range};
use crate::targets::vivante::context::Context;
use crate::targets::vivante::program::Layer;

/// The layers of a rescaling.
pub fn rescale(
    ctx: &mut Context,
    item: &Item,
    input: TensorId,
) -> Result<Lowered<Layer>, Unsupported> {
    let name = match item.range == Range::FULL {
        true => "requantise",
        false => "clamp",
    };
    let (op, output) = (item.op, ctx.result(item.op));
    let (zero, scale) = ctx.quantisation(input)?;
    let (_, out_scale) = ctx.quantisation(output)?;
    let clamp = Clamp::of(ctx.stored(output)?, item.range);
    let (from, to) = (ctx.map(input)?, ctx.map(output)?);
    let [h, w, channels] = ctx.at(from).shape;
    let size = plane(h * w * channels, h * w)?;
    let factor = scale / out_scale;
    let mut job = rescale_plane(
        op,
        name,
        (from, 0, zero),
        (to, 0, clamp.zeros[0]),
        size,
        factor,
    )?;
    job.relu = clamp.relu;
    let layers = clamp.finish(ctx, job)?;
    Ok(Lowered::new(name, Evidence::Silicon, layers))
}
