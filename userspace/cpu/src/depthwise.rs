//! DEPTHWISE_CONV_2D on 8-bit tensors, with any depth multiplier.

use super::context::{Byte, Context, GemmQuant, bias_of, by_byte_type, nhwc};
use super::image::Frame;
use super::requant::Requant;
use super::simd::{self, Isa, LANES, PairRow};
use super::window::Axis;
use super::{KernelError, Value};
use ferrite_ir::op::ConvParams;
use ferrite_process::parallel;

/// Everything of a depthwise convolution that does not depend on the input's values.
pub(super) struct Plan {
    input: [usize; 4],
    output: [usize; 4],
    stride: [usize; 2],
    multiplier: usize,
    frame: Frame,
    /// Element offset of each tap from the window's origin.
    taps: Vec<usize>,
    /// For each block of channels, one row for each tap, with zeros at odd places.
    filter: Vec<PairRow>,
    input_zero_point: i32,
    requant: Requant,
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
        let multiplier = channels / input[3];
        let axis = |i: usize, taps, stride, dilation| {
            Axis::new(input[i], taps, stride, dilation, params.padding)
        };
        let y_axis = axis(1, kh, params.stride.h, params.dilation.h)?;
        let x_axis = axis(2, kw, params.stride.w, params.dilation.w)?;
        let frame = Frame::new(&y_axis, &x_axis, input[3], multiplier, LANES)?;
        let quant = GemmQuant::of(ctx, 0, 1, channels, params.activation)?;
        let bias = bias_of(ctx, 2, channels)?;

        let mut taps = Vec::new();
        let mut positions = Vec::new();
        for &(ky, dy) in &y_axis.live_taps() {
            for &(kx, dx) in &x_axis.live_taps() {
                taps.push(frame.tap(dy, dx));
                positions.push(ky * kw + kx);
            }
        }
        let zero_point = quant.filter_zero_point as i16;
        let filter = by_byte_type!(w.dtype(), "the filter", T => {
            Ok(pack::<T>(w.view()?, channels, &positions, zero_point))
        })?;
        Ok(Plan {
            input,
            output: [input[0], y_axis.output, x_axis.output, channels],
            stride: [params.stride.h, params.stride.w],
            multiplier,
            frame,
            taps,
            filter,
            input_zero_point: quant.input_zero_point,
            requant: Requant::new(&quant, bias.as_deref(), 1),
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
        let mut out = Value::zeros(ctx.output_tensor(0)?.dtype, self.output)?;
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
            let widened = self
                .frame
                .widen(input, self.input_zero_point, self.multiplier, 0)?;
            parallel::chunks_mut(output, width * channels, |y, output| {
                simd::run(Line {
                    plan: self,
                    image: &widened[y * self.stride[0] * self.frame.row..],
                    output,
                });
            });
        }
        Ok(())
    }
}

fn pack<T: Byte>(
    filter: &[T],
    channels: usize,
    positions: &[usize],
    zero_point: i16,
) -> Vec<PairRow> {
    let mut packed = Vec::new();
    for first in (0..channels).step_by(LANES) {
        for &position in positions {
            let mut row = [0i16; 2 * LANES];
            let from = &filter[position * channels + first..(position + 1) * channels];
            for (r, w) in row.iter_mut().step_by(2).zip(from) {
                *r = w.widen() as i16 - zero_point;
            }
            packed.push(row);
        }
    }
    packed
}

/// A line of output pixels.
struct Line<'a, T> {
    plan: &'a Plan,
    /// The widened map, from the line's first window on.
    image: &'a [i16],
    output: &'a mut [T],
}

impl<T: Byte> simd::Loop for Line<'_, T> {
    #[inline(always)]
    fn run<I: Isa, const TILE: usize>(self, isa: I) {
        let plan = self.plan;
        let channels = plan.output[3];
        let step = plan.stride[1] * plan.frame.pixel;
        for (block, first) in (0..channels).step_by(LANES).enumerate() {
            let lanes = LANES.min(channels - first);
            let filter = &plan.filter[block * plan.taps.len()..][..plan.taps.len()];
            let tiles = self.output.chunks_mut(TILE * channels);
            for (tile, output) in tiles.enumerate() {
                // A last, partial tile computes its last pixel several times.
                let last = output.len() / channels - 1;
                let windows: [&[i16]; TILE] = std::array::from_fn(|m| {
                    &self.image[(tile * TILE + m.min(last)) * step + first..]
                });
                let mut acc = [isa.zero(); TILE];
                for (&tap, w) in plan.taps.iter().zip(filter) {
                    for (acc, window) in acc.iter_mut().zip(windows) {
                        if let Some(x) = window[tap..].first_chunk() {
                            *acc = isa.add_lanes(*acc, x, w);
                        }
                    }
                }
                for (output, acc) in output.chunks_exact_mut(channels).zip(acc) {
                    let to = &mut output[first..first + lanes];
                    plan.requant.store(block, &isa.lanes(acc), to);
                }
            }
        }
    }
}
