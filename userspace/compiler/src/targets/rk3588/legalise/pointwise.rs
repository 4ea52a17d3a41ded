//! Layers that do nothing but scale, and the clamps made of them.

use ferrite_hw::rk3588::Parameters;
use ferrite_ir::op::Hw;
use ferrite_ir::{DType, OpId, TensorId};

use super::finish::finish;
use crate::error::Unsupported;
use crate::targets::rk3588::context::Context;
use crate::targets::rk3588::numbers::quant::Scaling;
use crate::targets::rk3588::program::{
    Layer, Mode, PROVEN, Rect, Side, Stage, Taps, Tiles, Weights,
};

/// A depthwise 1x1 layer with unit weights: the output stage alone.
pub fn pointwise(op: OpId, input: Side, output: Side, lowering: &'static str) -> Layer {
    let one = Hw { h: 1, w: 1 };
    let whole = |side: Side| Side {
        rect: Rect {
            y: 0,
            x: 0,
            h: side.grid.h,
            w: side.grid.w,
        },
        ..side
    };
    Layer {
        op,
        lowering,
        evidence: PROVEN,
        mode: Mode::Depthwise,
        input: whole(input),
        output: whole(output),
        kernel: one,
        stride: one,
        dilation: one,
        pad: Hw { h: 0, w: 0 },
        pad_value: 0,
        weights: Weights::Constant(1),
        taps: Taps::all(one),
        weight_zero: 0,
        bias: vec![0; output.channels],
        stage: Stage::Raw,
        addend: None,
        tiles: Tiles::new(),
        cores: 1,
        band: None,
    }
}

/// A layer that copies a map as it is.
pub fn copy(
    chip: &Parameters,
    op: OpId,
    input: Side,
    output: Side,
    lowering: &'static str,
) -> Layer {
    let mut layer = pointwise(op, input, output, lowering);
    layer.stage = Stage::narrow(Scaling::ONE, 0);
    // Of few channels a direct layer writes fewer that are not there.
    if output.channels <= Mode::Direct.group(chip) {
        (layer.mode, layer.weights) = (Mode::Direct, Weights::Identity(1));
    }
    layer
}

/// Appends the saturating additions of a clamp: the layers so far write to a scratch cube instead,
/// and the last addition writes to their destination.
pub fn cascade(
    ctx: &mut Context,
    layers: &mut Vec<Layer>,
    op: OpId,
    output: TensorId,
    shifts: &[i32],
) -> Result<(), Unsupported> {
    if shifts.is_empty() {
        return Ok(());
    }
    let last = ctx.side(output)?;
    let shape = ctx.program().cube(last.cube).shape;
    let mut source = Side {
        cube: ctx.program_mut().add_cube(shape, DType::I8, None),
        ..last
    };
    for layer in layers.iter_mut() {
        if layer.output.cube == last.cube {
            layer.output.cube = source.cube;
            finish(ctx, layer)?;
        }
    }
    for (i, &shift) in shifts.iter().enumerate() {
        let target = if i + 1 == shifts.len() {
            last
        } else {
            Side {
                cube: ctx.program_mut().add_cube(shape, DType::I8, None),
                ..last
            }
        };
        let mut layer = pointwise(op, source, target, "clamp");
        layer.stage = Stage::narrow(Scaling::ONE, shift);
        finish(ctx, &mut layer)?;
        layers.push(layer);
        source = target;
    }
    Ok(())
}
