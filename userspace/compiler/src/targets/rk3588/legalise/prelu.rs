//! PRELU with slopes from 0 to 1: the larger of a map and of its products with the slopes.

use ferrite_ir::{DType, TensorId};

use super::elementwise::larger;
use super::finish::finish;
use super::{conv, rescale};
use crate::error::Unsupported;
use crate::lowered::Lowered;
use crate::npu::{Conv, ConvKind, Grouping, Item, Window};
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
    let slope = |&value: &i64| (value as f64 - zero) * quantised.scale;
    let values = ctx.ints(slopes).unwrap_or_default();
    let steep = values
        .iter()
        .map(slope)
        .find(|slope| !(0.0..=1.0).contains(slope));
    if let Some(slope) = steep {
        return Err(Unsupported::new(format!(
            "a slope of {slope}, not from 0 to 1"
        )));
    }
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
    let mut layer = larger(op, [above, below], target);
    finish(ctx, &mut layer)?;
    layers.push(layer);
    Ok(Lowered::new(
        "products with slopes and the larger",
        PROVEN,
        layers,
    ))
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
