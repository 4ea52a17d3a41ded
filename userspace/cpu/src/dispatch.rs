//! From an operator to its kernel.

use super::context::Context;
use super::slice::Masks;
use super::{
    KernelError, Value, arg_max, binary, conv, convert, depthwise, detection, fully_connected,
    gather, join, layout, pad, pool, reduce, resize, slice, softmax, transpose_conv, unary,
};
use ferrite_ir::OpKind;

/// What a kernel can work out once, from constants and shapes, and keep.
pub(super) enum Plan {
    Conv(conv::Plan),
    Depthwise(depthwise::Plan),
    TransposeConv(transpose_conv::Plan),
    /// Nothing worth keeping.
    None,
}

/// Plans an operator. The plan holds while constant operands and shapes stay the same.
pub(super) fn plan(ctx: &Context<'_>) -> Result<Plan, KernelError> {
    Ok(match &ctx.node.kind {
        OpKind::Conv2d(params) => Plan::Conv(conv::Plan::new(ctx, params)?),
        OpKind::DepthwiseConv2d { params, .. } => {
            Plan::Depthwise(depthwise::Plan::new(ctx, params)?)
        }
        &OpKind::TransposeConv {
            padding,
            stride,
            activation,
        } => Plan::TransposeConv(transpose_conv::Plan::new(ctx, padding, stride, activation)?),
        _ => Plan::None,
    })
}

/// The operand that changes from run to run.
pub(super) fn data_operand(kind: &OpKind) -> usize {
    match kind {
        OpKind::TransposeConv { .. } => 2,
        _ => 0,
    }
}

/// Runs a planned operator.
pub(super) fn run(ctx: &Context<'_>, plan: &Plan) -> Result<Vec<Value>, KernelError> {
    let results = match plan {
        Plan::Conv(plan) => vec![plan.run(ctx)?],
        Plan::Depthwise(plan) => vec![plan.run(ctx)?],
        Plan::TransposeConv(plan) => vec![plan.run(ctx)?],
        Plan::None => run_unplanned(ctx)?,
    };
    if results.len() != ctx.node.outputs.len() {
        return Err(KernelError::ResultCount {
            found: ctx.node.outputs.len(),
            expected: results.len(),
        });
    }
    Ok(results)
}

fn run_unplanned(ctx: &Context<'_>) -> Result<Vec<Value>, KernelError> {
    let one = |value: Value| Ok(vec![value]);
    match &ctx.node.kind {
        // Planned operators come here only without a plan.
        OpKind::Conv2d(_) | OpKind::DepthwiseConv2d { .. } | OpKind::TransposeConv { .. } => {
            run(ctx, &plan(ctx)?)
        }
        &OpKind::FullyConnected {
            activation,
            keep_num_dims,
        } => one(fully_connected::run(ctx, activation, keep_num_dims)?),
        &OpKind::Binary { op, activation } => one(binary::run(ctx, op, activation)?),
        &OpKind::Unary(op) => one(unary::run(ctx, op)?),
        &OpKind::LeakyRelu { alpha } => one(unary::leaky_relu(ctx, alpha)?),
        OpKind::Prelu => one(unary::prelu(ctx)?),
        OpKind::AveragePool2d(params) => one(pool::average(ctx, params)?),
        OpKind::MaxPool2d(params) => one(pool::maximum(ctx, params)?),
        &OpKind::Concatenation { axis, activation } => {
            one(join::concatenation(ctx, axis, activation)?)
        }
        OpKind::Pad => one(pad::constant(ctx)?),
        &OpKind::MirrorPad { reflect } => one(pad::mirror(ctx, reflect)?),
        &OpKind::ResizeBilinear {
            align_corners,
            half_pixel_centers,
        } => one(resize::bilinear(
            ctx,
            resize::Grid {
                align_corners,
                half_pixel_centers,
            },
        )?),
        &OpKind::ResizeNearest {
            align_corners,
            half_pixel_centers,
        } => one(resize::nearest(
            ctx,
            resize::Grid {
                align_corners,
                half_pixel_centers,
            },
        )?),
        &OpKind::Reduce { op, keep_dims } => one(reduce::run(ctx, op, keep_dims)?),
        &OpKind::Softmax { beta } => one(softmax::run(ctx, beta)?),
        OpKind::Reshape => one(layout::reshape(ctx)?),
        OpKind::Squeeze => one(layout::squeeze(ctx)?),
        OpKind::ExpandDims => one(layout::expand_dims(ctx)?),
        OpKind::Transpose => one(layout::transpose(ctx)?),
        &OpKind::StridedSlice {
            begin_mask,
            end_mask,
            ellipsis_mask,
            new_axis_mask,
            shrink_axis_mask,
        } => one(slice::strided_slice(
            ctx,
            Masks {
                begin: begin_mask,
                end: end_mask,
                ellipsis: ellipsis_mask,
                new_axis: new_axis_mask,
                shrink: shrink_axis_mask,
            },
        )?),
        OpKind::Slice => one(slice::slice(ctx)?),
        OpKind::Split => slice::split(ctx),
        OpKind::SplitV => slice::split_v(ctx),
        &OpKind::SpaceToDepth { block } => one(layout::space_to_depth(ctx, block)?),
        &OpKind::DepthToSpace { block } => one(layout::depth_to_space(ctx, block)?),
        &OpKind::Pack { axis } => one(join::pack(ctx, axis)?),
        &OpKind::Unpack { axis } => slice::unpack(ctx, axis),
        &OpKind::ArgMax { output } => one(arg_max::run(ctx, output)?),
        OpKind::Quantize => one(convert::quantize(ctx)?),
        OpKind::Dequantize => one(convert::dequantize(ctx)?),
        OpKind::Cast => one(convert::cast(ctx)?),
        OpKind::GatherNd => one(gather::gather_nd(ctx)?),
        &OpKind::Gather { axis } => one(gather::gather(ctx, axis)?),
        OpKind::DetectionPostProcess(params) => detection::run(ctx, params),
        OpKind::Unknown { .. } => Err(KernelError::Unsupported),
    }
}
