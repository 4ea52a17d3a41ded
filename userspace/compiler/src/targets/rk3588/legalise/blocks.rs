//! DEPTH_TO_SPACE: 1x1 layers that select the channels of a row and a column of all blocks, and copies that
//! put columns side by side. SPACE_TO_DEPTH: one layer that selects a channel at a tap for each of its own.

use ferrite_ir::TensorId;
use ferrite_ir::op::Hw;

use super::channels::{select, select_from};
use super::copies::Copies;
use super::interleave::{columns, rows};
use super::pointwise::copy;
use crate::error::Unsupported;
use crate::lowered::Lowered;
use crate::npu::Item;
use crate::targets::rk3588::context::Context;
use crate::targets::rk3588::program::{Layer, PROVEN, Side, Taps};

/// Layers for pixels' channels as blocks.
pub fn to_space(
    ctx: &mut Context,
    item: &Item,
    input: TensorId,
    block: usize,
) -> Result<Lowered<Layer>, Unsupported> {
    let op = item.op;
    let (source, target) = (ctx.side(input)?, ctx.side(ctx.result(op))?);
    let size = Hw {
        h: target.grid.h,
        w: source.grid.w,
    };
    let mut copies = Copies {
        ctx,
        op,
        layers: Vec::new(),
    };
    for x in 0..block {
        let column = match block {
            1 => target,
            _ => copies.scratch(target, size),
        };
        for y in 0..block {
            let first = (y * block + x) * target.channels;
            let mut layer = select_from(
                copies.ctx.chip(),
                op,
                source,
                column,
                "depth to space",
                first,
            );
            layer.output = rows(column, y, block);
            copies.push(layer)?;
        }
        if block > 1 {
            let mut layer = copy(copies.ctx.chip(), op, column, target, "interleave");
            layer.input = columns(column, 0, 1);
            layer.output = columns(target, x, block);
            copies.push(layer)?;
        }
    }
    Ok(Lowered::new(
        "blocks by selecting convolutions and copies",
        PROVEN,
        copies.layers,
    ))
}

/// Layers for pixels' channels as pixels of their own.
pub fn unfold(
    ctx: &mut Context,
    item: &Item,
    input: TensorId,
) -> Result<Lowered<Layer>, Unsupported> {
    let op = item.op;
    let source = columns(ctx.side(input)?, 0, 1);
    let target = ctx.side(ctx.result(op))?;
    let parts = source.channels / target.channels;
    // Pixels as rows of those that one pixel becomes.
    let target = Side {
        grid: Hw {
            h: source.grid.h,
            w: parts,
        },
        ..target
    };
    let mut copies = Copies {
        ctx,
        op,
        layers: Vec::new(),
    };
    for part in 0..parts {
        let first = part * target.channels;
        let mut layer = select_from(copies.ctx.chip(), op, source, target, "unfold", first);
        layer.output = columns(target, part, parts);
        copies.push(layer)?;
    }
    Ok(Lowered::new(
        "pixels by selecting convolutions",
        PROVEN,
        copies.layers,
    ))
}

/// Layers for blocks as pixels' channels.
pub fn to_depth(
    ctx: &mut Context,
    item: &Item,
    input: TensorId,
    block: usize,
) -> Result<Lowered<Layer>, Unsupported> {
    let op = item.op;
    let most = ctx.chip().max_stride;
    if block > most {
        return Err(Unsupported::new(format!(
            "blocks of {block} rows, beyond the hardware's step of {most}"
        )));
    }
    let (source, target) = (ctx.side(input)?, ctx.side(ctx.result(op))?);
    let from = (0..target.channels as u32).collect();
    let mut layer = select(op, source, target, "space to depth", from);
    (layer.kernel.h, layer.kernel.w) = (block, block);
    (layer.stride.h, layer.stride.w) = (block, block);
    layer.taps = Taps::all(layer.kernel);
    let mut copies = Copies {
        ctx,
        op,
        layers: Vec::new(),
    };
    copies.push(layer)?;
    Ok(Lowered::new(
        "blocks by a selecting convolution",
        PROVEN,
        copies.layers,
    ))
}
