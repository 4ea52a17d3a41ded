//! CONCATENATION of channels: where it can, each operand is made in its planes of the result; else
//! it is copied there, and rescaled where its quantisation differs.

use ferrite_ir::TensorId;

use super::elementwise::{plane, rescale};
use crate::error::Unsupported;
use crate::executable::Evidence;
use crate::lowered::Lowered;
use crate::npu::{Item, MapId};
use crate::targets::vivante::context::Context;
use crate::targets::vivante::program::Layer;

/// The layers of a concatenation along the channels.
pub fn concat(
    ctx: &mut Context,
    item: &Item,
    operands: &[TensorId],
) -> Result<Lowered<Layer>, Unsupported> {
    let (op, output) = (item.op, ctx.result(item.op));
    let (out_zero, out_scale) = ctx.quantisation(output)?;
    let target = ctx.map(output)?;
    let (mut layers, mut offset) = (Vec::new(), 0);
    let mut parts: Vec<(MapId, usize)> = Vec::new();
    for (index, &input) in operands.iter().enumerate() {
        let (zero, scale) = ctx.quantisation(input)?;
        let map = ctx.map(input)?;
        let [h, w, channels] = ctx.at(map).shape;
        let free = ctx.at(map).part_of.is_none() && parts.iter().all(|part| part.0 != map);
        let last = index + 1 == operands.len();
        if free && (zero, scale) == (out_zero, out_scale) && (last || !ctx.at(map).overflows()) {
            parts.push((map, offset));
        } else {
            layers.push(rescale(
                op,
                "concatenate",
                (map, 0, zero),
                (target, offset, out_zero),
                plane(h * w * channels, h * w)?,
                scale / out_scale,
            )?);
        }
        offset += h * w * channels;
    }
    if offset != ctx.at(target).real_bytes() {
        return Err(Unsupported::new("operands and result differ in size"));
    }
    let end = parts.iter().map(|&(map, at)| at + ctx.at(map).bytes).max();
    ctx.maps.all[target].bytes = offset.max(end.unwrap_or(0));
    for (map, at) in parts {
        ctx.maps.all[map].part_of = Some((target, at));
    }
    let name = match layers.len() {
        0 => "concatenation in place",
        _ => "concatenation by copies",
    };
    Ok(Lowered::new(name, Evidence::Silicon, layers))
}
