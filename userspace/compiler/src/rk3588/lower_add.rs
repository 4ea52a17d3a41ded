//! ADD and SUB: an identity convolution of one operand with the other as residual operand.

use ferrite_ir::op::{Activation, Binary, Hw, OpKind};
use ferrite_ir::{OpId, TensorId};

use super::context::Context;
use super::lower::{Lowered, finish};
use super::lower_conv::PROVEN;
use super::program::{Addend, Layer, Mode, Side, Stage, Taps, Weights};
use super::requant;
use crate::Unsupported;

/// Weight of the operand when the other is a constant, which the bias takes: the larger, the finer.
const WEIGHT: i8 = 127;
/// Up to this many channels one task with a full matrix is cheaper than several with slices of it.
const WHOLE: usize = 256;
/// Channels of a slice otherwise.
const SLICE: usize = 128;

/// Lowers an ADD or SUB node of two maps of equal shape.
pub fn lower_add(ctx: &mut Context, op: OpId) -> Result<(Vec<TensorId>, Lowered), Unsupported> {
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
    let (weight, ratio) = diagonal(b.scale / a.scale);
    let diagonal = if subtract { -weight } else { weight };
    let unit = a.scale / f64::from(weight);
    let range = requant::clamp_of(ctx, output, to.range(activation));
    let (offset, shifts) = requant::clamp_shifts(to.zero, range);
    let multiplier = requant::multiplier(unit / to.scale)?;
    let operand = requant::multiplier(ratio)?;
    if b.scale / unit > f64::from(1 << 22) {
        return Err(Unsupported::new(format!(
            "operand scales {} and {} are too far apart",
            a.scale, b.scale
        )));
    }
    let (source, residual, target) = (ctx.side(main)?, ctx.side(other)?, ctx.side(output)?);
    let channels = target.channels;
    let step = if channels <= WHOLE { channels } else { SLICE };
    let one = Hw { h: 1, w: 1 };
    let mut layers = Vec::new();
    for start in (0..channels).step_by(step) {
        let count = step.min(channels - start);
        let part = |side: Side| Side {
            surface: side.surface + start / 16,
            channels: count,
            ..side
        };
        let mut layer = Layer {
            ops: vec![op],
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
            weights: Weights::Identity(diagonal),
            taps: Taps::all(one),
            weight_zero: if subtract { 127 } else { -128 },
            bias: vec![-a.zero * i32::from(diagonal); count],
            stage: Stage::Narrow { multiplier, offset },
            addend: Some(Addend {
                side: part(residual),
                offset: -b.zero,
                multiplier: operand,
            }),
            tiles: Vec::new(),
            cores: 1,
        };
        finish(ctx, &mut layer)?;
        layers.push(layer);
    }
    let mut lowered = Lowered {
        name: if subtract { "subtract" } else { "add" }.to_string(),
        evidence: PROVEN,
        layers,
        raw: None,
    };
    requant::cascade(ctx, &mut lowered, op, output, &shifts)?;
    Ok((vec![main, other], lowered))
}

/// Weight of the first operand, 1 to 255, and factor of the second to the same unit, `first / weight`.
///
/// `ratio` is the second operand's step in steps of the first. The converter
/// rounds the second operand to whole units unless the factor is an integer, so the choice is
/// between the finest unit and one of which the ratio is nearly a multiple: whichever leaves the
/// smaller mean error in the sum.
fn diagonal(ratio: f64) -> (i16, f64) {
    /// Mean magnitude of a rounding error, in units.
    const ROUNDING: f64 = 0.25;
    /// Mean magnitude of a value, in steps.
    const VALUE: f64 = 64.0;
    let finest = (ROUNDING / 255.0, 255, ratio * 255.0);
    let multiples = (128..=255_i16).filter_map(|weight| {
        let exact = ratio * f64::from(weight);
        let whole = exact.round_ties_even();
        let error = VALUE * (whole / f64::from(weight) - ratio).abs();
        (1.0..32_768.0)
            .contains(&whole)
            .then_some((error, weight, whole))
    });
    let (_, weight, factor) = multiples
        .chain([finest])
        .min_by(|a, b| a.0.total_cmp(&b.0))
        .unwrap_or(finest);
    (weight, factor)
}

/// One value, or one for each channel, added to or subtracted from a map: the bias of a depthwise
/// 1x1 layer.
fn add_constant(
    ctx: &mut Context,
    op: OpId,
    input: TensorId,
    constant: TensorId,
    activation: Activation,
) -> Result<(Vec<TensorId>, Lowered), Unsupported> {
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
    let unit = a.scale / f64::from(WEIGHT);
    let main = -f64::from(a.zero * i32::from(WEIGHT));
    let bias = (0..target.channels)
        .map(|channel| {
            let value = values[channel % values.len()] as f64 - f64::from(b.zero + b.offset);
            let bias = (main + sign * value * b.scale / unit).round();
            let fits = bias.abs() < f64::from(1 << 30);
            fits.then_some(bias as i32).ok_or_else(|| {
                Unsupported::new(format!("the constant's step {} is too large", b.scale))
            })
        })
        .collect::<Result<Vec<_>, _>>()?;
    let range = requant::clamp_of(ctx, output, to.range(activation));
    let (offset, shifts) = requant::clamp_shifts(to.zero, range);
    let mut layer = requant::pointwise(op, source, target, "add");
    layer.weights = Weights::Constant(WEIGHT);
    layer.bias = bias;
    layer.stage = Stage::Narrow {
        multiplier: requant::multiplier(unit / to.scale)?,
        offset,
    };
    finish(ctx, &mut layer)?;
    let mut lowered = Lowered {
        name: "add a constant".to_string(),
        evidence: PROVEN,
        layers: vec![layer],
        raw: None,
    };
    requant::cascade(ctx, &mut lowered, op, output, &shifts)?;
    Ok((vec![input], lowered))
}
