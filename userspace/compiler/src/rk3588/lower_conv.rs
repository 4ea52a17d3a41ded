//! CONV_2D, DEPTHWISE_CONV_2D and FULLY_CONNECTED nodes as convolutions.

use ferrite_ir::op::{ConvParams, Hw, OpKind, Padding};
use ferrite_ir::{OpId, TensorId};

use super::context::{Context, map_shape, nhwc};
use super::conv::{Conv, Grouping, Window};
use super::lower::{Lowered, Reads};
use super::program::Taps;
use crate::Unsupported;

/// Lowers a CONV_2D or DEPTHWISE_CONV_2D node.
pub fn lower_conv(ctx: &mut Context, op: OpId) -> Result<(Reads, Lowered), Unsupported> {
    let node = ctx.graph.node(op);
    let (params, depthwise) = match node.kind {
        OpKind::Conv2d(params) => (params, None),
        OpKind::DepthwiseConv2d { params, multiplier } => (params, Some(multiplier)),
        _ => return Err(Unsupported::new("not a convolution")),
    };
    let (filter, output) = (ctx.operand(op, 1)?, node.outputs[0]);
    let bias = node.inputs.get(2).copied().flatten();
    let given = ctx.operand(op, 0)?;
    let [n, _, _, c] = nhwc(ctx.tensor(given))?;
    let [_, oh, ow, oc] = nhwc(ctx.tensor(output))?;
    let [f0, kh, kw, f3] = nhwc(ctx.tensor(filter))?;
    let kernel = Hw { h: kh, w: kw };
    let (input, pad) = padding(ctx, given, &params, kernel, Hw { h: oh, w: ow })?;
    let [_, h, w, _] = nhwc(ctx.tensor(input))?;
    let grouping = match depthwise {
        None if f3 == c => Grouping::Dense,
        None if f3 > 0 && c % f3 == 0 && oc % (c / f3) == 0 => Grouping::Groups {
            inputs: f3,
            outputs: oc / (c / f3),
            channel_last: false,
        },
        Some(m) if m > 0 && c * m == oc && f3 == oc && f0 == 1 => Grouping::Groups {
            inputs: 1,
            outputs: m,
            channel_last: true,
        },
        _ => {
            return Err(Unsupported::new(format!(
                "filter {:?} does not fit {c} input and {oc} output channels",
                ctx.tensor(filter).shape
            )));
        }
    };
    Conv {
        op,
        input,
        output,
        batch: n,
        input_shape: [h, w, c],
        output_shape: [oh, ow, oc],
        window: Window {
            kernel,
            stride: params.stride,
            dilation: params.dilation,
            pad,
        },
        taps: Taps::all(kernel),
        grouping,
        filter,
        bias,
        activation: params.activation,
        name: if depthwise.is_some() {
            "depthwise"
        } else {
            "conv"
        },
    }
    .lower(ctx)
}

/// Lowers a FULLY_CONNECTED node: a 1x1 convolution over a column of pixels, or one with a kernel as
/// large as the map where the map was flattened right before.
pub fn lower_fully_connected(ctx: &mut Context, op: OpId) -> Result<(Reads, Lowered), Unsupported> {
    let node = ctx.graph.node(op);
    let OpKind::FullyConnected { activation, .. } = node.kind else {
        return Err(Unsupported::new("not fully connected"));
    };
    let (given, filter, output) = (ctx.operand(op, 0)?, ctx.operand(op, 1)?, node.outputs[0]);
    let bias = node.inputs.get(2).copied().flatten();
    let [oc, k] = ctx.tensor(filter).shape[..] else {
        return Err(Unsupported::new("the filter is not a matrix"));
    };
    let elements = ctx.tensor(given).elements();
    if k == 0 || !elements.is_multiple_of(k) || ctx.tensor(output).elements() != elements / k * oc {
        return Err(Unsupported::new(format!(
            "{elements} input elements do not make rows of {k}"
        )));
    }
    let rows = elements / k;
    let source = ctx.origin(given);
    let shape = map_shape(ctx.tensor(source)).unwrap_or([1, 1, k]);
    let per_image = |t: &[usize]| t.len() == 4 && t[0] == rows && t[1] * t[2] * t[3] == k;
    // A single column of pixels, which can be cut anywhere: any arrangement of the rows will do.
    let column = |input| Conv {
        op,
        input,
        output,
        batch: 1,
        input_shape: [rows, 1, k],
        output_shape: [rows, 1, oc],
        window: Window::unit(),
        taps: Taps::all(Hw { h: 1, w: 1 }),
        grouping: Grouping::Dense,
        filter,
        bias,
        activation,
        name: "fully-connected",
    };
    let conv = if shape[2] == k {
        column(source)
    } else if per_image(&ctx.tensor(source).shape) {
        let [n, h, w, c] = nhwc(ctx.tensor(source))?;
        let kernel = Hw { h, w };
        Conv {
            batch: n,
            input_shape: [h, w, c],
            output_shape: [1, 1, oc],
            window: Window {
                kernel,
                ..Window::unit()
            },
            taps: Taps::all(kernel),
            ..column(source)
        }
    } else if map_shape(ctx.tensor(given)).is_some_and(|s| s[2] == k) {
        column(given)
    } else {
        return Err(Unsupported::new(format!(
            "input {:?} does not lie in rows of {k}",
            ctx.tensor(given).shape
        )));
    };
    conv.lower(ctx)
}

/// Padding above and to the left, and the tensor to read: the input of a PAD that can be folded.
fn padding(
    ctx: &Context,
    given: TensorId,
    params: &ConvParams,
    kernel: Hw,
    output: Hw,
) -> Result<(TensorId, Hw), Unsupported> {
    if params.padding == Padding::Valid {
        if let Some((source, top, left)) = crate::common::fold_pad::fold_pad(ctx, given) {
            return Ok((source, Hw { h: top, w: left }));
        }
        return Ok((given, Hw { h: 0, w: 0 }));
    }
    let [_, h, w, _] = nhwc(ctx.tensor(given))?;
    let before = |input: usize, output: usize, kernel: usize, stride: usize, dilation: usize| {
        ((output - 1) * stride + (kernel - 1) * dilation + 1).saturating_sub(input) / 2
    };
    Ok((
        given,
        Hw {
            h: before(h, output.h, kernel.h, params.stride.h, params.dilation.h),
            w: before(w, output.w, kernel.w, params.stride.w, params.dilation.w),
        },
    ))
}
