//! From accumulators to 8-bit outputs: which output stage does it, and how clamps are made.

use std::borrow::Cow;

use ferrite_ir::op::{Hw, OpKind};
use ferrite_ir::{DType, OpId, TensorId};

use super::context::Context;
use super::conv::{Conv, PROVEN};
use super::filter::{Accumulators, Filter};
use super::lower::{Lowered, finish};
use super::plan_tiles::Tiles;
use super::program::{Layer, Mode, Rect, Side, Stage, Taps, Weights};
use super::quant::{Multiplier, Scaling, q31};
use super::two_roundings::{self, Imitation};
use crate::Unsupported;
use crate::executable::{Evidence, HostRequant};

/// Output stage of an operator.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Stage of the accumulating layers.
    pub stage: Stage,
    /// What it rests on.
    pub evidence: Evidence,
    /// Requantisation left to the host.
    pub raw: Option<HostRequant>,
    /// Additions with saturation that follow, to clamp at other ends than those of int8.
    pub shifts: Vec<i32>,
    /// Added to the bias of every channel, in units of the accumulators.
    pub carry: i32,
}

impl Plan {
    /// The stage for some of the output channels.
    pub fn slice(&self, first: usize, count: usize) -> Stage {
        match &self.stage {
            Stage::PerChannel {
                factors,
                shift,
                multiplier,
                offset,
            } => Stage::PerChannel {
                factors: factors[first..first + count].to_vec(),
                shift: *shift,
                multiplier: *multiplier,
                offset: *offset,
            },
            other => other.clone(),
        }
    }

