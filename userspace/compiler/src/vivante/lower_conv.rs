//! CONV_2D, DEPTHWISE_CONV_2D and FULLY_CONNECTED: one dense convolution each.
//!
//! The hardware has neither groups nor strides. Weights between channels that do not meet are zero
//! points, which the coefficient stream takes in runs; a stride of 2 is a convolution of stride 1
//! of which "first pixel" pooling keeps every second row and column, so that no reshuffling of the
//! image is needed; strides of 4 and 8 are halved again by jobs behind it.

use ferrite_ir::op::{Activation, ConvParams, OpKind, Padding};
use ferrite_ir::{Bytes, DType, OpId, TensorId};
use smallvec::smallvec;

use super::chip::{
    MAX_EXTENT, MAX_INPUTS, MAX_KERNEL, MAX_OUTPUTS, MAX_PAD, PROVEN_KERNEL, PROVEN_PAD,
};
use super::context::Context;
use super::diagonal::subsample;
use super::elementwise::{Clamp, multiplier};
use super::kernels::{Kernel, Order};
use super::lower::Lowering;
use super::program::{Layer, Multiplier, Side};
use super::rounding;
use crate::Unsupported;
use crate::common::fold_pad::fold_pad;
use crate::common::index::{map_shape, nhwc};
use crate::common::sums;
use crate::executable::Evidence;

/// A convolution, whatever TFLite calls it.
struct Conv {
    op: OpId,
    name: &'static str,
    /// Input tensor, after looking through what is folded, and its rows, columns and channels.
    input: TensorId,
    input_shape: [usize; 3],
    output: TensorId,
    output_shape: [usize; 3],
    filter: TensorId,
    bias: Option<TensorId>,
    order: Order,
    size: [usize; 2],
    stride: [usize; 2],
    dilation: [usize; 2],
    pad: [usize; 2],
    activation: Activation,
}

/// Lowers a CONV_2D or DEPTHWISE_CONV_2D node.
pub fn lower_conv(ctx: &mut Context, op: OpId) -> Lowering {
    let node = ctx.graph.node(op);
    let (params, depthwise) = match node.kind {
        OpKind::Conv2d(params) => (params, None),
        OpKind::DepthwiseConv2d { params, multiplier } => (params, Some(multiplier)),
        _ => return Err(Unsupported::new("not a convolution")),
    };
    let (given, filter, output) = (ctx.operand(op, 0)?, ctx.operand(op, 1)?, node.outputs[0]);
    let [batch, _, _, channels] = nhwc(ctx.tensor(given))?;
    let [_, oh, ow, outputs] = nhwc(ctx.tensor(output))?;
    let [first, rows, columns, last] = nhwc(ctx.tensor(filter))?;
    let size = [rows, columns];
    let (input, pad) = padding(ctx, given, &params, size, [oh, ow])?;
    let [_, h, w, _] = nhwc(ctx.tensor(input))?;
    let order = match depthwise {
        None if last > 0 && channels % last == 0 && outputs % (channels / last) == 0 => {
            Order::Dense {
                group_inputs: last,
                group_outputs: outputs / (channels / last),
            }
        }
        Some(m) if m > 0 && channels * m == outputs && last == outputs && first == 1 => {
            Order::Depthwise { multiplier: m }
        }
        _ => {
            return Err(Unsupported::new(format!(
                "filter {:?} does not fit {channels} input and {outputs} output channels",
                ctx.tensor(filter).shape
            )));
        }
    };
    let stride = [params.stride.h, params.stride.w];
    // Pixels of several images are alike to a 1x1 kernel.
    if batch != 1 && (size != [1, 1] || stride != [1, 1] || pad != [0, 0] || [oh, ow] != [h, w]) {
        return Err(Unsupported::new(format!("a batch of {batch} images"))
            .with_remedy("use a batch of one"));
    }
    Conv {
        op,
        name: if depthwise.is_some() {
            "depthwise"
        } else {
            "conv"
        },
        input,
        input_shape: [batch * h, w, channels],
        output,
        output_shape: [batch * oh, ow, outputs],
        filter,
        bias: node.inputs.get(2).copied().flatten(),
        order,
        size,
        stride,
        dilation: [params.dilation.h, params.dilation.w],
        pad,
        activation: params.activation,
    }
    .lower(ctx)
}

