//! QUANTIZE, DEQUANTIZE and CAST.

use super::context::{Byte, Context, by_byte_type};
use super::{KernelError, Multiplier, Value, table};
use ferrite_ir::DType;
use ferrite_process::parallel;
use ferrite_simd as simd;

/// QUANTIZE: from float, or from one quantisation to another.
pub(super) fn quantize(ctx: &Context<'_>) -> Result<Value, KernelError> {
    let x = ctx.input(0)?;
    let result = ctx.output_tensor(0)?;
    let y = ctx.output_affine(0)?;
    match x.dtype() {
        DType::F32 => by_byte_type!(result.dtype, "the result", T => {
            let mut out = Value::zeros(result.dtype, x.shape())?;
            let convert = |v: f32| T::saturate(y.quantise(v));
            map(x.view::<f32>()?, out.view_mut::<T>()?, convert);
            Ok(out)
        }),
        DType::I32 => by_byte_type!(result.dtype, "the result", T => {
            let from = ctx.input_affine(0)?;
            let m = Multiplier::from_real(f64::from(from.scale) / f64::from(y.scale))?;
            let mut out = Value::zeros(result.dtype, x.shape())?;
            let convert = |v: i32| {
                let scaled = m.apply(v.wrapping_sub(from.zero_point));
                T::saturate(scaled.wrapping_add(y.zero_point))
            };
            map(x.view::<i32>()?, out.view_mut::<T>()?, convert);
            Ok(out)
        }),
        _ => table::requantise(ctx),
    }
}

/// DEQUANTIZE to float.
pub(super) fn dequantize(ctx: &Context<'_>) -> Result<Value, KernelError> {
    let x = ctx.input(0)?;
    let from = ctx.input_affine(0)?;
    by_byte_type!(x.dtype(), "the operand", T => {
        let mut out = Value::zeros(DType::F32, x.shape())?;
        let scale = f64::from(from.scale);
        let convert = |v: T| (scale * f64::from(v.widen() - from.zero_point)) as f32;
        map(x.view::<T>()?, out.view_mut::<f32>()?, convert);
        Ok(out)
    })
}

/// CAST between element types; floats are truncated towards zero and saturate.
pub(super) fn cast(ctx: &Context<'_>) -> Result<Value, KernelError> {
    macro_rules! to {
        ($x:expr, $from:ty, $to:expr) => {{
            let mut out = Value::zeros($to, $x.shape())?;
            let from = $x.view::<$from>()?;
            match $to {
                DType::U8 => map(from, out.view_mut::<u8>()?, |v| v as u8),
                DType::I8 => map(from, out.view_mut::<i8>()?, |v| v as i8),
                DType::I16 => map(from, out.view_mut::<i16>()?, |v| v as i16),
                DType::I32 => map(from, out.view_mut::<i32>()?, |v| v as i32),
                DType::I64 => map(from, out.view_mut::<i64>()?, |v| v as i64),
                DType::F32 => map(from, out.view_mut::<f32>()?, |v| v as f32),
                DType::Bool => map(from, out.bytes_mut(), |v| u8::from(v != <$from>::default())),
                found => return Err(unsupported("the result", found)),
            }
            Ok(out)
        }};
    }
    let x = ctx.input(0)?;
    let to = ctx.output_tensor(0)?.dtype;
    match x.dtype() {
        DType::U8 => to!(x, u8, to),
        DType::I8 => to!(x, i8, to),
        DType::I16 => to!(x, i16, to),
        DType::I32 => to!(x, i32, to),
        DType::I64 => to!(x, i64, to),
        DType::F32 => to!(x, f32, to),
        DType::Bool => {
            let bytes = Value::from_bytes(DType::U8, x.shape(), x.bytes())?;
            to!(bytes, u8, to)
        }
        found => Err(unsupported("the operand", found)),
    }
}

fn unsupported(what: &'static str, found: DType) -> KernelError {
    KernelError::ElementType { what, found }
}

fn map<A: Copy + Sync, B: Send>(from: &[A], to: &mut [B], f: impl Fn(A) -> B + Sync) {
    const PIECE: usize = 1 << 14;
    parallel::chunks_mut(to, PIECE, |i, to| {
        simd::vectorised(
            #[inline(always)]
            || {
                for (t, &v) in to.iter_mut().zip(&from[i * PIECE..]) {
                    *t = f(v);
                }
            },
        );
    });
}
