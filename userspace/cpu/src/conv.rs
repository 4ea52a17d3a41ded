//! CONV_2D on 8-bit tensors, also grouped.
//!
//! The input gets a border of its zero point, so a window is a list of contiguous segments without
//! bounds checks. The filter is packed in blocks of 16 output channels with neighbouring taps side by
//! side, the operand order of the instructions behind [`Taps`].

use super::context::{Byte, Context, GemmQuant, bias_of, by_byte_type, nhwc};
use super::image::Frame;
use super::requant::{self, Requant};
use super::taps::{Pairs, Quads, Taps, unsigned};
use super::window::Axis;
use super::{KernelError, Value};
use bytemuck::cast_slice;
use ferrite_ir::op::ConvParams;
use ferrite_process::parallel;
use ferrite_simd::{self as simd, Isa, LANES};

/// Everything of a convolution that does not depend on the input's values.
pub(super) struct Plan {
    shape: Shape,
    filter: Filter,
    input_zero_point: i32,
    requant: Requant,
}

/// Geometry.
struct Shape {
    input: [usize; 4],
    output: [usize; 4],
    stride: [usize; 2],
    groups: usize,
    frame: Frame,
    /// Element offsets of the window's segments from its origin.
    segments: Vec<usize>,
    /// Elements of a segment.
    len: usize,
}

enum Filter {
    Pairs(Packed<Pairs>),
    Quads(Packed<Quads>),
}

/// A packed filter.
struct Packed<K: Taps> {
    /// Blocks of all groups, each as many rows as there are words in a window.
    rows: Vec<K::Row>,
    /// What the sum of a window's data counts in every channel.
    factor: i32,
}

impl Plan {
    /// Derives geometry and quantisation, and packs the filter.
    pub fn new(ctx: &Context<'_>, params: &ConvParams) -> Result<Plan, KernelError> {
        let (x, w) = (ctx.input(0)?, ctx.input(1)?);
        let input = nhwc(x, "the input of a convolution has four dimensions")?;
        let filter = nhwc(w, "the filter of a convolution has four dimensions")?;
        let [channels, kh, kw, _] = filter;
        let axis = |i: usize, taps, stride, dilation| {
            Axis::new(input[i], taps, stride, dilation, params.padding)
        };
        let axes = [
            axis(1, kh, params.stride.h, params.dilation.h)?,
            axis(2, kw, params.stride.w, params.dilation.w)?,
        ];
        let quant = GemmQuant::of(ctx, 0, 1, channels, params.activation)?;
        let bias = bias_of(ctx, 2, channels)?;
        by_byte_type!(w.dtype(), "the filter", T => {
            let lowest = by_byte_type!(x.dtype(), "the input", X => Ok(X::LOWEST))?;
            Plan::of(input, lowest, axes, (filter, w.view::<T>()?), &quant, bias.as_deref())
        })
    }

    /// A plan for an input whose lowest value is `lowest`.
    pub fn of<T: Byte>(
        input: [usize; 4],
        lowest: i32,
        [y_axis, x_axis]: [Axis; 2],
        (filter, weights): ([usize; 4], &[T]),
        quant: &GemmQuant,
        bias: Option<&[i32]>,
    ) -> Result<Plan, KernelError> {
        let [channels, _, kw, depth] = filter;
        if !input[3].is_multiple_of(depth) || !channels.is_multiple_of(input[3] / depth) {
            return Err(KernelError::Shape {
                what: "the channels do not divide into groups",
                shapes: vec![input.to_vec(), filter.to_vec()],
            });
        }
        let groups = input[3] / depth;
        let frame = Frame::new(&y_axis, &x_axis, input[3], 1, 1)?;
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
        let shape = Shape {
            input,
            output: [input[0], y_axis.output, x_axis.output, channels],
            stride: [y_axis.stride, x_axis.stride],
            groups,
            frame,
            segments,
            len: if dense { columns.len() * depth } else { depth },
        };
        let pack = Pack {
            filter,
            groups,
            taps: &taps,
            len: shape.len,
        };
        let bias = |channel: usize| bias.map_or(0, |b| b[channel]);
        let zero = quant.filter_zero_point;
        let (filter, requant) = if simd::has_quads() {
            let fits = |w: &T| i8::try_from(w.widen() - zero).is_ok();
            let middle = if weights.iter().all(fits) {
                zero
            } else {
                T::LOWEST + 128
            };
            let rows = pack.run::<T, Quads>(weights, middle);
            // Padding is the zero point, so what zero points add is the same for all windows.
            let input_zero = quant.input_zero_point - lowest;
            let sums = pack.sums(weights, zero);
            let bias = |c: usize| bias(c).wrapping_sub(input_zero.wrapping_mul(sums[c]));
            let factor = middle - zero;
            let packed = Packed { rows, factor };
            (Filter::Quads(packed), Requant::new(quant, bias, groups))
        } else {
            let rows = pack.run::<T, Pairs>(weights, zero);
            let packed = Packed { rows, factor: 0 };
            (Filter::Pairs(packed), Requant::new(quant, bias, groups))
        };
        Ok(Plan {
            shape,
            filter,
            input_zero_point: quant.input_zero_point,
            requant,
        })
    }