/// Lowers a FULLY_CONNECTED node: a 1x1 convolution. Where a map was flattened right before, its
/// pixels are taken for channels, in the order in which they lie.
pub fn lower_fully_connected(ctx: &mut Context, op: OpId) -> Lowering {
    let node = ctx.graph.node(op);
    let OpKind::FullyConnected { activation, .. } = node.kind else {
        return Err(Unsupported::new("not fully connected"));
    };
    let (given, filter, output) = (ctx.operand(op, 0)?, ctx.operand(op, 1)?, node.outputs[0]);
    let [outputs, inputs] = ctx.tensor(filter).shape[..] else {
        return Err(Unsupported::new("the filter is not a matrix"));
    };
    let elements = ctx.tensor(given).elements();
    if inputs == 0
        || !elements.is_multiple_of(inputs)
        || ctx.tensor(output).elements() != elements / inputs * outputs
    {
        return Err(Unsupported::new(format!(
            "{elements} input elements do not make rows of {inputs}"
        )));
    }
    let source = ctx.origin(given);
    let dense = Order::Dense {
        group_inputs: inputs,
        group_outputs: outputs,
    };
    let rows_of = |tensor: TensorId| {
        map_shape(ctx.tensor(tensor)).filter(|&[_, _, channels]| channels == inputs)
    };
    let (input, [h, w, _], order) = if let Some(shape) = rows_of(source) {
        (source, shape, dense)
    } else if elements == inputs
        && let Some([h, w, _]) = map_shape(ctx.tensor(source))
    {
        (source, [1, 1, inputs], Order::Flattened { pixels: h * w })
    } else if let Some(shape) = rows_of(given) {
        (given, shape, dense)
    } else {
        return Err(Unsupported::new(format!(
            "input {:?} does not lie in rows of {inputs}",
            ctx.tensor(given).shape
        )));
    };
    Conv {
        op,
        name: "fully-connected",
        input,
        input_shape: [h, w, inputs],
        output,
        output_shape: [h, w, outputs],
        filter,
        bias: node.inputs.get(2).copied().flatten(),
        order,
        size: [1, 1],
        stride: [1, 1],
        dilation: [1, 1],
        pad: [0, 0],
        activation,
    }
    .lower(ctx)
}

/// Padding above and to the left, and the tensor to read: the input of a PAD that can be folded.
fn padding(
    ctx: &Context,
    given: TensorId,
    params: &ConvParams,
    size: [usize; 2],
    output: [usize; 2],
) -> Result<(TensorId, [usize; 2]), Unsupported> {
    if params.padding == Padding::Valid {
        return Ok(match fold_pad(ctx, given) {
            Some((source, top, left)) => (source, [top, left]),
            None => (given, [0, 0]),
        });
    }
    let [_, h, w, _] = nhwc(ctx.tensor(given))?;
    let before = |input: usize, output: usize, taps: usize, stride: usize, dilation: usize| {
        ((output - 1) * stride + (taps - 1) * dilation + 1).saturating_sub(input) / 2
    };
    let (s, d) = (params.stride, params.dilation);
    Ok((
        given,
        [
            before(h, output[0], size[0], s.h, d.h),
            before(w, output[1], size[1], s.w, d.w),
        ],
    ))
}

