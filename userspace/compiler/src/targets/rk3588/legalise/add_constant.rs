//! ADD and SUB of a constant: the bias of a depthwise 1x1 layer.

use ferrite_ir::TensorId;

use super::finish::finish;
use super::pointwise::{cascade, pointwise};
use crate::error::Unsupported;
use crate::lowered::Lowered;
use crate::npu::Item;
use crate::targets::rk3588::context::Context;
use crate::targets::rk3588::numbers::clamp::clamp_shifts;
use crate::targets::rk3588::numbers::quant::{STEPS, scaling};
use crate::targets::rk3588::program::{Layer, PROVEN, Stage, Weights};

/// A weight for the operand, and `values`, in steps of the operand, in units of one step by weight:
/// the weight for which they are nearest to integers. None if one is too large.
fn integers(values: &[f64]) -> Option<(i8, Vec<i32>)> {
    if !values.iter().all(|v| v.abs() < f64::from(1 << 22)) {
        return None;
    }
    let error = |weight: f64| -> f64 {
        let off = |v: &f64| (v * weight - (v * weight).round()).abs() / weight;
        values.iter().map(off).sum()
    };
    let weight = (64..=127_i8)
        .rev()
        .min_by(|&x, &y| error(x.into()).total_cmp(&error(y.into())))?;
    let scaled = values
        .iter()
        .map(|v| (v * f64::from(weight)).round() as i32);
    Some((weight, scaled.collect()))
}

/// Layers that add one value, or one for each channel, to a map, or subtract it.
pub fn add_constant(
    ctx: &mut Context,
    item: &Item,
    input: TensorId,
    constant: TensorId,
    subtract: bool,
) -> Result<Lowered<Layer>, Unsupported> {
    let (op, output) = (item.op, ctx.result(item.op));
    let (a, b, to) = (
        ctx.stored(input)?,
        ctx.stored(constant)?,
        ctx.stored(output)?,
    );
    let (source, target) = (ctx.side(input)?, ctx.side(output)?);
    let values = ctx
        .ints(constant)
        .filter(|values| {
            let shape = &ctx.tensor(constant).shape;
            values.len() == 1
                || (values.len() == target.channels && shape.last() == Some(&values.len()))
        })
        .filter(|_| source.grid == target.grid && source.channels == target.channels)
        .ok_or_else(|| {
            Unsupported::new(format!(
                "a constant of shape {:?} is not one value for each channel",
                ctx.tensor(constant).shape
            ))
        })?;
    let sign = if subtract { -1.0 } else { 1.0 };
    let wanted: Vec<f64> = values
        .iter()
        .map(|&value| sign * (value as f64 - f64::from(b.zero + b.offset)) * b.scale / a.scale)
        .collect();
    let (weight, summands) = integers(&wanted)
        .ok_or_else(|| Unsupported::new(format!("the constant's step {} is too large", b.scale)))?;
    let main = a.zero * i32::from(weight);
    let bias = (0..target.channels)
        .map(|channel| summands[channel % summands.len()] - main)
        .collect::<Vec<_>>();
    let reach = STEPS * i64::from(weight)
        + summands
            .iter()
            .map(|&s| i64::from(s).abs())
            .max()
            .unwrap_or(0);
    let (offset, shifts) = clamp_shifts(to.zero, item.range);
    let mut layer = pointwise(op, source, target, "add");
    layer.weights = Weights::Constant(weight);
    layer.bias = bias;
    layer.stage = Stage::narrow(
        scaling(a.scale / f64::from(weight) / to.scale, reach)?,
        offset,
    );
    finish(ctx, &mut layer)?;
    let mut layers = vec![layer];
    cascade(ctx, &mut layers, op, output, &shifts)?;
    Ok(Lowered::new("add a constant", PROVEN, layers))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_single_constant_is_nearly_an_integer_in_some_unit() {
        for value in [0.37, 12.9, -100.01] {
            let (weight, scaled) = integers(&[value]).expect("in range");
            let error = f64::from(scaled[0]) / f64::from(weight) - value;
            assert!(error.abs() < 1e-3, "{value}: {scaled:?} / {weight}");
        }
    }
}
