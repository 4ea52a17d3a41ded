//! PRELU: of a map and its products with the slopes the larger, or, where a slope is above 1, the smaller.

use ferrite_ir::{DType, TensorId};

use super::channels::select;
use super::elementwise::compare;
use super::finish::finish;
use super::{conv, rescale};
use crate::error::Unsupported;
use crate::lowered::Lowered;
use crate::npu::{Conv, ConvKind, Elementwise, Grouping, Item, Window};
use crate::targets::rk3588::context::Context;
use crate::targets::rk3588::program::{Layer, PROVEN, Side};

/// Layers for a PRELU with a slope for each channel.
pub fn prelu(
    ctx: &mut Context,
    item: &Item,
    input: TensorId,
    slopes: TensorId,
) -> Result<Lowered<Layer>, Unsupported> {
    let (op, output) = (item.op, ctx.result(item.op));
    let quantised = ctx.stored(slopes)?;
    let zero = f64::from(quantised.zero + quantised.offset);
    // Below zero a product is larger than the value unless the slope is above 1; above zero it is not.
    let steep = |&value: &i64| (value as f64 - zero) * quantised.scale > 1.0;
    let steep: Vec<bool> = match ctx.ints(slopes) {
        Some(values) => values.iter().map(steep).collect(),
        None => return Err(Unsupported::new("slopes that are no 8-bit constant")),
    };
    let (source, target) = (ctx.side(input)?, ctx.side(output)?);
    let scaled = Conv {
        kind: ConvKind::Depthwise,
        input,
        images: 1,
        input_shape: [source.grid.h, source.grid.w, source.channels],
        output_shape: [target.grid.h, target.grid.w, target.channels],
        window: Window::unit(),
        patches: None,
        grouping: Grouping::Groups {
            inputs: 1,
            outputs: 1,
            channel_last: true,
        },
        filter: slopes,
        bias: None,
    };
    let below = conv::conv(ctx, item, &scaled)?;
    if below.requantise.is_some() {
        return Err(Unsupported::new(
            "products with the slopes that the host would scale",
        ));
    }
    let mut layers = Vec::new();
    let below = aside(ctx, below.layers, target, &mut layers)?;
    let above = match ctx.stored(input)? == ctx.stored(output)? {
        true => source,
        false => {
            let rescaled = rescale::rescale(ctx, item, input)?;
            aside(ctx, rescaled.layers, target, &mut layers)?
        }
    };
    let operands = [above, below];
    let mut push = |ctx: &mut Context, mut layer: Layer| {
        finish(ctx, &mut layer)?;
        layers.push(layer);
        Ok(())
    };
    let name = match (steep.contains(&false), steep.contains(&true)) {
        (_, false) => {
            push(ctx, compare(op, Elementwise::Maximum, operands, target))?;
            "products with slopes and the larger"
        }
        (false, true) => {
            push(ctx, compare(op, Elementwise::Minimum, operands, target))?;
            "products with slopes and the smaller"
        }
        (true, true) => {
            let atom = ctx.chip().atom_channels(1);
            let behind = target.channels.next_multiple_of(atom);
            let [h, w, _] = ctx.program().cube(target.cube).shape;
            let shape = [h, w, 2 * behind];
            let both = Side {
                cube: ctx.program_mut().add_cube(shape, DType::I8, None),
                surface: 0,
                ..target
            };
            let smaller = Side {
                surface: behind / atom,
                ..both
            };
            push(ctx, compare(op, Elementwise::Maximum, operands, both))?;
            push(ctx, compare(op, Elementwise::Minimum, operands, smaller))?;
            let from = steep.iter().enumerate();
            let from = from.map(|(at, steep)| (at + if *steep { behind } else { 0 }) as u32);
            let source = Side {
                channels: 2 * behind,
                ..both
            };
            let layer = select(op, source, target, "larger or smaller", from.collect());
            push(ctx, layer)?;
            "products with slopes, the larger and the smaller, and a selecting convolution"
        }
    };
    Ok(Lowered::new(name, PROVEN, layers))
}

/// Has layers that make `target` make a new map in its place, which is returned.
fn aside(
    ctx: &mut Context,
    made: Vec<Layer>,
    target: Side,
    layers: &mut Vec<Layer>,
) -> Result<Side, Unsupported> {
    let shape = ctx.program().cube(target.cube).shape;
    let cube = ctx.program_mut().add_cube(shape, DType::I8, None);
    for mut layer in made {
        if layer.output.cube == target.cube {
            layer.output.cube = cube;
            finish(ctx, &mut layer)?;
        }
        layers.push(layer);
    }
    Ok(Side { cube, ..target })
}