impl Conv {
    fn lower(self, ctx: &mut Context) -> Lowering {
        let halvings = self.halvings()?;
        let pooled = halvings > 0;
        let mut kernel = self.kernel(ctx)?;
        let (in_zero, in_scale) = ctx.quantisation(self.input)?;
        let (_, out_scale) = ctx.quantisation(self.output)?;
        let factor = in_scale * self.filter_scale(ctx)? / out_scale;
        let multiplier = multiplier(factor)?;
        let evidence = self.evidence(ctx, &kernel, multiplier)?;
        let [h, w, channels] = self.input_shape;
        let [oh, ow, outputs] = self.output_shape;
        let scale = 1 << halvings;
        for (what, value, limit) in [
            ("kernel", kernel.size, MAX_KERNEL),
            ("padding", self.pad[0].max(self.pad[1]), MAX_PAD),
            (
                "image extent",
                h.max(w).max(scale * oh).max(scale * ow),
                MAX_EXTENT,
            ),
            ("number of input channels", channels, MAX_INPUTS),
            ("number of output channels", outputs, MAX_OUTPUTS),
        ] {
            if value > limit {
                return Err(Unsupported::new(format!(
                    "a {what} of {value} exceeds the hardware's {limit}"
                )));
            }
        }
        let clamp = Clamp::of(ctx, self.output, self.activation)?;
        let (multiplier, added) = rounding::fit(factor, multiplier, clamp.steps);
        kernel.bias.iter_mut().for_each(|bias| *bias += added);
        let input = ctx.side(self.input, self.input_shape)?;
        let output = ctx.side(self.output, self.output_shape)?;
        let layer = Layer {
            op: self.op,
            lowering: self.name,
            evidence,
            input,
            output,
            pad: self.pad,
            border: in_zero,
            pooled,
            kernel,
            multiplier,
            out_zero: clamp.zeros[0],
            relu: clamp.relu,
        };
        let mut layers = clamp.finish(ctx, layer)?;
        let convolution = layers.remove(0);
        let mut all = self.subsampled(ctx, convolution, halvings)?;
        all.append(&mut layers);
        Ok((smallvec![self.input], self.name.to_string(), all))
    }

    /// What the layer rests on, if that is admitted.
    fn evidence(
        &self,
        ctx: &Context,
        kernel: &Kernel,
        multiplier: Multiplier,
    ) -> Result<Evidence, Unsupported> {
        let deepest = self.pad[0].max(self.pad[1]);
        let unproven = if kernel.size > PROVEN_KERNEL {
            format!(
                "the coefficient order of a kernel that spans {}",
                kernel.size
            )
        } else if deepest > PROVEN_PAD {
            format!("padding of {deepest}")
        } else if multiplier.evidence() != Evidence::Silicon {
            "an accumulator that counts an output step or more".to_owned()
        } else {
            return Ok(Evidence::Silicon);
        };
        if ctx.admits(Evidence::Inferred) {
            return Ok(Evidence::Inferred);
        }
        Err(
            Unsupported::new(format!("{unproven} has not been seen on the chip"))
                .with_remedy("prove it with `ferrite selftest` on a board"),
        )
    }

    /// How often every second row and column is dropped: once by the convolution itself, then by
    /// jobs behind it.
    fn halvings(&self) -> Result<u32, Unsupported> {
        let [oh, ow, _] = self.output_shape;
        let [vertical, horizontal] = self.stride;
        // Where there is one output along an axis, its stride does not matter.
        let stride = match (oh, ow) {
            (1, 1) => 1,
            (1, _) => horizontal,
            (_, 1) => vertical,
            _ if vertical == horizontal => vertical,
            _ => 0,
        };
        if stride.is_power_of_two() {
            Ok(stride.ilog2())
        } else {
            Err(Unsupported::new(format!(
                "a stride of {vertical}x{horizontal}: the hardware has 1x1 and 2x2"
            )))
        }
    }