    /// The shape of the result.
    pub fn output(&self) -> [usize; 4] {
        self.shape.output
    }

    /// Convolves an input of the planned shape.
    pub fn run(&self, ctx: &Context<'_>) -> Result<Value, KernelError> {
        let out = ctx.result(ctx.output_tensor(0)?.dtype, self.shape.output)?;
        self.run_on(ctx.input(0)?, out)
    }

    /// Convolves `x` into `out`, which must have the shape of the result.
    pub fn run_on(&self, x: &Value, mut out: Value) -> Result<Value, KernelError> {
        if x.shape() != self.shape.input {
            return Err(KernelError::Shape {
                what: "the input differs from the planned shape",
                shapes: vec![x.shape().to_vec(), self.shape.input.to_vec()],
            });
        }
        by_byte_type!(x.dtype(), "the input", T => self.run_typed::<T>(x.view()?, out.view_mut()?))?;
        Ok(out)
    }

    fn run_typed<T: Byte>(&self, input: &[T], output: &mut [T]) -> Result<(), KernelError> {
        let [batches, height, width, channels] = self.shape.output;
        let image = input.len() / batches;
        let frame = &self.shape.frame;
        for (input, output) in input
            .chunks_exact(image)
            .zip(output.chunks_exact_mut(height * width * channels))
        {
            match &self.filter {
                Filter::Pairs(filter) => {
                    let zero = self.input_zero_point as i16;
                    let convert = |x: T| x.widen() as i16 - zero;
                    let image = frame.lay_out(input, 0, (1, Pairs::SIZE), convert)?;
                    self.pixels(filter, &image, output);
                }
                Filter::Quads(filter) => {
                    let zero = (self.input_zero_point - T::LOWEST) as u8;
                    let image = frame.lay_out(input, zero, (1, Quads::SIZE), unsigned)?;
                    self.pixels(filter, &image, output);
                }
            }
        }
        Ok(())
    }

    fn pixels<T: Byte, K: Taps>(&self, filter: &Packed<K>, image: &[K::Element], output: &mut [T]) {
        let [_, height, width, channels] = self.shape.output;
        // Enough pixels to reuse a block of the filter, few enough to keep all threads busy.
        let chunk = (height * width / (4 * parallel::threads()))
            .clamp(8, 128)
            .next_multiple_of(8);
        parallel::chunks_mut(output, chunk * channels, |i, output| {
            simd::run(Pixels {
                shape: &self.shape,
                filter,
                requant: &self.requant,
                image,
                first: i * chunk,
                output,
            });
        });
    }
}

impl Shape {
    /// Element offsets of the windows of some output pixels.
    fn origins(&self, first: usize, count: usize) -> Vec<usize> {
        let width = self.output[2];
        let (mut y, mut x) = (first / width, first % width);
        let mut origins = Vec::with_capacity(count + 8);
        for _ in 0..count {
            let row = y * self.stride[0] * self.frame.row;
            origins.push(row + x * self.stride[1] * self.frame.pixel);
            x += 1;
            if x == width {
                (y, x) = (y + 1, 0);
            }
        }
        origins
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
    fn run<T: Byte, K: Taps>(&self, filter: &[T], zero_point: i32) -> Vec<K::Row> {
        let [channels, kh, kw, depth] = self.filter;
        let size = kh * kw * depth;
        let per_group = channels / self.groups;
        let mut packed = Vec::new();
        for group in 0..self.groups {
            for first in (0..per_group).step_by(LANES) {
                let lanes = LANES.min(per_group - first);
                let block = &filter[(group * per_group + first) * size..][..lanes * size];
                for &tap in self.taps {
                    for at in (0..self.len).step_by(K::SIZE) {
                        let mut row = K::EMPTY;
                        for lane in 0..lanes {
                            for part in 0..K::SIZE.min(self.len - at) {
                                let w = block[lane * size + tap + at + part];
                                K::set(&mut row, lane, part, w.widen() - zero_point);
                            }
                        }
                        packed.push(row);
                    }
                }
            }
        }
        packed
    }

    /// The sum of the weights that are packed, for each channel.
    fn sums<T: Byte>(&self, filter: &[T], zero_point: i32) -> Vec<i32> {
        let [_, kh, kw, depth] = self.filter;
        let sum = |filter: &[T]| {
            let segments = self.taps.iter().map(|&tap| &filter[tap..tap + self.len]);
            segments
                .flatten()
                .fold(0i32, |sum, w| sum.wrapping_add(w.widen() - zero_point))
        };
        filter.chunks_exact(kh * kw * depth).map(sum).collect()
    }
}

/// A run of output pixels.
struct Pixels<'a, T, K: Taps> {
    shape: &'a Shape,
    filter: &'a Packed<K>,
    requant: &'a Requant,
    image: &'a [K::Element],
    first: usize,
    output: &'a mut [T],
}

