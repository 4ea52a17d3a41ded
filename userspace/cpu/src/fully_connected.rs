//! FULLY_CONNECTED on 8-bit tensors.
//!
//! Unlike convolutions, the reference scales the accumulator in double precision and rounds once,
//! ties away from zero (LiteRT 1.4 and later).

use super::context::{Affine, Byte, Context, bias_of, by_byte_type, quant_of};
use super::{KernelError, Value};
use crate::memory::{self, OutOfMemory};
use ferrite_ir::DType;
use ferrite_ir::op::Activation;
use ferrite_process::parallel;
use ferrite_simd::{self as simd, Isa};

/// Output features of one piece of work.
const CHUNK: usize = 16;

pub(super) fn run(
    ctx: &Context<'_>,
    activation: Activation,
    keep_num_dims: bool,
) -> Result<Value, KernelError> {
    let (x, w) = (ctx.input(0)?, ctx.input(1)?);
    let &[features, depth] = w.shape() else {
        return Err(shapes("the filter has two dimensions", x, w));
    };
    if depth == 0 || features == 0 || x.elements() % depth != 0 {
        return Err(shapes(
            "the input does not divide into rows of the filter",
            x,
            w,
        ));
    }
    let mut shape = vec![x.elements() / depth];
    if keep_num_dims {
        if x.shape().last() != Some(&depth) {
            return Err(shapes("the last dimensions differ", x, w));
        }
        shape = x.shape()[..x.shape().len() - 1].to_vec();
    }
    shape.push(features);

    let out_tensor = ctx.output_tensor(0)?;
    if w.dtype() != x.dtype() || out_tensor.dtype != x.dtype() {
        return Err(KernelError::ElementType {
            what: "the filter or result",
            found: w.dtype(),
        });
    }
    let (input, result) = (ctx.input_affine(0)?, Affine::of(out_tensor)?);
    let filter_tensor = ctx.input_tensor(1)?;
    let filter = quant_of(filter_tensor)?;
    let per_tensor = filter.is_per_tensor();
    if !per_tensor && (filter.scales.len() != features || x.dtype() == DType::U8) {
        return Err(KernelError::Quantisation {
            tensor: filter_tensor.name.clone(),
            what: "scales are one for the tensor, or for int8 one for each output feature",
        });
    }
    let scale = |w: f32| f64::from(input.scale) * f64::from(w) / f64::from(result.scale);
    let (min, max) = result.activation_range(activation, out_tensor.dtype)?;
    let bias = bias_of(ctx, 2, features)?;
    let params = Params {
        depth,
        scales: (0..features)
            .map(|i| scale(filter.scales[if per_tensor { 0 } else { i }]))
            .collect(),
        bias: bias.unwrap_or_else(|| vec![0; features]),
        input_zero_point: input.zero_point,
        // Per-channel filters are symmetric by specification.
        filter_zero_point: if per_tensor {
            Affine::of(filter_tensor)?.zero_point
        } else {
            0
        },
        output_zero_point: result.zero_point,
        min,
        max,
    };
    let mut out = Value::zeros(out_tensor.dtype, shape)?;
    by_byte_type!(x.dtype(), "the input", T => {
        params.run::<T>(x.view()?, w.view()?, out.view_mut()?)?;
        Ok(())
    })?;
    Ok(out)
}

fn shapes(what: &'static str, x: &Value, w: &Value) -> KernelError {
    KernelError::Shape {
        what,
        shapes: vec![x.shape().to_vec(), w.shape().to_vec()],
    }
}

struct Params {
    depth: usize,
    scales: Vec<f64>,
    bias: Vec<i32>,
    input_zero_point: i32,
    filter_zero_point: i32,
    output_zero_point: i32,
    min: i32,
    max: i32,
}

impl Params {
    fn run<T: Byte>(&self, input: &[T], filter: &[T], output: &mut [T]) -> Result<(), OutOfMemory> {
        let features = self.scales.len();
        let rows = input.chunks_exact(self.depth);
        for (row, output) in rows.zip(output.chunks_exact_mut(features)) {
            let zero = self.input_zero_point as i16;
            let widened = memory::map(row, |v| v.widen() as i16 - zero)?;
            parallel::chunks_mut(output, CHUNK, |i, output| {
                let filter = &filter[i * CHUNK * self.depth..][..output.len() * self.depth];
                let mut sums = [0; CHUNK];
                simd::run(Dots {
                    input: &widened,
                    filter,
                    zero_point: self.filter_zero_point as i16,
                    sums: &mut sums[..output.len()],
                });
                for (j, (out, sum)) in output.iter_mut().zip(sums).enumerate() {
                    *out = T::narrow(self.requantise(i * CHUNK + j, sum));
                }
            });
        }
        Ok(())
    }

    fn requantise(&self, feature: usize, sum: i32) -> i32 {
        let acc = sum.wrapping_add(self.bias[feature]);
        let scaled = (f64::from(acc) * self.scales[feature]).round() as i32;
        let value = scaled.saturating_add(self.output_zero_point);
        value.max(self.min).min(self.max)
    }
}

/// Dot products of one input row with several filter rows.
struct Dots<'a, T> {
    input: &'a [i16],
    filter: &'a [T],
    zero_point: i16,
    sums: &'a mut [i32],
}

impl<T: Byte> simd::Loop for Dots<'_, T> {
    #[inline(always)]
    fn run<I: Isa, const TILE: usize, const BLOCKS: usize>(self, _: I) {
        let rows = self.filter.chunks_exact(self.input.len());
        for (sum, row) in self.sums.iter_mut().zip(rows) {
            *sum = self.input.iter().zip(row).fold(0i32, |acc, (&x, w)| {
                let w = w.widen() as i16 - self.zero_point;
                acc.wrapping_add(i32::from(x) * i32::from(w))
            });
        }
    }
}
