//! TRANSPOSE_CONV on 8-bit tensors.

use super::context::{Byte, Context, GemmQuant, bias_of, by_byte_type, nhwc};
use super::requant::Requant;
use super::simd::{self, Isa, LANES, PairRow};
use super::window::Axis;
use super::{KernelError, Value};
use crate::memory::{self, OutOfMemory};
use ferrite_ir::op::{Activation, Hw, Padding};
use ferrite_process::parallel;

pub(super) fn run(
    ctx: &Context<'_>,
    padding: Padding,
    stride: Hw,
    activation: Activation,
) -> Result<Value, KernelError> {
    let (w, x) = (ctx.input(1)?, ctx.input(2)?);
    let filter = nhwc(
        w,
        "the filter of a transposed convolution has four dimensions",
    )?;
    let input = nhwc(
        x,
        "the input of a transposed convolution has four dimensions",
    )?;
    let shape = ctx.input(0)?.integers()?;
    let output: Option<Vec<usize>> = shape.iter().map(|&d| usize::try_from(d).ok()).collect();
    let output: Option<[usize; 4]> = output.and_then(|s| s.try_into().ok());
    let mismatch = || KernelError::Shape {
        what: "input, filter and output shape of a transposed convolution do not match",
        shapes: vec![
            input.to_vec(),
            filter.to_vec(),
            shape.iter().map(|&d| d.max(0) as usize).collect(),
        ],
    };
    let output = output.ok_or_else(mismatch)?;
    // The convolution this one transposes leads from the output back to the input.
    let y_axis = Axis::new(output[1], filter[1], stride.h, 1, padding)?;
    let x_axis = Axis::new(output[2], filter[2], stride.w, 1, padding)?;
    if output[0] != input[0]
        || output[3] != filter[0]
        || input[3] != filter[3]
        || y_axis.output != input[1]
        || x_axis.output != input[2]
    {
        return Err(mismatch());
    }
    let channels = filter[0];
    let quant = GemmQuant::of(ctx, 2, 1, channels, activation)?;
    let bias = bias_of(ctx, 3, channels)?;
    let mut out = Value::zeros(ctx.output_tensor(0)?.dtype, output)?;
    by_byte_type!(x.dtype(), "the input", T => {
        let zero = quant.input_zero_point as i16;
        let (x, w) = (x.view::<T>()?, w.view::<T>()?);
        let job = Job {
            input,
            output,
            filter,
            axes: [y_axis, x_axis],
            x: widen(x, input[3], zero)?,
            w: pack(w, filter, quant.filter_zero_point as i16)?,
            requant: Requant::new(&quant, bias.as_deref(), 1),
        };
        job.run::<T>(out.view_mut()?);
        Ok(())
    })?;
    Ok(out)
}

/// The filter as `[block of output channels][tap][pair of input channels]`.
fn pack<T: Byte>(
    filter: &[T],
    shape: [usize; 4],
    zero_point: i16,
) -> Result<Vec<PairRow>, OutOfMemory> {
    let [channels, kh, kw, depth] = shape;
    let taps = kh * kw;
    let pairs = depth.div_ceil(2);
    let mut packed: Vec<PairRow> = memory::zeros(channels.div_ceil(LANES) * taps * pairs)?;
    for (channel, filter) in filter.chunks_exact(taps * depth).enumerate() {
        let (block, lane) = (channel / LANES, channel % LANES);
        for (i, w) in filter.iter().enumerate() {
            let (tap, c) = (i / depth, i % depth);
            let row = (block * taps + tap) * pairs + c / 2;
            packed[row][2 * lane + c % 2] = w.widen() as i16 - zero_point;
        }
    }
    Ok(packed)
}

/// The input around its zero point, with an even number of channels.
fn widen<T: Byte>(
    input: &[T],
    depth: usize,
    zero_point: i16,
) -> Result<Vec<[i16; 2]>, OutOfMemory> {
    let pixels = input.chunks_exact(depth);
    let mut pairs = memory::room(pixels.len() * depth.div_ceil(2))?;
    let all = pixels.flat_map(|pixel| pixel.chunks(2)).map(|c| {
        let at = |i: usize| c.get(i).map_or(0, |v| v.widen() as i16 - zero_point);
        [at(0), at(1)]
    });
    pairs.extend(all);
    Ok(pairs)
}

struct Job {
    input: [usize; 4],
    output: [usize; 4],
    filter: [usize; 4],
    axes: [Axis; 2],
    /// Pairs of channels of each pixel.
    x: Vec<[i16; 2]>,
    w: Vec<PairRow>,
    requant: Requant,
}

impl Job {
    fn run<T: Byte>(&self, output: &mut [T]) {
        let line = self.output[2] * self.output[3];
        parallel::chunks_mut(output, line, |i, output| {
            simd::run(Line {
                job: self,
                batch: i / self.output[1],
                y: i % self.output[1],
                output,
            });
        });
    }
}

/// Input positions and taps that reach output `o`: input `i` with tap `k` writes to
/// `i * stride + k - before`.
fn reaching(axis: &Axis, o: usize) -> impl Iterator<Item = (usize, usize)> + use<> {
    let axis = *axis;
    (0..axis.taps).filter_map(move |k| {
        let at = (o + axis.before).checked_sub(k)?;
        (at % axis.stride == 0 && at / axis.stride < axis.output).then_some((at / axis.stride, k))
    })
}

/// A line of output pixels.
struct Line<'a, T> {
    job: &'a Job,
    batch: usize,
    y: usize,
    output: &'a mut [T],
}

impl<T: Byte> simd::Loop for Line<'_, T> {
    #[inline(always)]
    fn run<I: Isa, const TILE: usize>(self, isa: I) {
        let job = self.job;
        let [_, height, width, depth] = job.input;
        let [channels, kh, kw, _] = job.filter;
        let pairs = depth.div_ceil(2);
        let rows: Vec<_> = reaching(&job.axes[0], self.y).collect();
        for (x, output) in self.output.chunks_exact_mut(channels).enumerate() {
            let columns: Vec<_> = reaching(&job.axes[1], x).collect();
            for (block, to) in output.chunks_mut(LANES).enumerate() {
                let mut acc = isa.zero();
                for &(iy, ky) in &rows {
                    for &(ix, kx) in &columns {
                        let pixel = (self.batch * height + iy) * width + ix;
                        let tap = (block * kh + ky) * kw + kx;
                        let x = &job.x[pixel * pairs..][..pairs];
                        let w = &job.w[tap * pairs..][..pairs];
                        for (&x, w) in x.iter().zip(w) {
                            acc = isa.add_pairs(acc, x, w);
                        }
                    }
                }
                job.requant.store(block, &isa.lanes(acc), to);
            }
        }
    }
}
