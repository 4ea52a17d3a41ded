//! CONCATENATION of rows or columns: each operand is copied, and rescaled where its quantisation differs,
//! to its rectangle of the result.

use ferrite_ir::TensorId;

use super::copies::Copies;
use super::interleave;
use super::pointwise::copy;
use crate::error::Unsupported;
use crate::lowered::Lowered;
use crate::npu::Item;
use crate::targets::rk3588::context::Context;
use crate::targets::rk3588::numbers::quant::{STEPS, scaling};
use crate::targets::rk3588::program::{Layer, PROVEN, Rect, Stage};

/// Layers for maps below or beside one another.
pub fn join(
    ctx: &mut Context,
    item: &Item,
    operands: &[TensorId],
    columns: bool,
) -> Result<Lowered<Layer>, Unsupported> {
    let (op, result) = (item.op, ctx.result(item.op));
    let (to, mut target) = (ctx.stored(result)?, ctx.side(result)?);
    // The pixels of a single row are as well those of a single column, which may be longer.
    let row = columns && target.grid.h == 1;
    if row {
        target = interleave::columns(target, 0, 1);
    }
    let mut copies = Copies {
        ctx,
        op,
        layers: Vec::new(),
    };
    let mut at = 0;
    for &input in operands {
        let (from, mut source) = (copies.ctx.stored(input)?, copies.ctx.side(input)?);
        if row {
            source = interleave::columns(source, 0, 1);
        }
        let mut layer = copy(copies.ctx.chip(), op, source, target, "join");
        let Rect { h, w, .. } = source.rect;
        let (y, x) = if columns && !row { (0, at) } else { (at, 0) };
        layer.output.rect = Rect { y, x, h, w };
        if from != to {
            layer.bias.fill(-from.zero);
            layer.stage = Stage::narrow(scaling(from.scale / to.scale, STEPS)?, to.zero);
        }
        copies.push(layer)?;
        at += if columns && !row { w } else { h };
    }
    Ok(Lowered::new(
        "rows or columns by copies",
        PROVEN,
        copies.layers,
    ))
}
