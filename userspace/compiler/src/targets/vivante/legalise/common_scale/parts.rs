//! Maps with an input's values divided by the powers of a base, before the input itself, for a job that
//! reads all of them.

use std::ops::Range;

use ferrite_ir::OpId;

use super::split::Base;
use crate::error::Unsupported;
use crate::npu::MapId;
use crate::targets::vivante::context::Context;
use crate::targets::vivante::legalise::elementwise::{plane, rescale};
use crate::targets::vivante::program::{Layer, Side};

/// All parts of a map, and the jobs that make them.
///
/// The map itself is the last one where it lies nowhere else yet. Each operator that reads the parts
/// makes the others again: whichever of them stay on the NPU, they are there.
pub fn of_map(
    ctx: &mut Context,
    op: OpId,
    base: Base,
    input: Side,
    zero: u8,
) -> Result<(Side, Vec<Layer>), Unsupported> {
    let Side { map, x, y, z, .. } = input;
    let bytes = x * y * z;
    let at = bytes * (base.parts - 1);
    let all = match ctx.maps.parts.get(&(map, base.parts)) {
        Some(&all) => all,
        None => {
            let all = ctx.add_map([y, x, base.parts * z], None);
            ctx.maps.parts.insert((map, base.parts), all);
            if ctx.at(map).part_of.is_none() {
                ctx.maps.all[all].bytes = at + ctx.at(map).bytes;
                ctx.maps.all[map].part_of = Some((all, at));
            }
            all
        }
    };
    let to = Side {
        map: all,
        offset: 0,
        z: base.parts * z,
        ..input
    };
    let in_place = ctx.at(map).part_of == Some((all, at));
    let layers = divided(op, base, (map, 0), to, zero, in_place)?;
    Ok((to, layers))
}

/// The parts of some channels, and the jobs that make them.
pub fn of_channels(
    ctx: &mut Context,
    op: OpId,
    base: Base,
    input: Side,
    zero: u8,
    channels: Range<usize>,
) -> Result<(Side, Vec<Layer>), Unsupported> {
    let Side { map, x, y, .. } = input;
    let z = base.parts * channels.len();
    let to = Side {
        map: ctx.add_map([y, x, z], None),
        offset: 0,
        z,
        ..input
    };
    let from = (map, x * y * channels.start);
    let layers = divided(op, base, from, to, zero, false)?;
    Ok((to, layers))
}

/// The jobs that make the parts `to` of what lies at `from`, the last of them too unless it is
/// `in_place`.
fn divided(
    op: OpId,
    base: Base,
    (from, offset): (MapId, usize),
    to: Side,
    zero: u8,
    in_place: bool,
) -> Result<Vec<Layer>, Unsupported> {
    let bytes = to.x * to.y * to.z / base.parts;
    let size = plane(bytes, to.x * to.y)?;
    let layer = |part: usize| {
        let name = if part == 0 { "copy" } else { "divide" };
        let to = (to.map, bytes * (base.parts - 1 - part), zero);
        let factor = 1.0 / f64::from(base.divisor_of(part));
        rescale(op, name, (from, offset, zero), to, size, factor)
    };
    (usize::from(in_place)..base.parts).map(layer).collect()
}
