//! Element-wise operators of one operand on floats and integers, and PRELU.

use super::broadcast::Broadcast;
use super::byte_pairs::{Pairwise, Prelu};
use super::context::{Byte, Context, by_byte_type};
use super::{KernelError, Value, table};
use ferrite_ir::DType;
use ferrite_ir::op::Unary;

pub(super) fn run(ctx: &Context<'_>, op: Unary) -> Result<Value, KernelError> {
    let x = ctx.input(0)?;
    match x.dtype() {
        DType::U8 | DType::I8 => table::unary(ctx, op),
        DType::F32 => map(x, float_function(op)),
        DType::I32 => {
            let f: fn(i32) -> i32 = match op {
                Unary::Abs => i32::wrapping_abs,
                Unary::Neg => i32::wrapping_neg,
                _ => return Err(KernelError::Unsupported),
            };
            let mut out = Value::zeros(DType::I32, x.shape())?;
            for (o, &v) in out.view_mut::<i32>()?.iter_mut().zip(x.view::<i32>()?) {
                *o = f(v);
            }
            Ok(out)
        }
        found => Err(KernelError::ElementType {
            what: "the operand",
            found,
        }),
    }
}

fn map(x: &Value, f: impl Fn(f32) -> f32) -> Result<Value, KernelError> {
    let mut out = Value::zeros(DType::F32, x.shape())?;
    for (o, &v) in out.view_mut::<f32>()?.iter_mut().zip(x.view::<f32>()?) {
        *o = f(v);
    }
    Ok(out)
}

fn float_function(op: Unary) -> fn(f32) -> f32 {
    match op {
        Unary::Logistic => logistic,
        Unary::Tanh => f32::tanh,
        Unary::Relu => |x| x.max(0.0),
        Unary::Relu6 => |x| x.clamp(0.0, 6.0),
        Unary::ReluN1To1 => |x| x.clamp(-1.0, 1.0),
        Unary::Relu0To1 => |x| x.clamp(0.0, 1.0),
        Unary::HardSwish => |x| x * (x + 3.0).clamp(0.0, 6.0) / 6.0,
        Unary::Sqrt => f32::sqrt,
        Unary::Rsqrt => |x| 1.0 / x.sqrt(),
        Unary::Exp => f32::exp,
        Unary::Abs => f32::abs,
        Unary::Neg => |x| -x,
        Unary::Floor => f32::floor,
        Unary::Round => f32::round_ties_even,
        Unary::Log => f32::ln,
        Unary::Sin => f32::sin,
        Unary::Cos => f32::cos,
        Unary::Square => |x| x * x,
    }
}

/// The reference's logistic function: linear branches where single precision saturates.
fn logistic(x: f32) -> f32 {
    if x > 16.619_047 {
        1.0
    } else if x < -9.0 {
        x.exp()
    } else {
        1.0 / (1.0 + (-x).exp())
    }
}

/// LEAKY_RELU.
pub(super) fn leaky_relu(ctx: &Context<'_>, alpha: f32) -> Result<Value, KernelError> {
    let x = ctx.input(0)?;
    match x.dtype() {
        DType::F32 => map(x, |v| if v > 0.0 { v } else { v * alpha }),
        _ => table::leaky_relu(ctx, alpha),
    }
}

/// PRELU: `x`, or `x * alpha` where negative; alpha broadcasts.
pub(super) fn prelu(ctx: &Context<'_>) -> Result<Value, KernelError> {
    let (x, alpha) = (ctx.input(0)?, ctx.input(1)?);
    let bc = Broadcast::new(x.shape(), alpha.shape())?;
    if bc.shape != x.shape() {
        return Err(KernelError::Shape {
            what: "alpha must broadcast to the input",
            shapes: vec![x.shape().to_vec(), alpha.shape().to_vec()],
        });
    }
    let mut out = ctx.result(x.dtype(), x.shape())?;
    if x.dtype() == DType::F32 {
        let f = |x: f32, a: f32| if x >= 0.0 { x } else { x * a };
        bc.map(x.view()?, alpha.view()?, out.view_mut()?, f);
        return Ok(out);
    }
    by_byte_type!(x.dtype(), "the input", T => {
        let prelu = Prelu::new(ctx, (T::LOWEST, T::HIGHEST))?;
        prelu.run::<T>(&bc, x.view()?, alpha.view()?, out.view_mut()?);
        Ok(())
    })?;
    Ok(out)
}
