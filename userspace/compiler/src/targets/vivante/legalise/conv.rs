//! CONV_2D, DEPTHWISE_CONV_2D and FULLY_CONNECTED: one dense convolution each.
//!
//! The hardware has neither groups nor strides. Weights between channels that do not meet are zero
//! points, which the coefficient stream takes in runs; a stride of 2 is a convolution of stride 1
//! of which "first pixel" pooling keeps every second row and column, so that no reshuffling of the
//! image is needed; strides of 4 and 8 are halved again by jobs behind it.

use ferrite_ir::{Bytes, DType, TensorId};

use super::common_scale::{self, Numbers};
use super::elementwise::{Clamp, multiplier};
use super::per_channel::subsample;
use super::rounding::{self, Rounding};
use crate::error::Unsupported;
use crate::executable::{Evidence, Patches};
use crate::lowered::Lowered;
use crate::npu::{self, ConvKind, Grouping, Item, Window};
use crate::sums;
use crate::targets::vivante::chip::{
    MAX_EXTENT, MAX_INPUTS, MAX_KERNEL, MAX_OUTPUTS, MAX_PAD, PROVEN_KERNEL, PROVEN_PAD,
};
use crate::targets::vivante::context::Context;
use crate::targets::vivante::kernels::{Kernel, Order};
use crate::targets::vivante::program::{Layer, Multiplier, Side};

/// A convolution in the forms that the hardware takes.
struct Conv<'a> {
    item: &'a Item,
    name: &'static str,
    /// Input tensor, and its rows, columns and channels.
    input: TensorId,
    /// What the host makes it of, where that is not the tensor as it is.
    patches: Option<Patches>,
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
    rounding: Rounding,
}

/// The layers of a convolution.
pub fn conv(
    ctx: &mut Context,
    item: &Item,
    conv: &npu::Conv,
) -> Result<Lowered<Layer>, Unsupported> {
    let npu::Conv {
        kind,
        images,
        input_shape: [h, w, inputs],
        output_shape: [oh, ow, outputs],
        window,
        ..
    } = *conv;
    let Window {
        kernel,
        stride,
        dilation,
        pad,
    } = window;
    let mut size = [kernel.h, kernel.w];
    let mut input_shape = [images * h, w, inputs];
    let order = match conv.grouping {
        // The pixels of a flattened map are taken for channels, in the order in which they lie.
        _ if kind == ConvKind::FullyConnected && size != [1, 1] => {
            size = [1, 1];
            input_shape = [1, 1, h * w * inputs];
            Order::Flattened { pixels: h * w }
        }
        Grouping::Dense => Order::Dense {
            group_inputs: inputs,
            group_outputs: outputs,
        },
        Grouping::Groups {
            inputs: group_inputs,
            outputs: group_outputs,
            channel_last: false,
        } => Order::Dense {
            group_inputs,
            group_outputs,
        },
        Grouping::Groups {
            outputs: multiplier,
            channel_last: true,
            ..
        } => Order::Depthwise { multiplier },
    };
    // Pixels of several images are alike to a 1x1 kernel.
    let pointwise = window == Window::unit() && [oh, ow] == [h, w];
    if images != 1 && !pointwise {
        return Err(Unsupported::new(format!("a batch of {images} images"))
            .with_remedy("use a batch of one"));
    }
    Conv {
        item,
        name: kind.name(),
        input: conv.input,
        patches: conv.patches.as_ref().map(|patches| patches.of(images)),
        input_shape,
        output: ctx.result(item.op),
        output_shape: [images * oh, ow, outputs],
        filter: conv.filter,
        bias: conv.bias,
        order,
        size,
        stride: [stride.h, stride.w],
        dilation: [dilation.h, dilation.w],
        pad: [pad.h, pad.w],
        rounding: match kind {
            ConvKind::FullyConnected => Rounding::Once,
            _ => Rounding::Twice,
        },
    }
    .lower(ctx)
}

impl Conv<'_> {
    fn lower(self, ctx: &mut Context) -> Result<Lowered<Layer>, Unsupported> {
        let halvings = self.halvings()?;
        let pooled = halvings > 0;
        let mut kernel = self.kernel(ctx)?;
        let (in_zero, in_scale) = ctx.quantisation(self.input)?;
        let (_, out_scale) = ctx.quantisation(self.output)?;
        let scales = self.filter_scales(ctx)?;
        let scale = scales.iter().copied().fold(0.0, f64::max);
        let factor = in_scale * scale / out_scale;
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
        let clamp = Clamp::of(ctx.stored(self.output)?, self.item.range);
        let (mut multiplier, mut added) = (multiplier, 0);
        if let [_] = scales[..] {
            (multiplier, added) = rounding::fit(self.rounding, factor, multiplier, clamp.steps);
        }
        kernel.bias.iter_mut().for_each(|bias| *bias += added);
        let input = match self.patches {
            None => ctx.side(self.input, self.input_shape)?,
            Some(patches) => ctx.patches(self.input, patches, self.input_shape),
        };
        let output = ctx.side(self.output, self.output_shape)?;
        let layer = Layer {
            op: self.item.op,
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
        let mut error = None;
        if scales.len() > 1 {
            let numbers = Numbers {
                scales: &scales,
                biases: &self.biases(ctx)?,
                ratio: in_scale / out_scale,
                zero: in_zero,
                rounding: self.rounding,
                steps: clamp.steps,
            };
            let (jobs, found) = common_scale::jobs(ctx, &all[0], &numbers)?;
            all.splice(..1, jobs);
            error = Some(found as f32);
        }
        if self.patches.is_some() {
            ctx.enter_in(self.input, input.map);
        }
        Ok(Lowered {
            error,
            ..Lowered::new(self.name, Evidence::Silicon, all)
        })
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
            layers.insert(0, subsample(self.item.op, zero, from, to)?);
            to = from;
        }
        layer.output = to;
        layers.insert(0, layer);
        Ok(layers)
    }

    /// The scale of the filter, or those of its output channels: the hardware has one for all.
    fn filter_scales(&self, ctx: &Context) -> Result<Vec<f64>, Unsupported> {
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
        let zeros = &quant.zero_points;
        let one_scale = quant.scales.iter().all(|&scale| scale == first);
        let one_zero = zeros.iter().all(|zero| Some(zero) == zeros.first());
        if one_scale && one_zero {
            return Ok(vec![f64::from(first)]);
        }
        let [_, _, outputs] = self.output_shape;
        if ctx.options.exact || !one_zero || quant.scales.len() != outputs {
            return Err(Unsupported::new(
                "a filter with a scale for each channel: the hardware has one multiplier for a layer",
            )
            .with_remedy("quantise weights per tensor"));
        }
        let scales: Vec<f64> = quant.scales.iter().map(|&scale| f64::from(scale)).collect();
        let wrong = scales
            .iter()
            .find(|scale| !(scale.is_finite() && **scale >= 0.0));
        match wrong {
            Some(scale) => Err(Unsupported::new(format!(
                "a filter with a scale of {scale}"
            ))),
            None => Ok(scales),
        }
    }

    /// Biases in steps of the accumulators that the model's own weights have.
    fn biases(&self, ctx: &Context) -> Result<Vec<i64>, Unsupported> {
        let [_, _, outputs] = self.output_shape;
        match self.bias {
            None => Ok(vec![0; outputs]),
            Some(bias) => ctx
                .ints(bias)
                .filter(|b| b.len() == outputs)
                .ok_or_else(|| {
                    Unsupported::new("the bias is not a constant of one integer per channel")
                }),
        }
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
        let bias = self.biases(ctx)?;
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
