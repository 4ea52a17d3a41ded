//! ADD and SUB of maps: a convolution of two planes that lie behind each other.

use ferrite_ir::{OpId, TensorId};

use super::elementwise::{Clamp, Sum, layer, multiplier, plane, rescale};
use crate::error::Unsupported;
use crate::executable::Evidence;
use crate::lowered::Lowered;
use crate::npu::{Item, MapId};
use crate::targets::vivante::context::Context;
use crate::targets::vivante::program::{Layer, Map};

/// The layers of the sum or difference of two maps of one shape.
pub fn add(
    ctx: &mut Context,
    item: &Item,
    [first, second]: [TensorId; 2],
    subtract: bool,
) -> Result<Lowered<Layer>, Unsupported> {
    let (op, output) = (item.op, ctx.result(item.op));
    let (a, b) = (ctx.tensor(first), ctx.tensor(second));
    if a.is_constant() || b.is_constant() {
        return Err(Unsupported::new(format!(
            "operands {:?} and {:?} are not two computed maps of one shape",
            a.shape, b.shape
        )));
    }
    let elements = a.elements();
    let (zero_a, scale_a) = ctx.quantisation(first)?;
    let (zero_b, scale_b) = ctx.quantisation(second)?;
    let (_, out_scale) = ctx.quantisation(output)?;
    // Signed weights need a zero point in the middle.
    let (largest, weight_zero) = if subtract { (127, 128) } else { (255, 0) };
    let [weight_a, weight_b] = ratio(scale_a, scale_b, largest);
    let unit = if scale_a >= scale_b {
        scale_a / f64::from(weight_a)
    } else {
        scale_b / f64::from(weight_b)
    };
    let off =
        (f64::from(weight_a) * unit - scale_a).abs() + (f64::from(weight_b) * unit - scale_b).abs();
    if off * 255.0 > 0.5 * out_scale {
        return Err(Unsupported::new(format!(
            "operand scales {scale_a} and {scale_b} are too far apart for 8-bit weights"
        )));
    }
    let clamp = Clamp::of(ctx.stored(output)?, item.range);
    let target = ctx.map(output)?;
    let pixels = ctx.at(target).shape[0] * ctx.at(target).shape[1];
    let size = plane(elements, pixels)?;
    let (map_a, map_b) = (ctx.map(first)?, ctx.map(second)?);
    let mut layers = Vec::new();
    let (part_a, copy) = place(ctx, op, map_a, zero_a, size, None)?;
    layers.extend(copy);
    let (part_b, copy) = place(ctx, op, map_b, zero_b, size, Some(part_a))?;
    layers.extend(copy);
    let pair = beside(ctx, part_a, part_b);
    let signed = |weight: i32| if subtract { -weight } else { weight };
    let weights = [
        (weight_zero + weight_a) as u8,
        (weight_zero + signed(weight_b)) as u8,
    ];
    let bias = -(weight_a * i32::from(zero_a) + signed(weight_b) * i32::from(zero_b));
    let sum = Sum {
        weights: &weights,
        weight_zero: weight_zero as u8,
        bias,
        multiplier: multiplier(unit / out_scale)?,
        out_zero: clamp.zeros[0],
        relu: clamp.relu,
    };
    let name = if subtract { "subtract" } else { "add" };
    let job = layer(op, name, (pair, 0), (target, 0), size, sum);
    layers.extend(clamp.finish(ctx, job)?);
    Ok(Lowered::new(name, Evidence::Silicon, layers))
}

/// Weights up to `largest` whose ratio is nearest to that of the scales. Taking just the largest
/// for the larger scale, as Mesa does, would leave the other off by up to a half.
fn ratio(a: f64, b: f64, largest: i32) -> [i32; 2] {
    let swap = a < b;
    let (high, low) = if swap { (b, a) } else { (a, b) };
    let target = low / high;
    let error = |w: i32| {
        let other = (target * f64::from(w)).round();
        (other / f64::from(w) - target).abs()
    };
    let best = (largest / 2 + 1..=largest)
        .rev()
        .min_by(|&v, &w| error(v).total_cmp(&error(w)))
        .unwrap_or(largest);
    let other = (target * f64::from(best)).round() as i32;
    if swap { [other, best] } else { [best, other] }
}

/// The map to lay beside another one: `map` itself if it lies nowhere yet and nothing of it is
/// written beyond its end, else a copy.
fn place(
    ctx: &mut Context,
    op: OpId,
    map: MapId,
    zero: u8,
    size: [usize; 2],
    beside: Option<MapId>,
) -> Result<(MapId, Option<Layer>), Unsupported> {
    let Map { shape, part_of, .. } = *ctx.at(map);
    let overflows = ctx.at(map).overflows() && beside.is_none();
    if part_of.is_none() && !overflows && beside != Some(map) {
        return Ok((map, None));
    }
    let copy = ctx.add_map(shape, None);
    let job = rescale(op, "copy", (map, 0, zero), (copy, 0, zero), size, 1.0)?;
    Ok((copy, Some(job)))
}

/// Lays two maps behind each other.
fn beside(ctx: &mut Context, a: MapId, b: MapId) -> MapId {
    let (first, second) = (ctx.at(a).real_bytes(), ctx.at(b).bytes);
    let [h, w, channels] = ctx.at(a).shape;
    let pair = ctx.add_map([h, w, 2 * channels], None);
    ctx.maps.all[pair].bytes = first + second;
    ctx.maps.all[a].part_of = Some((pair, 0));
    ctx.maps.all[b].part_of = Some((pair, first));
    pair
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_much_closer_than_a_single_division() {
        for i in 1..400 {
            let target = f64::from(i) / 401.0;
            let [a, b] = ratio(1.0, target, 255);
            assert!((128..=255).contains(&a) && (0..=255).contains(&b));
            let error = (f64::from(b) / f64::from(a) - target).abs();
            assert!(error <= 0.5 / 255.0);
            let [b, a] = ratio(target, 1.0, 255);
            assert_eq!((f64::from(b) / f64::from(a) - target).abs(), error);
        }
    }
}
