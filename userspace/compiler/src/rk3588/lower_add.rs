//! ADD and SUB: an identity convolution of one operand with the other as residual operand.

use ferrite_ir::op::{Activation, Binary, Hw, OpKind};
use ferrite_ir::{OpId, TensorId};
use smallvec::smallvec;

use super::context::Context;
use super::conv::PROVEN;
use super::lower::{Lowered, Reads, finish};
use super::plan_tiles::Tiles;
use super::program::{Addend, Layer, Mode, Side, Stage, Taps, Weights};
use super::quant::{Multiplier, Scaling};
use super::requant::{self, STEPS};
use crate::Unsupported;

/// Largest mean error of a sum, in steps of the result, before its one rounding.
const PRECISION: f64 = 1e-3;
/// Up to this many channels one task with a full matrix is cheaper than several with slices of it.
const WHOLE: usize = 256;
/// Channels of a slice otherwise.
const SLICE: usize = 128;

/// Lowers an ADD or SUB node of two maps of equal shape.
pub fn lower_add(ctx: &mut Context, op: OpId) -> Result<(Reads, Lowered), Unsupported> {
    let node = ctx.graph.node(op);
    let OpKind::Binary {
        op: kind,
        activation,
    } = node.kind
    else {
        return Err(Unsupported::new("not an addition"));
    };
    let (first, second, output) = (ctx.operand(op, 0)?, ctx.operand(op, 1)?, node.outputs[0]);
    match (
        ctx.tensor(first).is_constant(),
        ctx.tensor(second).is_constant(),
    ) {
        (false, true) => return add_constant(ctx, op, first, second, activation),
        (true, false) if kind == Binary::Add => {
            return add_constant(ctx, op, second, first, activation);
        }
        _ => {}
    }
    if ctx.tensor(first).shape != ctx.tensor(second).shape {
        return Err(Unsupported::new(format!(
            "operands {:?} and {:?} differ in shape",
            ctx.tensor(first).shape,
            ctx.tensor(second).shape
        )));
    }
    // The finer operand goes through the array: its step is the unit of the sum. What is subtracted
    // has to, with a negative weight.
    let subtract = kind == Binary::Sub;
    let swap = subtract || ctx.stored(first)?.scale > ctx.stored(second)?.scale;
    let (main, other) = if swap {
        (second, first)
    } else {
        (first, second)
    };
    let (a, b, to) = (ctx.stored(main)?, ctx.stored(other)?, ctx.stored(output)?);
    let range = requant::clamp_of(ctx, output, to.range(activation));
    let (offset, shifts) = requant::clamp_shifts(to.zero, range);
    let balance = Balance::nearest(a.scale, b.scale, to.scale).ok_or_else(|| {
        Unsupported::new(format!(
            "operand scales {} and {} are too far apart for a result in steps of {}",
            a.scale, b.scale, to.scale
        ))
    })?;
    let sign = if subtract { -1 } else { 1 };
    let (source, residual, target) = (ctx.side(main)?, ctx.side(other)?, ctx.side(output)?);
    let channels = target.channels;
    let one = Hw { h: 1, w: 1 };
    let mut layers = Vec::new();
    for (start, count) in slices(channels) {
        let part = |side: Side| Side {
            surface: side.surface + start / 16,
            channels: count,
            ..side
        };
        let mut layer = Layer {
            op,
            lowering: "add",
            evidence: PROVEN,
            mode: Mode::Direct,
            input: part(source),
            output: part(target),
            kernel: one,
            stride: one,
            dilation: one,
            pad: Hw { h: 0, w: 0 },
            pad_value: 0,
            weights: Weights::Identity(sign),
            taps: Taps::all(one),
            weight_zero: 0,
            bias: vec![-a.zero * i32::from(sign); count],
            stage: Stage::narrow(balance.main, offset),
            addend: Some(Addend {
                side: part(residual),
                offset: -b.zero,
                multiplier: balance.operand,
            }),
            tiles: Tiles::new(),
            cores: 1,
        };
        finish(ctx, &mut layer)?;
        layers.push(layer);
    }
    let mut lowered = Lowered {
        name: if subtract { "subtract" } else { "add" }.into(),
        evidence: PROVEN,
        layers,
        raw: None,
    };
    requant::cascade(ctx, &mut lowered, op, output, &shifts)?;
    Ok((smallvec![main, other], lowered))
}

