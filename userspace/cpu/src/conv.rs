//! CONV_2D on 8-bit tensors, also grouped.
//!
//! The input is widened to 16 bits around its zero point with a border of zeros, so a window is a
//! list of contiguous segments without bounds checks. The filter is packed in blocks of 16 output
//! channels with pairs of taps side by side, the operand order of multiply-add-pairs instructions.

use super::context::{Byte, Context, GemmQuant, bias_of, by_byte_type, nhwc};
use super::image::Frame;
use super::requant::Requant;
use super::simd::{self, Isa, LANES, PairRow};
use super::window::Axis;
use super::{KernelError, Value};
use ferrite_ir::op::ConvParams;
use ferrite_process::parallel;

/// Everything of a convolution that does not depend on the input's values.
pub(super) struct Plan {
    input: [usize; 4],
    output: [usize; 4],
    stride: [usize; 2],
    groups: usize,
    frame: Frame,
    /// Element offsets of the window's segments from its origin.
    segments: Vec<usize>,
    /// Pairs of elements in a segment.
    pairs: usize,
    /// Blocks of all groups, each `segments.len() * pairs` rows.
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
        let [channels, kh, kw, depth] = filter;
        if input[3] % depth != 0 || channels % (input[3] / depth) != 0 {
            return Err(KernelError::Shape {
                what: "the channels do not divide into groups",
                shapes: vec![input.to_vec(), filter.to_vec()],
            });
        }
        let groups = input[3] / depth;
        let axis = |i: usize, taps, stride, dilation| {
            Axis::new(input[i], taps, stride, dilation, params.padding)
        };
        let y_axis = axis(1, kh, params.stride.h, params.dilation.h)?;
        let x_axis = axis(2, kw, params.stride.w, params.dilation.w)?;
        let frame = Frame::new(&y_axis, &x_axis, input[3], 1, 1)?;
        let quant = GemmQuant::of(ctx, 0, 1, channels, params.activation)?;
        let bias = bias_of(ctx, 2, channels)?;

        let rows = y_axis.live_taps();
        let columns = x_axis.live_taps();
        // Neighbouring taps of one group are contiguous in the input and in the filter.
        let dense = x_axis.dilation == 1 && groups == 1;
        let dense = dense && columns.windows(2).all(|p| p[1].0 == p[0].0 + 1);
        let mut segments = Vec::new();
        let mut taps = Vec::new();
        for &(ky, dy) in &rows {
            let starts = if dense {
                &columns[..columns.len().min(1)]
            } else {
                &columns[..]
            };
            for &(kx, dx) in starts {
                segments.push(frame.tap(dy, dx));
                taps.push((ky * kw + kx) * depth);
            }
        }
        let len = if dense { columns.len() * depth } else { depth };
        let zero_point = quant.filter_zero_point;
        let pack = Pack {
            filter,
            groups,
            taps: &taps,
            len,
        };
        let packed = by_byte_type!(w.dtype(), "the filter", T => {
            Ok(pack.run::<T>(w.view()?, zero_point as i16))
        })?;
        Ok(Plan {
            input,
            output: [input[0], y_axis.output, x_axis.output, channels],
            stride: [params.stride.h, params.stride.w],
            groups,
            frame,
            segments,
            pairs: len.div_ceil(2),
            filter: packed,
            input_zero_point: quant.input_zero_point,
            requant: Requant::new(&quant, bias.as_deref(), groups),
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
        // Enough pixels to reuse a block of the filter, few enough to keep all threads busy.
        let pixels = height * width;
        let chunk = (pixels / (4 * parallel::threads()))
            .clamp(8, 128)
            .next_multiple_of(8);
        for (input, output) in input
            .chunks_exact(image)
            .zip(output.chunks_exact_mut(pixels * channels))
        {
            let widened = self.frame.widen(input, self.input_zero_point, 1, 2)?;
            parallel::chunks_mut(output, chunk * channels, |i, output| {
                simd::run(Pixels {
                    plan: self,
                    image: &widened,
                    first: i * chunk,
                    output,
                });
            });
        }
        Ok(())
    }

    /// Element offset of the window of an output pixel.
    #[inline(always)]
    fn origin(&self, pixel: usize) -> usize {
        let (y, x) = (pixel / self.output[2], pixel % self.output[2]);
        y * self.stride[0] * self.frame.row + x * self.stride[1] * self.frame.pixel
    }
}

/// Packing of a filter.
struct Pack<'a> {
    filter: [usize; 4],
    groups: usize,
    /// Element offset of each segment in the filter of one channel.
    taps: &'a [usize],
    /// Elements of a segment.
    len: usize,
}

