//! ADD and SUB: an identity convolution of one operand with the other as residual operand.

use ferrite_ir::TensorId;
use ferrite_ir::op::Hw;

use super::finish::finish;
use super::pointwise::cascade;
use crate::error::Unsupported;
use crate::lowered::Lowered;
use crate::npu::Item;
use crate::targets::rk3588::context::Context;
use crate::targets::rk3588::numbers::clamp::clamp_shifts;
use crate::targets::rk3588::numbers::quant::{Multiplier, Scaling};
use crate::targets::rk3588::program::{
    Addend, Combine, Layer, Mode, PROVEN, Side, Stage, Taps, Tiles, Weights,
};

/// Largest mean error of a sum, in steps of the result, before its one rounding.
const PRECISION: f64 = 1e-3;
/// Up to this many channels one task with a full matrix is cheaper than several with slices of it.
const WHOLE: usize = 256;
/// Channels of a slice otherwise.
const SLICE: usize = 128;

/// Layers for the sum or difference of two maps of equal shape.
pub fn add(
    ctx: &mut Context,
    item: &Item,
    [first, second]: [TensorId; 2],
    subtract: bool,
) -> Result<Lowered<Layer>, Unsupported> {
    let (op, output) = (item.op, ctx.result(item.op));
    // The finer operand goes through the array: its step is the unit of the sum. What is subtracted
    // has to, with a negative weight.
    let swap = subtract || ctx.stored(first)?.scale > ctx.stored(second)?.scale;
    let (main, other) = if swap {
        (second, first)
    } else {
        (first, second)
    };
    let (a, b, to) = (ctx.stored(main)?, ctx.stored(other)?, ctx.stored(output)?);
    let (offset, shifts) = clamp_shifts(to.zero, item.range);
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
        let surfaces = start / ctx.chip().atom_channels(1);
        let part = |side: Side| Side {
            surface: side.surface + surfaces,
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
                combine: Combine::Add,
            }),
            tiles: Tiles::new(),
            cores: 1,
            band: None,
        };
        finish(ctx, &mut layer)?;
        layers.push(layer);
    }
    cascade(ctx, &mut layers, op, output, &shifts)?;
    let name = if subtract { "subtract" } else { "add" };
    Ok(Lowered::new(name, PROVEN, layers))
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
}
