//! RESIZE_BILINEAR and RESIZE_NEAREST_NEIGHBOR on NHWC tensors.
//!
//! The reference interpolates uint8 in single precision and int8 in 10-bit fixed point.

use super::context::{Context, nhwc};
use super::{KernelError, Value};
use ferrite_ir::DType;
use ferrite_process::parallel;
use ferrite_simd::{self as simd, LANES};
use std::ops::{Add, Mul};

/// Sampling rule of a resize.
#[derive(Clone, Copy)]
pub(super) struct Grid {
    pub align_corners: bool,
    pub half_pixel_centers: bool,
}

/// Input and output dimensions.
struct Sizes {
    input: [usize; 4],
    output: [usize; 4],
}

impl Sizes {
    fn of(ctx: &Context<'_>) -> Result<Sizes, KernelError> {
        let x = ctx.input(0)?;
        let input = nhwc(x, "the input of a resize has four dimensions")?;
        let size = ctx.input(1)?.integers()?;
        let &[h, w] = &size[..] else {
            return Err(KernelError::Shape {
                what: "the size of a resize has two elements",
                shapes: vec![ctx.input(1)?.shape().to_vec()],
            });
        };
        // Fixed-point positions must stay within an int32.
        for n in [h, w, input[1] as i64, input[2] as i64] {
            if !(1..1 << 20).contains(&n) {
                return Err(KernelError::Parameter {
                    what: "the extent of a resize",
                    value: n,
                });
            }
        }
        Ok(Sizes {
            input,
            output: [input[0], h as usize, w as usize, input[3]],
        })
    }
}

pub(super) fn nearest(ctx: &Context<'_>, grid: Grid) -> Result<Value, KernelError> {
    let Sizes { input, output } = Sizes::of(ctx)?;
    let x = ctx.input(0)?;
    let mut out = ctx.result(x.dtype(), output)?;
    let pixel = input[3] * x.dtype().size();
    let Grid {
        align_corners,
        half_pixel_centers,
    } = grid;
    let [rows, columns] =
        [1, 2].map(|a| nearest_sources(input[a], output[a], align_corners, half_pixel_centers));
    let row = input[2] * pixel;
    let bytes = x.bytes();
    parallel::chunks_mut(out.bytes_mut(), output[2] * pixel, |line, out| {
        let (batch, y) = (line / output[1], line % output[1]);
        let from = &bytes[(batch * input[1] + rows[y]) * row..][..row];
        for (out, &x) in out.chunks_exact_mut(pixel).zip(&columns) {
            out.copy_from_slice(&from[x * pixel..][..pixel]);
        }
    });
    Ok(out)
}

/// The input element that each output element of an axis of RESIZE_NEAREST_NEIGHBOR is a copy of.
pub fn nearest_sources(
    input: usize,
    output: usize,
    align_corners: bool,
    half_pixel_centers: bool,
) -> Vec<usize> {
    let grid = Grid {
        align_corners,
        half_pixel_centers,
    };
    (0..output)
        .map(|at| nearest_index(at, input, output, grid))
        .collect()
}

fn nearest_index(at: usize, input: usize, output: usize, grid: Grid) -> usize {
    let scale = if grid.align_corners && output > 1 {
        (input - 1) as f32 / (output - 1) as f32
    } else {
        input as f32 / output as f32
    };
    let offset = if grid.half_pixel_centers { 0.5 } else { 0.0 };
    let position = (at as f32 + offset) * scale;
    let rounded = if grid.align_corners {
        position.round()
    } else {
        position.floor()
    };
    (rounded as usize).min(input - 1)
}

pub(super) fn bilinear(ctx: &Context<'_>, grid: Grid) -> Result<Value, KernelError> {
    if grid.align_corners && grid.half_pixel_centers {
        return Err(KernelError::Unsupported);
    }
    let sizes = Sizes::of(ctx)?;
    let x = ctx.input(0)?;
    let mut out = ctx.result(x.dtype(), sizes.output)?;
    let Sizes { input, output } = sizes;
    match x.dtype() {
        DType::U8 => {
            let taps = [0, 1].map(|a| float_taps(input[a + 1], output[a + 1], grid));
            // Half is added before truncation.
            // Adding 2^23 leaves the integer in the low bits: unlike a conversion, vectors have that.
            let finish =
                |v: f32| ((v + 0.5).clamp(0.0, 255.0).floor() + 8_388_608.0).to_bits() as u8;
            sizes.run(x.view::<u8>()?, out.view_mut()?, &taps, f32::from, finish);
        }
        DType::F32 => {
            let taps = [0, 1].map(|a| float_taps(input[a + 1], output[a + 1], grid));
            sizes.run(x.view::<f32>()?, out.view_mut()?, &taps, |v| v, |v| v);
        }
        DType::I8 => {
            let taps = [0, 1].map(|a| integer_taps(input[a + 1], output[a + 1], grid));
            let finish = |v: i32| {
                let half = if v > 0 { 1 << 19 } else { -(1 << 19) };
                ((v + half) / (1 << 20)) as i8
            };
            sizes.run(x.view::<i8>()?, out.view_mut()?, &taps, i32::from, finish);
        }
        found => {
            return Err(KernelError::ElementType {
                what: "the input",
                found,
            });
        }
    }
    Ok(out)
}

/// Where an output element of an axis of RESIZE_BILINEAR lies.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Between {
    /// The input element before it.
    pub lower: usize,
    /// The one behind it; the same where it lies on one, or beyond the first or the last.
    pub upper: usize,
    /// How much the upper one counts, where there are two.
    pub weight: f64,
}