impl Pack<'_> {
    fn run<T: Byte>(&self, filter: &[T], zero_point: i16) -> Vec<PairRow> {
        let [channels, kh, kw, depth] = self.filter;
        let size = kh * kw * depth;
        let per_group = channels / self.groups;
        let mut packed = Vec::new();
        for group in 0..self.groups {
            for first in (0..per_group).step_by(LANES) {
                let lanes = LANES.min(per_group - first);
                let block = &filter[(group * per_group + first) * size..][..lanes * size];
                for &tap in self.taps {
                    for pair in (0..self.len).step_by(2) {
                        let mut row = [0i16; 2 * LANES];
                        for lane in 0..lanes {
                            for half in 0..2.min(self.len - pair) {
                                let w = block[lane * size + tap + pair + half];
                                row[2 * lane + half] = w.widen() as i16 - zero_point;
                            }
                        }
                        packed.push(row);
                    }
                }
            }
        }
        packed
    }
}

/// A run of output pixels.
struct Pixels<'a, T> {
    plan: &'a Plan,
    image: &'a [i16],
    first: usize,
    output: &'a mut [T],
}

impl<T: Byte> simd::Loop for Pixels<'_, T> {
    #[inline(always)]
    fn run<I: Isa, const TILE: usize>(self, isa: I) {
        let plan = self.plan;
        let channels = plan.output[3];
        let per_group = channels / plan.groups;
        let depth = plan.input[3] / plan.groups;
        let rows = plan.segments.len() * plan.pairs;
        let count = self.output.len() / channels;
        let mut origins: Vec<usize> = (0..count).map(|i| plan.origin(self.first + i)).collect();
        // A last, partial tile computes its last pixel several times.
        origins.resize(count.next_multiple_of(TILE), origins[count - 1]);
        let mut block = 0;
        for group in 0..plan.groups {
            let image = &self.image[group * depth..];
            for first in (0..per_group).step_by(LANES) {
                let lanes = LANES.min(per_group - first);
                let filter = &plan.filter[block * rows..][..rows];
                let tiles = self.output.chunks_mut(TILE * channels);
                for (output, origins) in tiles.zip(origins.as_chunks::<TILE>().0) {
                    let acc = dot_tile(isa, plan, image, origins, filter);
                    for (output, acc) in output.chunks_exact_mut(channels).zip(acc) {
                        let to = &mut output[group * per_group + first..][..lanes];
                        plan.requant.store(block, &isa.lanes(acc), to);
                    }
                }
                block += 1;
            }
        }
    }
}

/// Accumulators of a tile of pixels for one block of channels.
#[inline(always)]
fn dot_tile<I: Isa, const TILE: usize>(
    isa: I,
    plan: &Plan,
    image: &[i16],
    origins: &[usize; TILE],
    filter: &[PairRow],
) -> [I::Acc; TILE] {
    let mut acc = [isa.zero(); TILE];
    if plan.pairs == 0 {
        return acc;
    }
    for (&segment, filter) in plan.segments.iter().zip(filter.chunks_exact(plan.pairs)) {
        let x: [&[[i16; 2]]; TILE] = std::array::from_fn(|m| {
            let elements = &image[origins[m] + segment..][..2 * plan.pairs];
            &elements.as_chunks::<2>().0[..filter.len()]
        });
        for (p, w) in filter.iter().enumerate() {
            for (acc, x) in acc.iter_mut().zip(x) {
                *acc = isa.add_pairs(*acc, x[p], w);
            }
        }
    }
    acc
}
