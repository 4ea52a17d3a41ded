//! STRIDED_SLICE and SLICE of rows and columns: a 1x1 layer with a step.

use ferrite_ir::TensorId;
use ferrite_ir::op::Hw;

use super::channels::select;
use super::copies::Copies;
use super::pointwise::copy;
use crate::error::Unsupported;
use crate::lowered::Lowered;
use crate::npu::Item;
use crate::targets::rk3588::context::Context;
use crate::targets::rk3588::program::{Layer, PROVEN, Side};

/// Layers for channels of rows and columns, all from the first on.
pub fn slice(
    ctx: &mut Context,
    item: &Item,
    input: TensorId,
    [row, column, channel]: [usize; 3],
    step: Hw,
) -> Result<Lowered<Layer>, Unsupported> {
    let op = item.op;
    let (source, target) = (ctx.side(input)?, ctx.side(ctx.result(op))?);
    let Hw { h, w } = target.grid;
    // With one element along an axis there is no step.
    let step = Hw {
        h: if h == 1 { 1 } else { step.h },
        w: if w == 1 { 1 } else { step.w },
    };
    let most = ctx.chip().max_stride;
    if step.h.max(step.w) > most {
        return Err(Unsupported::new(format!(
            "elements {} x {} apart, beyond the hardware's {most}",
            step.h, step.w
        )));
    }
    let atom = ctx.chip().atom_channels(1);
    let whole = channel / atom * atom;
    let some = Side {
        surface: source.surface + whole / atom,
        channels: channel + target.channels - whole,
        ..source
    };
    let mut layer = match some.channels == target.channels {
        true => copy(ctx.chip(), op, some, target, "slice"),
        false => {
            let from = (channel - whole..).map(|channel| channel as u32);
            select(
                op,
                some,
                target,
                "slice",
                from.take(target.channels).collect(),
            )
        }
    };
    layer.stride = step;
    layer.input.rect.y = row;
    layer.input.rect.h = (h - 1) * step.h + 1;
    layer.input.rect.x = column;
    layer.input.rect.w -= column;
    let mut copies = Copies {
        ctx,
        op,
        layers: Vec::new(),
    };
    copies.push(layer)?;
    Ok(Lowered::new(
        "rows and columns by a copy",
        PROVEN,
        copies.layers,
    ))
}
