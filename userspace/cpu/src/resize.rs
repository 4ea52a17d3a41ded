//! RESIZE_BILINEAR and RESIZE_NEAREST_NEIGHBOR on NHWC tensors.
//!
//! The reference interpolates uint8 in single precision and int8 in 10-bit fixed point.

use super::context::{Context, nhwc};
use super::{KernelError, Value};
use crate::memory;
use ferrite_ir::DType;
use ferrite_process::parallel;

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
    let mut out = Value::zeros(x.dtype(), output)?;
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
    let mut out = Value::zeros(x.dtype(), sizes.output)?;
    let Sizes { input, output } = sizes;
    match x.dtype() {
        DType::U8 => {
            let widened = memory::map(x.view::<u8>()?, f32::from)?;
            let taps = [0, 1].map(|a| float_taps(input[a + 1], output[a + 1], grid));
            // Half is added before truncation.
            let finish = |v: f32| (v + 0.5) as u8;
            sizes.run(&widened, out.view_mut()?, &taps, float_blend, finish);
        }
        DType::F32 => {
            let taps = [0, 1].map(|a| float_taps(input[a + 1], output[a + 1], grid));
            sizes.run(x.view::<f32>()?, out.view_mut()?, &taps, float_blend, |v| v);
        }
        DType::I8 => {
            let taps = [0, 1].map(|a| integer_taps(input[a + 1], output[a + 1], grid));
            sizes.run(
                x.view::<i8>()?,
                out.view_mut()?,
                &taps,
                integer_blend,
                |v: i64| {
                    let half = if v > 0 { 1 << 19 } else { -(1 << 19) };
                    ((v + half) / (1 << 20)) as i8
                },
            );
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
            lower: tap.lower,
            upper: tap.upper,
            weight: weight(tap.weight),
        };
        taps.into_iter().map(one).collect()
    }
    match dtype {
        DType::I8 => between(integer_taps(input, output, grid), |w| w as f64 / 1024.0),
        _ => between(float_taps(input, output, grid), f64::from),
    }
}

/// Two input positions and the distance from the first, in units of `W`.
#[derive(Clone, Copy)]
struct Tap<W> {
    lower: usize,
    upper: usize,
    weight: W,
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
        Tap {
            // Rounding may carry the last position past the end.
            lower: lower.min(input - 1),
            upper: (position.ceil().max(0.0) as usize).min(input - 1),
            weight: position - lower as f32,
        }
    };
    (0..output).map(tap).collect()
}

fn integer_taps(input: usize, output: usize, grid: Grid) -> Vec<Tap<i64>> {
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
        Tap {
            lower: lower.min(input_i - 1) as usize,
            upper: upper as usize,
            weight: position - 1024 * lower,
        }
    };
    (0..output_i).map(tap).collect()
}

/// The reference's order of operations: each corner times its vertical, then its horizontal weight.
#[inline(always)]
fn float_blend([a, b, c, d]: [f32; 4], dy: f32, dx: f32) -> f32 {
    a * (1.0 - dy) * (1.0 - dx) + b * dy * (1.0 - dx) + c * (1.0 - dy) * dx + d * dy * dx
}

#[inline(always)]
fn integer_blend(corners: [i8; 4], dy: i64, dx: i64) -> i64 {
    let [a, b, c, d] = corners.map(i64::from);
    a * (1024 - dy) * (1024 - dx) + b * dy * (1024 - dx) + c * (1024 - dy) * dx + d * dy * dx
}

impl Sizes {
    /// Interpolates all output lines.
    fn run<T: Copy + Sync, O: Send, W: Copy + Sync, A>(
        &self,
        input: &[T],
        output: &mut [O],
        [rows, columns]: &[Vec<Tap<W>>; 2],
        blend: impl Fn([T; 4], W, W) -> A + Sync,
        finish: impl Fn(A) -> O + Sync,
    ) {
        let [_, height, width, channels] = self.input;
        let line = width * channels;
        parallel::chunks_mut(output, self.output[2] * channels, |i, output| {
            let image = &input[i / self.output[1] * height * line..][..height * line];
            let y = rows[i % self.output[1]];
            let (upper, lower) = (&image[y.lower * line..], &image[y.upper * line..]);
            for (out, x) in output.chunks_exact_mut(channels).zip(columns) {
                let at =
                    |row: &[T], x: usize| x * channels..(x * channels + channels).min(row.len());
                let a = &upper[at(upper, x.lower)];
                let b = &lower[at(lower, x.lower)];
                let c = &upper[at(upper, x.upper)];
                let d = &lower[at(lower, x.upper)];
                for ((((o, &a), &b), &c), &d) in out.iter_mut().zip(a).zip(b).zip(c).zip(d) {
                    *o = finish(blend([a, b, c, d], y.weight, x.weight));
                }
            }
        });
    }
}
