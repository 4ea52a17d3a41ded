//! Functions of two maps, element by element: the stages behind the MAC array without a convolution. A
//! second operand of one pixel becomes a map first.

use std::borrow::Cow;

use ferrite_ir::op::Hw;
use ferrite_ir::{OpId, TensorId};

use super::finish::finish;
use super::pointwise::cascade;
use super::spread::spread;
use crate::error::Unsupported;
use crate::lowered::Lowered;
use crate::npu::{Elementwise, Item};
use crate::targets::rk3588::context::Context;
use crate::targets::rk3588::numbers::clamp::clamp_shifts;
use crate::targets::rk3588::numbers::quant::{Multiplier, Scaling};
use crate::targets::rk3588::program::{
    Addend, Combine, Layer, Mode, PROVEN, Side, Stage, Taps, Tiles, Weights,
};

/// Integer factors of the second operand to choose from: its distance from the zero point, which is less
/// than 256, still has 16 bits behind it.
const FACTORS: std::ops::RangeInclusive<u16> = 64..=127;

/// Layers for a function of two maps of equal shape.
pub fn elementwise(
    ctx: &mut Context,
    item: &Item,
    function: Elementwise,
    operands: [TensorId; 2],
) -> Result<Lowered<Layer>, Unsupported> {
    let (op, output) = (item.op, ctx.result(item.op));
    let [first, second] = operands;
    let (a, b, to) = (ctx.stored(first)?, ctx.stored(second)?, ctx.stored(output)?);
    let (source, mut other, target) = (ctx.side(first)?, ctx.side(second)?, ctx.side(output)?);
    let mut layers = Vec::new();
    if other.grid != source.grid {
        other = spread(ctx, op, other, source.grid, &mut layers)?;
    }
    let mut layer = flying(op, function.name(), source, target);
    let shifts = match function {
        Elementwise::Multiply => {
            let (factor, multiplier) = product(a.scale * b.scale / to.scale).ok_or_else(|| {
                Unsupported::new(format!(
                    "products of scales {} and {} are too large for steps of {}",
                    a.scale, b.scale, to.scale
                ))
            })?;
            let (offset, shifts) = clamp_shifts(to.zero, item.range);
            layer.bias = vec![-a.zero];
            layer.stage = narrow(multiplier, offset);
            layer.addend = Some(Addend {
                side: other,
                offset: -b.zero,
                multiplier: Multiplier {
                    scale: factor,
                    shift: 0,
                },
                combine: Combine::Elementwise(function),
            });
            shifts
        }
        // TFLite's kernels compare bytes, whatever they stand for.
        Elementwise::Maximum | Elementwise::Minimum => {
            if a != to || b != to {
                return Err(Unsupported::new(format!(
                    "{} of maps that are not quantised alike",
                    ctx.graph.op_name(op)
                )));
            }
            layer.addend = Some(compared(function, other));
            Vec::new()
        }
    };
    finish(ctx, &mut layer)?;
    layers.push(layer);
    cascade(ctx, &mut layers, op, output, &shifts)?;
    let name: Cow<'static, str> = match layers.len() > 1 + shifts.len() {
        true => format!("{} by a pixel that is spread over a map", function.name()).into(),
        false => function.name().into(),
    };
    Ok(Lowered::new(name, PROVEN, layers))
}

/// The larger or the smaller of the stored values of two maps.
pub fn compare(op: OpId, function: Elementwise, [first, second]: [Side; 2], output: Side) -> Layer {
    let mut layer = flying(op, function.name(), first, output);
    layer.addend = Some(compared(function, second));
    layer
}

/// An operand as it is.
fn compared(function: Elementwise, side: Side) -> Addend {
    Addend {
        side,
        offset: 0,
        multiplier: Multiplier { scale: 1, shift: 0 },
        combine: Combine::Elementwise(function),
    }
}

/// The output converter alone.
fn narrow(multiplier: Multiplier, offset: i32) -> Stage {
    Stage::narrow(
        Scaling {
            factor: 1,
            multiplier,
        },
        offset,
    )
}

/// A layer without kernels that copies a map.
fn flying(op: OpId, lowering: &'static str, input: Side, output: Side) -> Layer {
    let one = Hw { h: 1, w: 1 };
    Layer {
        op,
        lowering,
        evidence: PROVEN,
        mode: Mode::Flying,
        input,
        output,
        kernel: one,
        stride: one,
        dilation: one,
        pad: Hw { h: 0, w: 0 },
        pad_value: 0,
        weights: Weights::None,
        taps: Taps::all(one),
        weight_zero: 0,
        bias: vec![0],
        stage: narrow(Multiplier { scale: 1, shift: 0 }, 0),
        addend: None,
        tiles: Tiles::new(),
        cores: 1,
        band: None,
    }
}

/// An integer factor of one operand, and what is left for the output converter, whose product is nearest
/// to `real`: there is one rounding.
fn product(real: f64) -> Option<(u16, Multiplier)> {
    let candidates = FACTORS.filter_map(|factor| {
        let multiplier = Multiplier::nearest(real / f64::from(factor))?;
        let error = (multiplier.value() * f64::from(factor) - real).abs();
        Some((error, factor, multiplier))
    });
    let best = candidates.min_by(|x, y| x.0.total_cmp(&y.0));
    best.map(|(_, factor, multiplier)| (factor, multiplier))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_are_scaled_to_a_fraction_of_a_step() {
        for real in [0.003_906_25, 0.001_234_5, 0.05, 0.7, 1e-5, 3.3] {
            let (factor, multiplier) = product(real).expect("in range");
            let error = 255.0 * (f64::from(factor) * multiplier.value() / real - 1.0).abs();
            assert!(
                error < 1e-3,
                "{real}: {factor} * {multiplier:?} off by {error}"
            );
        }
        assert_eq!(product(1e9), None);
    }
}