    /// Name of the lowering, given that of the operator.
    pub fn name(&self, base: &'static str) -> Cow<'static, str> {
        match self.stage {
            Stage::Narrow { .. } => base.into(),
            Stage::PerChannel { .. } => format!("{base}, scaled per channel on chip").into(),
            Stage::Raw => format!("{base} to int32, scaled per channel on the host").into(),
        }
    }
}

/// The range of stored values that an operator may produce: its own activation's, within that of
/// an activation folded into it.
pub fn clamp_of(ctx: &Context, output: TensorId, own: (i32, i32)) -> (i32, i32) {
    let (low, high) = ctx.clamps.get(&output).copied().unwrap_or((-128, 127));
    let low = own.0.max(low);
    (low, own.1.min(high).max(low))
}

/// Offset to use instead of `zero`, and the saturating additions that must follow, so that the
/// result ends up clamped to `range` around the right zero point.
///
/// The converter saturates to int8. A clamp at another value is made by moving that value to the
/// end of int8, saturating, and moving it back: only additions that saturate, all of them proven.
pub fn clamp_shifts(zero: i32, (low, high): (i32, i32)) -> (i32, Vec<i32>) {
    match (low > -128, high < 127) {
        (false, false) => (zero, Vec::new()),
        (true, false) => (zero - (low + 128), vec![low + 128]),
        (false, true) => (zero + (127 - high), vec![high - 127]),
        (true, true) => (
            zero - (low + 128),
            vec![127 - (high - low - 128), high - 127],
        ),
    }
}

/// Chooses the output stage of a convolution.
pub fn plan(
    ctx: &Context,
    conv: &Conv,
    filter: &Filter<'_>,
    factors: &[f64],
    accumulators: &Accumulators,
    zero: i32,
    range: (i32, i32),
) -> Result<Plan, Unsupported> {
    let input_zero = ctx.stored(conv.input)?.zero;
    if let &[factor] = factors {
        let (offset, shifts) = clamp_shifts(zero, range);
        // A little more than the accumulators reach leaves room for what an imitation adds.
        let reach = accumulators.reach + 2;
        // TFLite's FULLY_CONNECTED rounds once.
        let twice = !matches!(ctx.graph.node(conv.op).kind, OpKind::FullyConnected { .. });
        let made = match twice && range.0 >= zero {
            true => two_roundings::imitate(factor, reach, ctx.admits(Evidence::Sibling))?,
            false => Imitation {
                scaling: scaling(factor, reach)?,
                carry: 0,
                nudge: 0,
            },
        };
        return Ok(Plan {
            stage: Stage::Narrow {
                scaling: made.scaling,
                nudge: made.nudge,
                offset,
            },
            evidence: if made.nudge == 0 {
                PROVEN
            } else {
                Evidence::Sibling
            },
            raw: None,
            shifts,
            carry: made.carry,
        });
    }
    if filter.zero != 0 {
        return Err(Unsupported::new(
            "scales per channel together with a filter zero point",
        ));
    }
    if ctx.admits(Evidence::Sibling) {
        let (offset, shifts) = clamp_shifts(zero, range);
        if let Some(stage) = per_channel(filter, factors, input_zero, offset) {
            return Ok(Plan {
                stage,
                evidence: Evidence::Sibling,
                raw: None,
                shifts,
                carry: 0,
            });
        }
    }
    let offset = ctx.stored(conv.output)?.offset;
    let (multiplier, shift) = factors.iter().map(|&f| q31(f)).unzip();
    Ok(Plan {
        stage: Stage::Raw,
        evidence: PROVEN,
        raw: Some(HostRequant {
            bias: accumulators.bias.clone(),
            multiplier,
            shift,
            zero_point: zero + offset,
            min: range.0 + offset,
            max: range.1 + offset,
        }),
        shifts: Vec::new(),
        carry: 0,
    })
}

/// Largest distance of an 8-bit value from its zero point.
pub const STEPS: i64 = 255;

/// The nearest scaling of accumulators up to `reach`, or why there is none.
pub fn scaling(factor: f64, reach: i64) -> Result<Scaling, Unsupported> {
    Scaling::nearest(factor, reach).ok_or_else(|| {
        Unsupported::new(format!(
            "rescaling by {factor} is beyond the output converter"
        ))
    })
}

/// Largest error, in output steps, that scaling per channel on chip may add before rounding.
const PER_CHANNEL_ERROR: f64 = 0.4;

/// Factors for the per-channel multiplier, if they are precise enough for every channel.
///
/// The product `(acc + bias) * C` saturates at 32 bits and C has 15. With `rho` the product of one
/// output step, C is `factor * rho`; `rho` may be at most 2^31 / 256 so that saturation only hits
/// values beyond the output range. Rounding C to an integer leaves an error of up to half a unit
/// times the accumulator, which must stay below a fraction of an output step for each channel. The
/// bias is rescaled (see [`scaled_bias`]) and does not suffer from it.
fn per_channel(
    filter: &Filter<'_>,
    factors: &[f64],
    input_zero: i32,
    offset: i32,
) -> Option<Stage> {
    let most = factors.iter().copied().fold(0.0, f64::max);
    if !(most.is_finite() && most > 0.0) || factors.iter().any(|f| f.is_nan() || *f <= 0.0) {
        return None;
    }
    let wanted = f64::min(8_388_608.0, 32_767.0 / most) * (1.0 - 1.0 / 16_384.0);
    // About 256 intermediate steps for one of the output keep the first rounding invisible.
    let shift = (wanted / 256.0).log2().floor().clamp(0.0, 14.0);
    let multiplier = Multiplier::nearest(f64::powf(2.0, shift) / wanted)?;
    let rho = f64::powf(2.0, shift) / multiplier.value();
    let reach = f64::from((127 - input_zero).max(input_zero + 128));
    let mut integers = Vec::with_capacity(factors.len());
    for (channel, (&factor, sums)) in factors.iter().zip(filter.sums()).enumerate() {
        let bias = filter.model_bias(channel);
        let exact = factor * rho;
        let integer = exact.round().clamp(1.0, 32_767.0);
        let steps = 256.0 + (bias as f64 * factor).abs();
        let accumulator = (f64::from(sums.magnitude) * reach).min(steps / factor);
        let error = accumulator * (integer - exact).abs() / rho
            + 0.5 * integer / rho
            + 0.5 * f64::powf(2.0, shift) / rho;
        if error > PER_CHANNEL_ERROR {
            return None;
        }
        integers.push(integer as i16);
    }
    Some(Stage::PerChannel {
        factors: integers,
        shift: shift as u8,
        multiplier,
        offset,
    })
}

/// Bias operands for a plan: with per-channel factors, the model's bias in units of the rounded
/// factor, so that its share of the output is exact however coarse the factor.
pub fn scaled_bias(
    filter: &Filter<'_>,
    factors: &[f64],
    plan: &Plan,
    input_zero: i32,
    mut plain: Vec<i32>,
) -> Vec<i32> {
    let Stage::PerChannel {
        factors: integers,
        shift,
        multiplier,
        ..
    } = &plan.stage
    else {
        for bias in &mut plain {
            *bias = bias.saturating_add(plan.carry);
        }
        return plain;
    };
    let rho = f64::powi(2.0, i32::from(*shift)) / multiplier.value();
    let limit = f64::from(1 << 30);
    integers
        .iter()
        .zip(factors)
        .zip(filter.sums())
        .enumerate()
        .map(|(channel, ((&integer, &factor), sums))| {
            let bias = filter.model_bias(channel);
            let scaled = (bias as f64 * factor * rho / f64::from(integer)).round();
            let correction = i64::from(input_zero) * i64::from(sums.signed);
            (scaled.clamp(-limit, limit) as i64 - correction)
                .clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32
        })
        .collect()
}

/// Appends the saturating additions of a clamp: the layers so far write to a scratch cube instead,
/// and the last addition writes to their destination.
pub fn cascade(
    ctx: &mut Context,
    lowered: &mut Lowered,
    op: OpId,
    output: TensorId,
    shifts: &[i32],
) -> Result<(), Unsupported> {
    if shifts.is_empty() {
        return Ok(());
    }
    let last = ctx.side(output)?;
    let shape = ctx.program.cube(last.cube).shape;
    let mut source = Side {
        cube: ctx.program.add_cube(shape, DType::I8, None),
        ..last
    };
    for layer in &mut lowered.layers {
        if layer.output.cube == last.cube {
            layer.output.cube = source.cube;
            finish(ctx, layer)?;
        }
    }
    for (i, &shift) in shifts.iter().enumerate() {
        let target = if i + 1 == shifts.len() {
            last
        } else {
            Side {
                cube: ctx.program.add_cube(shape, DType::I8, None),
                ..last
            }
        };
        let mut layer = pointwise(op, source, target, "clamp");
        layer.stage = Stage::narrow(Scaling::ONE, shift);
        finish(ctx, &mut layer)?;
        lowered.layers.push(layer);
        source = target;
    }
    Ok(())
}

/// A depthwise 1x1 layer with unit weights: the output stage alone.
pub fn pointwise(op: OpId, input: Side, output: Side, lowering: &'static str) -> Layer {
    let one = Hw { h: 1, w: 1 };
    let whole = |side: Side| Side {
        rect: Rect {
            y: 0,
            x: 0,
            h: side.grid.h,
            w: side.grid.w,
        },
        ..side
    };
    Layer {
        op,
        lowering,
        evidence: PROVEN,
        mode: Mode::Depthwise,
        input: whole(input),
        output: whole(output),
        kernel: one,
        stride: one,
        dilation: one,
        pad: Hw { h: 0, w: 0 },
        pad_value: 0,
        weights: Weights::Constant(1),
        taps: Taps::all(one),
        weight_zero: 0,
        bias: vec![0; output.channels],
        stage: Stage::Raw,
        addend: None,
        tiles: Tiles::new(),
        cores: 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn saturate(x: i32) -> i32 {
        x.clamp(-128, 127)
    }

    #[test]
    fn shifted_saturation_clamps_like_a_clamp() {
        for zero in [-128, -100, -3, 0, 90, 127] {
            for range in [
                (-128, 127),
                (-100, 127),
                (-128, 5),
                (-3, 60),
                (0, 0),
                (127, 127),
            ] {
                let (offset, shifts) = clamp_shifts(zero, range);
                for acc in -600..600 {
                    let expected = (acc + zero).clamp(range.0, range.1);
                    let mut value = saturate(acc + offset);
                    for shift in &shifts {
                        value = saturate(value + shift);
                    }
                    assert_eq!(value, expected, "{acc} + {zero} in {range:?}");
                }
            }
        }
    }
}
