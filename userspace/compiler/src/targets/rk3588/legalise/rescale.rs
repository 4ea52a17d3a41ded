//! QUANTIZE between 8-bit types and stand-alone clamps: the output stage alone.

use ferrite_ir::TensorId;

use super::finish::finish;
use super::interleave::pixels;
use super::pointwise::{cascade, pointwise};
use crate::error::Unsupported;
use crate::lowered::Lowered;
use crate::npu::Item;
use crate::targets::rk3588::context::Context;
use crate::targets::rk3588::numbers::clamp::clamp_shifts;
use crate::targets::rk3588::numbers::quant::{STEPS, scaling};
use crate::targets::rk3588::program::{Layer, PROVEN, Stage};

/// Layers for a rescaling.
pub fn rescale(
    ctx: &mut Context,
    item: &Item,
    input: TensorId,
) -> Result<Lowered<Layer>, Unsupported> {
    let (op, output) = (item.op, ctx.result(item.op));
    let (from, to) = (ctx.stored(input)?, ctx.stored(output)?);
    let (offset, shifts) = clamp_shifts(to.zero, item.range);
    let chip = ctx.chip();
    let source = pixels(chip, ctx.side(input)?);
    let target = pixels(chip, ctx.side(output)?);
    let mut layer = pointwise(op, source, target, "requantise");
    layer.bias = vec![-from.zero; target.channels];
    layer.stage = Stage::narrow(scaling(from.scale / to.scale, STEPS)?, offset);
    finish(ctx, &mut layer)?;
    let mut layers = vec![layer];
    cascade(ctx, &mut layers, op, output, &shifts)?;
    Ok(Lowered::new("requantise", PROVEN, layers))
}
