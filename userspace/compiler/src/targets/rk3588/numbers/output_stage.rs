//! From the accumulators of a convolution to 8-bit outputs: which output stage does it.

use std::borrow::Cow;

use super::clamp::clamp_shifts;
use super::per_channel::{self, Rounding};
use super::quant::{q31, scaling};
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
    /// By output channel; none for accumulators that the host scales.
    pub bias: Vec<i32>,
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
            Stage::Narrow { .. } | Stage::Table(_) => base.into(),
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
    accumulators: Result<Accumulators, Unsupported>,
    [from, to]: [Stored; 2],
    range: Range,
    admitted: Evidence,
) -> Result<Plan, Unsupported> {
    let zero = to.zero;
    if let &[factor] = factors {
        let (offset, shifts) = clamp_shifts(zero, range);
        // A little more than the accumulators reach leaves room for what an imitation adds.
        let accumulators = accumulators?;
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
            bias: match made.carry {
                0 => accumulators.bias,
                carry => accumulators
                    .bias
                    .iter()
                    .map(|bias| bias.saturating_add(carry))
                    .collect(),
            },
        });
    }
    if filter.zero != 0 {
        return Err(Unsupported::new(
            "scales per channel together with a filter zero point",
        ));
    }
    let (offset, shifts) = clamp_shifts(zero, range);
    let steps = [range.low - zero, range.high - zero];
    // TFLite's FULLY_CONNECTED rounds once.
    let rounding = match (conv.kind, range.low >= zero) {
        (ConvKind::FullyConnected, _) => Rounding::Once,
        (_, true) => Rounding::TwiceAboveZero,
        (_, false) => Rounding::Twice,
    };
    if let Some(scaled) = per_channel::scale(filter, factors, from.zero, offset, rounding, steps) {
        return Ok(Plan {
            stage: scaled.stage,
            evidence: PROVEN,
            raw: None,
            shifts,
            bias: scaled.bias,
        });
    }
    let accumulators = accumulators?;
    let (multiplier, shift): (Vec<i32>, Vec<i32>) = factors.iter().map(|&f| q31(f)).unzip();
    if let Some(channel) = shift.iter().position(|shift| !HOST_SHIFTS.contains(shift)) {
        return Err(Unsupported::new(format!(
            "rescaling channel {channel} by {} is beyond the host's fixed point",
            factors[channel]
        )));
    }
    Ok(Plan {
        stage: Stage::Raw,
        evidence: PROVEN,
        raw: Some(HostRequant {
            bias: accumulators.bias,
            multiplier,
            shift,
            zero_point: zero + to.offset,
            min: range.low + to.offset,
            max: range.high + to.offset,
        }),
        shifts: Vec::new(),
        bias: Vec::new(),
    })
}

/// Exponents of multipliers that the runtime takes.
const HOST_SHIFTS: std::ops::RangeInclusive<i32> = -31..=31;
