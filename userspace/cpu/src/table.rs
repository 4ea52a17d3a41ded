//! Element-wise functions of one 8-bit operand: every one is a table of 256 entries.

use super::context::{Affine, Byte, Context, by_byte_type};
use super::fixed_point::{doubling_high_mul_16, rounding_shift_right};
use super::{KernelError, Multiplier, Value};
use ferrite_ir::DType;
use ferrite_ir::op::Unary;
use ferrite_process::parallel;
use ferrite_simd::{Table, look_up};

/// Applies a table.
fn map(ctx: &Context<'_>, dtype: DType, table: &Table) -> Result<Value, KernelError> {
    const PIECE: usize = 1 << 14;
    let input = ctx.input(0)?;
    let mut out = ctx.result(dtype, input.shape())?;
    let bytes = input.bytes();
    parallel::chunks_mut(out.bytes_mut(), PIECE, |i, out| {
        look_up(table, &bytes[i * PIECE..], out);
    });
    Ok(out)
}

/// The table of a function from the centred input to the result before clamping.
fn table<T: Byte>(input: Affine, (min, max): (i32, i32), f: impl Fn(i32) -> i32) -> Table {
    std::array::from_fn(|bits| {
        let value = f(T::from_bits(bits as u8).widen() - input.zero_point);
        T::narrow(value.max(min).min(max)).to_bits()
    })
}

/// Operand and result quantisation; both must have the same 8-bit type.
fn affines(ctx: &Context<'_>) -> Result<(Affine, Affine, DType), KernelError> {
    let (x, result) = (ctx.input(0)?, ctx.output_tensor(0)?);
    if x.dtype() != result.dtype {
        return Err(KernelError::ElementType {
            what: "the result",
            found: result.dtype,
        });
    }
    Ok((ctx.input_affine(0)?, Affine::of(result)?, x.dtype()))
}

/// RELU and its kin, LOGISTIC, TANH and HARD_SWISH.
pub(super) fn unary(ctx: &Context<'_>, op: Unary) -> Result<Value, KernelError> {
    let (x, y, dtype) = affines(ctx)?;
    let table = by_byte_type!(dtype, "the operand", T => {
        let full = (T::LOWEST, T::HIGHEST);
        match op {
            Unary::Relu => relu::<T>(x, y, 0.0, None),
            Unary::Relu6 => relu::<T>(x, y, 0.0, Some(6.0)),
            Unary::ReluN1To1 => relu::<T>(x, y, -1.0, Some(1.0)),
            Unary::Relu0To1 => relu::<T>(x, y, 0.0, Some(1.0)),
            Unary::Logistic => Ok(table::<T>(x, full, |v| {
                through_float(x, y, v, |r| 1.0 / (1.0 + (-r).exp()))
            })),
            Unary::Tanh => Ok(table::<T>(x, full, |v| through_float(x, y, v, f32::tanh))),
            Unary::HardSwish => {
                let f = HardSwish::new(x, y)?;
                Ok(table::<T>(x, full, |v| f.apply(v)))
            }
            _ => Err(KernelError::Unsupported),
        }
    })?;
    map(ctx, dtype, &table)
}

fn relu<T: Byte>(x: Affine, y: Affine, min: f32, max: Option<f32>) -> Result<Table, KernelError> {
    let m = Multiplier::from_real(f64::from(x.scale / y.scale))?;
    let range = (
        T::LOWEST.max(y.quantise(min)),
        max.map_or(T::HIGHEST, |max| T::HIGHEST.min(y.quantise(max))),
    );
    Ok(table::<T>(x, range, |v| {
        m.apply(v).wrapping_add(y.zero_point)
    }))
}

fn through_float(x: Affine, y: Affine, centred: i32, f: impl Fn(f32) -> f32) -> i32 {
    let inverse = 1.0 / y.scale;
    let rounded = (f(x.scale * centred as f32) * inverse).round();
    (rounded + y.zero_point as f32) as i32
}