/// Where the output elements of an axis of RESIZE_BILINEAR lie, for maps of this type.
pub fn bilinear_sources(
    dtype: DType,
    input: usize,
    output: usize,
    align_corners: bool,
    half_pixel_centers: bool,
) -> Vec<Between> {
    let grid = Grid {
        align_corners,
        half_pixel_centers,
    };
    fn between<W: Copy>(taps: Vec<Tap<W>>, weight: impl Fn(W) -> f64) -> Vec<Between> {
        let one = |tap: Tap<W>| Between {
            lower: tap.at[0],
            upper: tap.at[1],
            weight: weight(tap.weights[1]),
        };
        taps.into_iter().map(one).collect()
    }
    match dtype {
        DType::I8 => between(integer_taps(input, output, grid), |w| f64::from(w) / 1024.0),
        _ => between(float_taps(input, output, grid), f64::from),
    }
}

/// Two input positions and what each counts: the weights of both add up to one.
#[derive(Clone, Copy)]
struct Tap<W> {
    at: [usize; 2],
    weights: [W; 2],
}

fn float_taps(input: usize, output: usize, grid: Grid) -> Vec<Tap<f32>> {
    let scale = if grid.align_corners && output > 1 {
        (input - 1) as f32 / (output - 1) as f32
    } else {
        input as f32 / output as f32
    };
    let tap = |at: usize| {
        let position = if grid.half_pixel_centers {
            (at as f32 + 0.5) * scale - 0.5
        } else {
            at as f32 * scale
        };
        let lower = position.floor().max(0.0) as usize;
        let distance = position - lower as f32;
        let upper = (position.ceil().max(0.0) as usize).min(input - 1);
        Tap {
            // Rounding may carry the last position past the end.
            at: [lower.min(input - 1), upper],
            weights: [1.0 - distance, distance],
        }
    };
    (0..output).map(tap).collect()
}

fn integer_taps(input: usize, output: usize, grid: Grid) -> Vec<Tap<i32>> {
    let (input_i, output_i) = (input as i64, output as i64);
    let scale = if grid.align_corners && output > 1 {
        ((input_i - 1) * 1024 + (output_i - 1) / 2) / (output_i - 1)
    } else {
        (input_i * 1024 + output_i / 2) / output_i
    };
    let tap = |at: i64| {
        let position = if grid.half_pixel_centers {
            at * scale + scale / 2 - 512
        } else {
            at * scale
        };
        let lower = (position / 1024).max(0);
        let upper = ((position + 1023) / 1024).clamp(0, input_i - 1);
        // From -512 to 1023, so that a sum of four products with bytes fits an int32.
        let distance = (position - 1024 * lower) as i32;
        Tap {
            at: [lower.min(input_i - 1) as usize, upper as usize],
            weights: [1024 - distance, distance],
        }
    };
    (0..output_i).map(tap).collect()
}

impl Sizes {
    /// Interpolates all output lines, in the reference's order of operations: each corner times its
    /// vertical, then its horizontal weight.
    fn run<T: Copy + Sync, O: Copy + Default + Send, W: Number>(
        &self,
        input: &[T],
        output: &mut [O],
        [rows, columns]: &[Vec<Tap<W>>; 2],
        widen: impl Fn(T) -> W + Sync,
        finish: impl Fn(W) -> O + Sync,
    ) {
        let [_, height, width, channels] = self.input;
        let line = width * channels;
        let blocks = channels.div_ceil(LANES);
        parallel::chunks_mut(output, self.output[2] * channels, |i, output| {
            let image = &input[i / self.output[1] * height * line..][..height * line];
            let y = rows[i % self.output[1]];
            // What comes of the vertical weights, in blocks of channels of each pixel.
            let mut scaled = vec![[[W::default(); LANES]; 2]; width * blocks];
            simd::vectorised(
                #[inline(always)]
                || {
                    for (row, (&at, &weight)) in y.at.iter().zip(&y.weights).enumerate() {
                        let pixels = image[at * line..][..line].chunks_exact(channels);
                        for (to, pixel) in scaled.chunks_exact_mut(blocks).zip(pixels) {
                            for (to, pixel) in to.iter_mut().zip(pixel.chunks(LANES)) {
                                for (to, &x) in to[row].iter_mut().zip(pixel) {
                                    *to = widen(x) * weight;
                                }
                            }
                        }
                    }
                    for (x, column) in columns.iter().enumerate() {
                        let [left, right] = column.weights;
                        for block in 0..blocks {
                            let [a, b] = &scaled[column.at[0] * blocks + block];
                            let [c, d] = &scaled[column.at[1] * blocks + block];
                            // Loops and not closures, which may be left out of line: then they would
                            // be compiled for the baseline.
                            let mut sums = [W::default(); LANES];
                            for (j, sum) in sums.iter_mut().enumerate() {
                                *sum = a[j] * left + b[j] * left + c[j] * right + d[j] * right;
                            }
                            let mut values = [O::default(); LANES];
                            for (value, &sum) in values.iter_mut().zip(&sums) {
                                *value = finish(sum);
                            }
                            let count = LANES.min(channels - block * LANES);
                            let to = &mut output[x * channels + block * LANES..];
                            // What is too much is overwritten by the next pixel.
                            match to.first_chunk_mut::<LANES>() {
                                Some(whole) => *whole = values,
                                None => to[..count].copy_from_slice(&values[..count]),
                            }
                        }
                    }
                },
            );
        });
    }
}

/// What an interpolation computes with.
trait Number: Copy + Default + Send + Sync + Mul<Output = Self> + Add<Output = Self> {}
impl Number for f32 {}
impl Number for i32 {}