/// First channel and number of channels of each task of an identity convolution.
pub fn slices(channels: usize) -> impl Iterator<Item = (usize, usize)> {
    let step = if channels <= WHOLE { channels } else { SLICE };
    (0..channels)
        .step_by(step)
        .map(move |start| (start, step.min(channels - start)))
}

/// Integer factors that bring both operands to a common unit, and the unit to the result's step.
#[derive(Clone, Copy, Debug)]
struct Balance {
    /// Of the operand that goes through the array.
    main: Scaling,
    /// Of the other: an integer, so that the operand converter has nothing to round.
    operand: Multiplier,
}

impl Balance {
    /// Mean distance of a value from its zero point, in steps.
    const VALUE: f64 = 64.0;

    /// The factors with the smallest error for operands of scales `a` and `b` and a result of scale
    /// `out`: of the larger one's 4096 largest values with 15 bits, the one for which the smaller is
    /// nearly an integer, and the unit nearly a step of the output converter.
    fn nearest(a: f64, b: f64, out: f64) -> Option<Balance> {
        let mut best: Option<(f64, Balance)> = None;
        for large in 28_672..=32_767_i16 {
            let (first, second) = match a > b {
                true => (f64::from(large), (f64::from(large) * b / a).round()),
                false => ((f64::from(large) * a / b).round(), f64::from(large)),
            };
            if first == 0.0 || second == 0.0 {
                continue;
            }
            let Some(multiplier) = Multiplier::nearest(a / first / out) else {
                continue;
            };
            let unit = multiplier.value() * out;
            let error = Self::VALUE * ((first * unit - a).abs() + (second * unit - b).abs());
            if best.is_none_or(|(least, _)| error < least) {
                let balance = Balance {
                    main: Scaling {
                        factor: first as i16,
                        multiplier,
                    },
                    operand: Multiplier {
                        scale: second as u16,
                        shift: 0,
                    },
                };
                best = Some((error, balance));
            }
        }
        best.map(|(_, balance)| balance)
            .filter(|_| best.is_some_and(|(error, _)| error < PRECISION * out))
    }
}

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

/// One value, or one for each channel, added to or subtracted from a map: the bias of a depthwise
/// 1x1 layer.
fn add_constant(
    ctx: &mut Context,
    op: OpId,
    input: TensorId,
    constant: TensorId,
    activation: Activation,
) -> Result<(Reads, Lowered), Unsupported> {
    let output = ctx.graph.node(op).outputs[0];
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
    let sign = match ctx.graph.node(op).kind {
        OpKind::Binary {
            op: Binary::Sub, ..
        } => -1.0,
        _ => 1.0,
    };
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
    let range = requant::clamp_of(ctx, output, to.range(activation));
    let (offset, shifts) = requant::clamp_shifts(to.zero, range);
    let mut layer = requant::pointwise(op, source, target, "add");
    layer.weights = Weights::Constant(weight);
    layer.bias = bias;
    layer.stage = Stage::narrow(
        requant::scaling(a.scale / f64::from(weight) / to.scale, reach)?,
        offset,
    );
    finish(ctx, &mut layer)?;
    let mut lowered = Lowered {
        name: "add a constant".into(),
        evidence: PROVEN,
        layers: vec![layer],
        raw: None,
    };
    requant::cascade(ctx, &mut lowered, op, output, &shifts)?;
    Ok((smallvec![input], lowered))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_balanced_to_a_fraction_of_a_step() {
        for (a, b, out) in [
            (0.1, 0.1, 0.2),
            (0.013_3, 0.244_231, 0.283_42),
            (1.0, 0.003, 0.5),
            (0.02, 3.0, 3.1),
        ] {
            let balance = Balance::nearest(a, b, out).expect("in range");
            let unit = balance.main.multiplier.value();
            for (factor, scale) in [
                (f64::from(balance.main.factor), a),
                (balance.operand.value(), b),
            ] {
                let error = 255.0 * (factor * unit - scale / out).abs();
                assert!(
                    error < 2e-3,
                    "{a} + {b} = {out}: {balance:?} off by {error}"
                );
            }
        }
    }

    #[test]
    fn a_single_constant_is_nearly_an_integer_in_some_unit() {
        for value in [0.37, 12.9, -100.01] {
            let (weight, scaled) = integers(&[value]).expect("in range");
            let error = f64::from(scaled[0]) / f64::from(weight) - value;
            assert!(error.abs() < 1e-3, "{value}: {scaled:?} / {weight}");
        }
    }
}