impl<T: Byte, K: Taps> simd::Loop for Pixels<'_, T, K> {
    #[inline(always)]
    fn run<I: Isa, const TILE: usize, const BLOCKS: usize>(mut self, isa: I) {
        let shape = self.shape;
        let per_group = shape.output[3] / shape.groups;
        let depth = shape.input[3] / shape.groups;
        let count = self.output.len() / shape.output[3];
        let mut origins = shape.origins(self.first, count);
        // A last, partial tile computes its last pixel several times.
        origins.resize(count.next_multiple_of(TILE), origins[count - 1]);
        let mut starts = vec![0; origins.len()];
        let blocks = per_group.div_ceil(LANES);
        for group in 0..shape.groups {
            let image = &self.image[group * depth..];
            if self.filter.factor != 0 {
                for (start, &origin) in starts.iter_mut().zip(&origins) {
                    let parts = shape
                        .segments
                        .iter()
                        .map(|s| &image[origin + s..][..shape.len]);
                    let sum = parts.fold(0i32, |sum, part| sum.wrapping_add(K::sum(part)));
                    *start = sum.wrapping_mul(self.filter.factor);
                }
            }
            let tiles = Tiles {
                image,
                origins: &origins,
                starts: &starts,
            };
            let mut block = 0;
            while block + BLOCKS <= blocks {
                self.block::<I, TILE, BLOCKS>(isa, &tiles, group, block);
                block += BLOCKS;
            }
            while block < blocks {
                self.block::<I, TILE, 1>(isa, &tiles, group, block);
                block += 1;
            }
        }
    }
}

/// The windows of a group.
struct Tiles<'a, E> {
    image: &'a [E],
    origins: &'a [usize],
    /// Where the sum of each begins.
    starts: &'a [i32],
}

impl<T: Byte, K: Taps> Pixels<'_, T, K> {
    /// Computes some blocks of channels of all pixels.
    #[inline(always)]
    fn block<I: Isa, const TILE: usize, const BLOCKS: usize>(
        &mut self,
        isa: I,
        tiles: &Tiles<'_, K::Element>,
        group: usize,
        block: usize,
    ) {
        let shape = self.shape;
        let channels = shape.output[3];
        let per_group = channels / shape.groups;
        let words = shape.len.div_ceil(K::SIZE);
        let rows = shape.segments.len() * words;
        let number = group * per_group.div_ceil(LANES) + block;
        let filters: [&[K::Row]; BLOCKS] =
            std::array::from_fn(|b| &self.filter.rows[(number + b) * rows..][..rows]);
        let origins = tiles.origins.as_chunks::<TILE>().0;
        let starts = tiles.starts.as_chunks::<TILE>().0;
        let outputs = self.output.chunks_mut(TILE * channels);
        for ((output, origins), starts) in outputs.zip(origins).zip(starts) {
            let mut acc = starts.map(|start| [isa.splat(start); BLOCKS]);
            for (s, &segment) in shape.segments.iter().enumerate() {
                let x: [&[K::Word]; TILE] = std::array::from_fn(|m| {
                    let elements = &tiles.image[origins[m] + segment..][..words * K::SIZE];
                    &cast_slice(elements)[..words]
                });
                let w: [&[K::Row]; BLOCKS] =
                    std::array::from_fn(|b| &filters[b][s * words..][..words]);
                for p in 0..words {
                    for (acc, x) in acc.iter_mut().zip(x) {
                        for (acc, w) in acc.iter_mut().zip(w) {
                            *acc = K::add(isa, *acc, x[p], &w[p]);
                        }
                    }
                }
            }
            for b in 0..BLOCKS {
                let first = (block + b) * LANES;
                let lanes = LANES.min(per_group - first);
                let by = isa.constants(self.requant.block(number + b));
                for (output, acc) in output.chunks_exact_mut(channels).zip(&acc) {
                    let to = &mut output[group * per_group + first..][..lanes];
                    requant::store(isa, acc[b], by, to);
                }
            }
        }
    }
}
