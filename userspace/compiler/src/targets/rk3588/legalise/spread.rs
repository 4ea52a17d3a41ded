//! One pixel for all of a map, by depthwise layers.
//!
//! A kernel of ones over a single row or column with zeros before and behind gives that element to every
//! output, up to one more than the deepest padding at a time: first along a row, then row by row.

use ferrite_ir::op::Hw;
use ferrite_ir::{DType, OpId};

use super::finish::finish;
use super::pointwise::pointwise;
use crate::error::Unsupported;
use crate::targets::rk3588::context::Context;
use crate::targets::rk3588::numbers::quant::Scaling;
use crate::targets::rk3588::program::{Layer, Rect, Side, Stage, Taps};

/// Appends layers that spread `pixel` over a new map of this size, which is returned.
pub fn spread(
    ctx: &mut Context,
    op: OpId,
    pixel: Side,
    size: Hw,
    layers: &mut Vec<Layer>,
) -> Result<Side, Unsupported> {
    if pixel.grid == size {
        return Ok(pixel);
    }
    let map = new_map(ctx, pixel, size);
    spread_over(ctx, op, pixel, map, layers)?;
    Ok(map)
}

/// Appends layers that spread `pixel` over the whole of a map.
pub fn spread_over(
    ctx: &mut Context,
    op: OpId,
    pixel: Side,
    map: Side,
    layers: &mut Vec<Layer>,
) -> Result<(), Unsupported> {
    let Hw { h, w } = map.grid;
    if h == 1 || w == 1 {
        return along(ctx, op, pixel, map, layers);
    }
    let row = new_map(ctx, pixel, Hw { h: 1, w });
    along(ctx, op, pixel, row, layers)?;
    along(ctx, op, row, map, layers)
}

/// A new map of this size with the channels of another.
fn new_map(ctx: &mut Context, like: Side, size: Hw) -> Side {
    let Hw { h, w } = size;
    let shape = [h, w, like.channels];
    Side {
        cube: ctx.program_mut().add_cube(shape, DType::I8, None),
        surface: 0,
        channels: like.channels,
        grid: size,
        rect: Rect { y: 0, x: 0, h, w },
    }
}

/// Repeats a map of one row or column along the axis in which it differs from `target`.
fn along(
    ctx: &mut Context,
    op: OpId,
    map: Side,
    target: Side,
    layers: &mut Vec<Layer>,
) -> Result<(), Unsupported> {
    let size = target.grid;
    let down = map.grid.w == size.w;
    let (length, most) = (if down { size.h } else { size.w }, ctx.chip().max_pad + 1);
    for from in (0..length).step_by(most) {
        let count = most.min(length - from);
        let mut layer = pointwise(op, map, target, "spread");
        (layer.kernel, layer.pad, layer.output.rect) = match down {
            true => (
                Hw { h: count, w: 1 },
                Hw { h: count - 1, w: 0 },
                Rect {
                    y: from,
                    h: count,
                    ..target.rect
                },
            ),
            false => (
                Hw { h: 1, w: count },
                Hw { h: 0, w: count - 1 },
                Rect {
                    x: from,
                    w: count,
                    ..target.rect
                },
            ),
        };
        layer.taps = Taps::all(layer.kernel);
        layer.stage = Stage::narrow(Scaling::ONE, 0);
        finish(ctx, &mut layer)?;
        layers.push(layer);
    }
    Ok(())
}
