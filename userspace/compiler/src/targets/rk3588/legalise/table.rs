//! Functions of single bytes: a layer that does nothing but look its results up.
//!
//! The DPU's two tables have 513 entries each, 32 apart from -16384 to 0 and from 0 to 16384. Bytes times
//! 128 fall on every fourth entry: each has an entry of its own, and nothing lies between two of them, so
//! that the results are those of the reference to the bit.

use std::sync::Arc;

use ferrite_ir::TensorId;

use super::finish::finish;
use super::interleave::pixels;
use super::pointwise::pointwise;
use crate::error::Unsupported;
use crate::lowered::Lowered;
use crate::npu::{Item, Stored};
use crate::tabulate::tabulate;
use crate::targets::rk3588::context::Context;
use crate::targets::rk3588::program::{Layer, Mode, PROVEN, Stage, Weights};

/// Layers for a function of each byte.
pub fn table(
    ctx: &mut Context,
    item: &Item,
    input: TensorId,
) -> Result<Lowered<Layer>, Unsupported> {
    let (op, output) = (item.op, ctx.result(item.op));
    let (from, to) = (ctx.stored(input)?, ctx.stored(output)?);
    let made = tabulate(ctx, op, input)?;
    // The chip's bytes are signed.
    let turn = |stored: Stored| stored.offset as u8;
    let values = std::array::from_fn(|at| {
        let byte = (at as u8).wrapping_sub(128).wrapping_add(turn(from));
        made[usize::from(byte)].wrapping_sub(turn(to)) as i8
    });
    let chip = ctx.chip();
    let source = pixels(chip, ctx.side(input)?);
    let target = pixels(chip, ctx.side(output)?);
    let mut layer = pointwise(op, source, target, "table");
    // Of few channels a direct layer writes fewer that are not there.
    if target.channels <= Mode::Direct.group(ctx.chip()) {
        (layer.mode, layer.weights) = (Mode::Direct, Weights::Identity(1));
    }
    layer.stage = Stage::Table(Arc::new(values));
    finish(ctx, &mut layer)?;
    Ok(Lowered::new("table", PROVEN, vec![layer]))
}
