//! AVERAGE_POOL_2D and MAX_POOL_2D.
//!
//! Averages are over the part of the window inside the input, rounded to nearest, ties away from
//! zero. Input and result have the same quantisation; the fused activation clamps stored values.

use super::context::{Affine, Byte, Context, by_byte_type, float_activation_range, nhwc};
use super::value::Element;
use super::window::Axis;
use super::{KernelError, Value};
use ferrite_ir::DType;
use ferrite_ir::op::PoolParams;
use ferrite_process::parallel;

pub(super) fn average(ctx: &Context<'_>, params: &PoolParams) -> Result<Value, KernelError> {
    let pool = Pool::new(ctx, params)?;
    let x = ctx.input(0)?;
    let mut out = ctx.result(x.dtype(), pool.output)?;
    if x.dtype() == DType::F32 {
        let (min, max) = float_activation_range(params.activation);
        pool.run(
            x.view()?,
            out.view_mut()?,
            0.0,
            |acc: &mut f32, v: f32| *acc += v,
            |acc, n| (acc / n as f32).max(min).min(max),
        );
        return Ok(out);
    }
    let (min, max) = byte_range(ctx, params)?;
    by_byte_type!(x.dtype(), "the input", T => {
        pool.run(x.view::<T>()?, out.view_mut()?, 0, |acc, v| *acc += v.widen(), |acc, n| {
            let n = n as i32;
            let half = if acc > 0 { n / 2 } else { -(n / 2) };
            T::narrow(((acc + half) / n).max(min).min(max))
        });
        Ok(())
    })?;
    Ok(out)
}

pub(super) fn maximum(ctx: &Context<'_>, params: &PoolParams) -> Result<Value, KernelError> {
    let pool = Pool::new(ctx, params)?;
    let x = ctx.input(0)?;
    let mut out = ctx.result(x.dtype(), pool.output)?;
    if x.dtype() == DType::F32 {
        let (min, max) = float_activation_range(params.activation);
        let step = |acc: &mut f32, v: f32| *acc = acc.max(v);
        pool.run(x.view()?, out.view_mut()?, f32::MIN, step, |acc, _| {
            acc.max(min).min(max)
        });
        return Ok(out);
    }
    let (min, max) = byte_range(ctx, params)?;
    by_byte_type!(x.dtype(), "the input", T => {
        let least = T::narrow(T::LOWEST);
        let step = |acc: &mut T, v: T| *acc = (*acc).max(v);
        pool.run(x.view::<T>()?, out.view_mut()?, least, step, |acc, _| {
            T::narrow(acc.widen().max(min).min(max))
        });
        Ok(())
    })?;
    Ok(out)
}

fn byte_range(ctx: &Context<'_>, params: &PoolParams) -> Result<(i32, i32), KernelError> {
    let result = ctx.output_tensor(0)?;
    Affine::of(result)?.activation_range(params.activation, result.dtype)
}

struct Pool {
    input: [usize; 4],
    output: [usize; 4],
    y: Axis,
    x: Axis,
}

impl Pool {
    fn new(ctx: &Context<'_>, params: &PoolParams) -> Result<Pool, KernelError> {
        let input = nhwc(ctx.input(0)?, "the input of a pooling has four dimensions")?;
        let y = Axis::new(
            input[1],
            params.window.h,
            params.stride.h,
            1,
            params.padding,
        )?;
        let x = Axis::new(
            input[2],
            params.window.w,
            params.stride.w,
            1,
            params.padding,
        )?;
        // A sum of bytes over the window must fit an int32.
        if y.taps.min(y.input) * x.taps.min(x.input) > 1 << 22 {
            return Err(KernelError::Parameter {
                what: "window size",
                value: (y.taps * x.taps) as i64,
            });
        }
        Ok(Pool {
            input,
            output: [input[0], y.output, x.output, input[3]],
            y,
            x,
        })
    }

    /// Folds each window channel by channel, then finishes with the number of elements in it.
    fn run<T: Element, A: Copy + Send + Sync>(
        &self,
        input: &[T],
        output: &mut [T],
        start: A,
        step: impl Fn(&mut A, T) + Sync,
        finish: impl Fn(A, usize) -> T + Sync,
    ) {
        let [_, height, width, channels] = self.input;
        parallel::chunks_mut(output, self.output[2] * channels, |line, output| {
            let image = &input[line / self.output[1] * height * width * channels..];
            let (top, rows) = self.y.clip(line % self.output[1]);
            let mut acc = vec![start; channels];
            for (x, output) in output.chunks_exact_mut(channels).enumerate() {
                let (left, columns) = self.x.clip(x);
                acc.fill(start);
                for row in top..top + rows {
                    let first = (row * width + left) * channels;
                    let pixels = &image[first..first + columns * channels];
                    for pixel in pixels.chunks_exact(channels) {
                        for (acc, &v) in acc.iter_mut().zip(pixel) {
                            step(acc, v);
                        }
                    }
                }
                for (out, &acc) in output.iter_mut().zip(&acc) {
                    *out = finish(acc, rows * columns);
                }
            }
        });
    }
}