    /// The jobs behind the convolution, which makes a map that is larger by the strides they do.
    fn subsampled(
        &self,
        ctx: &mut Context,
        mut layer: Layer,
        halvings: u32,
    ) -> Result<Vec<Layer>, Unsupported> {
        let (target, zero) = (layer.output, layer.out_zero);
        let mut layers = Vec::new();
        let mut to = target;
        for left in 1..halvings {
            let from = Side {
                x: to.x * 2,
                y: to.y * 2,
                offset: 0,
                map: ctx.add_map([to.y * 2, to.x * 2, to.z], None),
                z: to.z,
            };
            debug_assert_eq!(from.y, target.y << left);
            layers.insert(0, subsample(self.op, zero, from, to)?);
            to = from;
        }
        layer.output = to;
        layers.insert(0, layer);
        Ok(layers)
    }

    /// The scale of the filter: the hardware has one for all channels.
    fn filter_scale(&self, ctx: &Context) -> Result<f64, Unsupported> {
        let unquantised = || {
            Unsupported::new("the filter has no quantisation")
                .with_remedy("quantise the model to 8 bits")
        };
        let quant = ctx
            .tensor(self.filter)
            .quant
            .as_ref()
            .ok_or_else(unquantised)?;
        let first = *quant.scales.first().ok_or_else(unquantised)?;
        if quant.scales.iter().any(|&scale| scale != first)
            || quant
                .zero_points
                .iter()
                .any(|z| Some(z) != quant.zero_points.first())
        {
            return Err(Unsupported::new(
                "a filter with a scale for each channel: the hardware has one multiplier for a layer",
            )
            .with_remedy("quantise weights per tensor"));
        }
        Ok(f64::from(first))
    }

    /// Weights and biases.
    fn kernel(&self, ctx: &Context) -> Result<Kernel, Unsupported> {
        let filter = ctx.tensor(self.filter);
        let flip = match filter.dtype {
            DType::U8 => 0,
            DType::I8 => 0x80,
            other => {
                return Err(Unsupported::new(format!("{other:?} weights"))
                    .with_remedy("quantise the model to 8 bits"));
            }
        };
        let data: Bytes = filter.data.clone().ok_or_else(|| {
            Unsupported::new("the filter is computed at run time")
                .with_remedy("make the filter a constant")
        })?;
        if data.len() != filter.elements() {
            return Err(Unsupported::new("the filter's bytes do not fill its shape"));
        }
        let zero = filter
            .quant
            .as_ref()
            .and_then(|q| q.zero_points.first().copied())
            .unwrap_or(0);
        let zero = u8::try_from(zero + i32::from(flip))
            .map_err(|_| Unsupported::new(format!("filter zero point {zero} is out of range")))?;
        let [_, _, inputs] = self.input_shape;
        let [_, _, outputs] = self.output_shape;
        let span = |axis: usize| (self.size[axis] - 1) * self.dilation[axis] + 1;
        let mut size = span(0).max(span(1));
        // A 1x1 kernel of one channel is no form that the hardware takes.
        if size == 1 && inputs == 1 {
            size = 2;
        }
        let mut kernel = Kernel {
            data,
            flip,
            zero,
            order: self.order,
            filter: self.size,
            dilation: self.dilation,
            size,
            inputs,
            outputs,
            first: [0, 0],
            bias: Vec::new(),
        };
        let bias = match self.bias {
            None => vec![0; outputs],
            Some(bias) => ctx
                .ints(bias)
                .filter(|b| b.len() == outputs)
                .ok_or_else(|| {
                    Unsupported::new("the bias is not a constant of one integer per channel")
                })?,
        };
        let in_zero = i64::from(ctx.quantisation(self.input)?.0);
        sums::check_length(kernel.weights_each())?;
        for (bias, sums) in bias.into_iter().zip(kernel.sums()) {
            let corrected = bias - in_zero * i64::from(sums.signed);
            // One more, which may be added for the sake of rounding.
            let largest = corrected.abs() + i64::from(sums.magnitude) * 255 + 1;
            if largest > i64::from(i32::MAX) {
                return Err(Unsupported::new(format!(
                    "an accumulator may reach {largest}, beyond 32 bits"
                )));
            }
            kernel.bias.push(corrected as i32);
        }
        Ok(kernel)
    }
}
