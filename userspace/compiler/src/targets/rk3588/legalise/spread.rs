//! One pixel for all of a map, by depthwise layers.
//!
//! A kernel of ones over a single row or column with zeros before and behind gives that element to every
//! output, up to one more than the deepest padding at a time: first along a row, then row by row.

use ferrite_ir::op::Hw;
use ferrite_ir::{DType, OpId};

use super::finish::finish;
use super::pointwise::pointwise;
use super::split_padding::DEEPEST;
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
    let row = along(ctx, op, pixel, Hw { h: 1, w: size.w }, layers)?;
    along(ctx, op, row, size, layers)
}

/// Repeats a map of one row or column along the axis in which it differs from `size`.
fn along(
    ctx: &mut Context,
    op: OpId,
    map: Side,
    size: Hw,
    layers: &mut Vec<Layer>,
) -> Result<Side, Unsupported> {
    if map.grid == size {
        return Ok(map);
    }
    let shape = [size.h, size.w, map.channels];
    let whole = |cube| Side {
        cube,
        surface: 0,
        channels: map.channels,
        grid: size,
        rect: Rect {
            y: 0,
            x: 0,
            h: size.h,
            w: size.w,
        },
    };
    let target = whole(ctx.program_mut().add_cube(shape, DType::I8, None));
    let down = map.grid.w == size.w;
    let (length, most) = (if down { size.h } else { size.w }, DEEPEST + 1);
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
    Ok(target)
}