/// LEAKY_RELU.
pub(super) fn leaky_relu(ctx: &Context<'_>, alpha: f32) -> Result<Value, KernelError> {
    let (x, y, dtype) = affines(ctx)?;
    let identity = Multiplier::from_real(f64::from(x.scale / y.scale))?;
    let slope = Multiplier::from_real(f64::from(x.scale * alpha / y.scale))?;
    // The magnitude is scaled, then the sign put back.
    let magnitude = Multiplier {
        mantissa: slope.mantissa.abs(),
        ..slope
    };
    let table = by_byte_type!(dtype, "the operand", T => {
        Ok(table::<T>(x, (T::LOWEST, T::HIGHEST), |v| {
            let scaled = if v >= 0 {
                identity.apply(v)
            } else {
                magnitude.apply(v).wrapping_mul(slope.mantissa.signum())
            };
            scaled.wrapping_add(y.zero_point)
        }))
    })?;
    map(ctx, dtype, &table)
}

/// QUANTIZE from one 8-bit quantisation to another.
pub(super) fn requantise(ctx: &Context<'_>) -> Result<Value, KernelError> {
    let (x, y) = (ctx.input_affine(0)?, ctx.output_affine(0)?);
    let (from, to) = (ctx.input(0)?.dtype(), ctx.output_tensor(0)?.dtype);
    let m = Multiplier::from_real(f64::from(x.scale) / f64::from(y.scale))?;
    let table = by_byte_type!(from, "the operand", T => by_byte_type!(to, "the result", U => {
        Ok(std::array::from_fn(|bits| {
            let centred = T::from_bits(bits as u8).widen() - x.zero_point;
            let value = m.apply(centred).wrapping_add(y.zero_point);
            U::saturate(value).to_bits()
        }))
    }))?;
    map(ctx, to, &table)
}

/// HARD_SWISH in 16-bit fixed point: `x * relu6(x + 3) / 6`.
struct HardSwish {
    output_mantissa: i16,
    output_exponent: i32,
    relu_mantissa: i16,
    relu_exponent: i32,
    zero_point: i32,
}

impl HardSwish {
    fn new(x: Affine, y: Affine) -> Result<HardSwish, KernelError> {
        // Inputs gain seven bits; three on the scale of the relu-like factor is 2^15.
        let fine = (1.0f32 / 128.0) * x.scale;
        let output = Multiplier::from_real(f64::from(fine / y.scale))?;
        let relu = Multiplier::from_real(f64::from(fine / (3.0f32 / 32768.0)))?;
        if output.shift > 0 {
            return Err(KernelError::Multiplier {
                value: f64::from(fine / y.scale),
            });
        }
        Ok(HardSwish {
            output_mantissa: high_half(output.mantissa),
            output_exponent: output.shift,
            relu_mantissa: high_half(relu.mantissa),
            relu_exponent: relu.shift,
            zero_point: y.zero_point,
        })
    }

    fn apply(&self, centred: i32) -> i32 {
        let fine = (centred * (1 << 7)) as i16;
        let scaled = doubling_high_mul_16(fine, self.output_mantissa);
        // The factor: x / 3 saturated to [-1, 1), then moved to [0, 1).
        let mut factor = fine;
        if self.relu_exponent > 0 {
            factor = saturating_shift_left_16(factor, self.relu_exponent - 1);
        }
        factor = doubling_high_mul_16(factor, self.relu_mantissa);
        if self.relu_exponent > 0 {
            factor = saturating_shift_left_16(factor, 1);
        }
        if self.relu_exponent < 0 {
            factor = rounding_shift_right(factor.into(), -self.relu_exponent) as i16;
        }
        let factor = (i32::from(factor) + (1 << 15)) >> 1;
        // This product truncates, to undo the bias of the roundings before.
        let product = factor * i32::from(scaled) / (1 << 15);
        let value = rounding_shift_right(product, -self.output_exponent);
        i32::from((value as i16).wrapping_add(self.zero_point as i16))
    }
}

/// A Q31 mantissa rounded to Q15.
fn high_half(mantissa: i32) -> i16 {
    if mantissa >= i32::MAX - (1 << 15) {
        return i16::MAX;
    }
    ((mantissa + (1 << 15)) >> 16) as i16
}

fn saturating_shift_left_16(x: i16, exponent: i32) -> i16 {
    let wide = i64::from(x) << exponent;
    wide.clamp(i16::MIN.into(), i16::MAX.into()) as i16
}
