//! From the accumulators of a convolution to 8-bit outputs: which output stage does it.

use std::borrow::Cow;

use super::clamp::clamp_shifts;
use super::quant::{Multiplier, q31, scaling};
use super::two_roundings::{self, Imitation};
use super::weights::{Accumulators, Filter};
use crate::error::Unsupported;
use crate::executable::{Evidence, HostRequant};
use crate::npu::{Conv, ConvKind, Range, Stored};
use crate::targets::rk3588::program::{PROVEN, Stage};

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

/// Chooses the output stage of a convolution.
pub fn plan(
    conv: &Conv,
    filter: &Filter<'_>,
    factors: &[f64],
    accumulators: &Accumulators,
    [from, to]: [Stored; 2],
    range: Range,
    admitted: Evidence,
) -> Result<Plan, Unsupported> {
    let zero = to.zero;
    if let &[factor] = factors {
        let (offset, shifts) = clamp_shifts(zero, range);
        // A little more than the accumulators reach leaves room for what an imitation adds.
        let reach = accumulators.reach + 2;
        // TFLite's FULLY_CONNECTED rounds once.
        let twice = conv.kind != ConvKind::FullyConnected;
        let made = match twice && range.low >= zero {
            true => two_roundings::imitate(factor, reach, Evidence::Sibling <= admitted)?,
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
    if Evidence::Sibling <= admitted {
        let (offset, shifts) = clamp_shifts(zero, range);
        if let Some(stage) = per_channel(filter, factors, from.zero, offset) {
            return Ok(Plan {
                stage,
                evidence: Evidence::Sibling,
                raw: None,
                shifts,
                carry: 0,
            });
        }
    }
    let (multiplier, shift) = factors.iter().map(|&f| q31(f)).unzip();
    Ok(Plan {
        stage: Stage::Raw,
        evidence: PROVEN,
        raw: Some(HostRequant {
            bias: accumulators.bias.clone(),
            multiplier,
            shift,
            zero_point: zero + to.offset,
            min: range.low + to.offset,
            max: range.high + to.offset,
        }),
        shifts: Vec::new(),
        carry: 0,
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
