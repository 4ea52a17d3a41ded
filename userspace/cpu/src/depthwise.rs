//! DEPTHWISE_CONV_2D on 8-bit tensors, with any depth multiplier.

use super::context::{Byte, Context, GemmQuant, bias_of, by_byte_type, nhwc};
use super::depthwise_lanes::Lanes;
use super::depthwise_quads::Quads;
use super::requant::Requant;
use super::window::Axis;
use super::{KernelError, Value};
use ferrite_ir::op::ConvParams;
use ferrite_simd as simd;

/// Everything of a depthwise convolution that does not depend on the input's values.
pub(super) struct Plan {
    input: [usize; 4],
    output: [usize; 4],
    kernel: Kernel,
    requant: Requant,
}

/// How it is computed.
enum Kernel {
    Lanes(Lanes),
    Quads(Quads),
}

impl Plan {
    /// Derives geometry and quantisation, and packs the filter.
    pub fn new(ctx: &Context<'_>, params: &ConvParams) -> Result<Plan, KernelError> {
        let (x, w) = (ctx.input(0)?, ctx.input(1)?);
        let input = nhwc(x, "the input of a convolution has four dimensions")?;
        let filter = nhwc(w, "the filter of a convolution has four dimensions")?;
        let [one, kh, kw, channels] = filter;
        if one != 1 || channels % input[3] != 0 {
            return Err(KernelError::Shape {
                what: "a depthwise filter is 1 x height x width x (channels * multiplier)",
                shapes: vec![input.to_vec(), filter.to_vec()],
            });
        }
        let axis = |i: usize, taps, stride, dilation| {
            Axis::new(input[i], taps, stride, dilation, params.padding)
        };
        let axes = [
            axis(1, kh, params.stride.h, params.dilation.h)?,
            axis(2, kw, params.stride.w, params.dilation.w)?,
        ];
        let quant = GemmQuant::of(ctx, 0, 1, channels, params.activation)?;
        let bias = bias_of(ctx, 2, channels)?;
        let bias = |channel: usize| bias.as_ref().map_or(0, |b| b[channel]);
        let lowest = by_byte_type!(x.dtype(), "the input", T => Ok(T::LOWEST))?;
        let weights = by_byte_type!(w.dtype(), "the filter", T => {
            let zero = quant.filter_zero_point;
            Ok(w.view::<T>()?.iter().map(|w| (w.widen() - zero) as i16).collect::<Vec<_>>())
        })?;
        let zero = quant.input_zero_point;
        let quads = match simd::has_quads() {
            true => Quads::new(input, axes, &weights, zero - lowest)?,
            false => None,
        };
        let (kernel, requant) = match quads {
            Some(quads) => {
                let bias = |c: usize| bias(c).wrapping_sub(quads.zero_sum(c));
                let requant = Requant::new(&quant, bias, 1);
                (Kernel::Quads(quads), requant)
            }
            None => {
                let lanes = Lanes::new(input, axes, &weights, zero)?;
                (Kernel::Lanes(lanes), Requant::new(&quant, bias, 1))
            }
        };
        Ok(Plan {
            input,
            output: [input[0], axes[0].output, axes[1].output, channels],
            kernel,
            requant,
        })
    }

    /// Convolves an input of the planned shape.
    pub fn run(&self, ctx: &Context<'_>) -> Result<Value, KernelError> {
        let x = ctx.input(0)?;
        if x.shape() != self.input {
            return Err(KernelError::Shape {
                what: "the input differs from the planned shape",
                shapes: vec![x.shape().to_vec(), self.input.to_vec()],
            });
        }
        let mut out = ctx.result(ctx.output_tensor(0)?.dtype, self.output)?;
        by_byte_type!(x.dtype(), "the input", T => self.run_typed::<T>(x.view()?, out.view_mut()?))?;
        Ok(out)
    }

    fn run_typed<T: Byte>(&self, input: &[T], output: &mut [T]) -> Result<(), KernelError> {
        let [batches, height, width, channels] = self.output;
        let image = input.len() / batches;
        for (input, output) in input
            .chunks_exact(image)
            .zip(output.chunks_exact_mut(height * width * channels))
        {
            match &self.kernel {
                Kernel::Lanes(lanes) => lanes.run(&self.requant, input, output)?,
                Kernel::Quads(quads) => quads.run(&self.requant, input, output)?,
            }
        }
        Ok(())
    }
}
