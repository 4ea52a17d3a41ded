//! Element-wise operators of two operands.

use super::broadcast::Broadcast;
use super::byte_pairs::{Pairwise, Product, Sum};
use super::context::{Context, by_byte_type, float_activation_range};
use super::value::Element;
use super::{KernelError, Value};
use ferrite_ir::DType;
use ferrite_ir::op::{Activation, Binary};

pub(super) fn run(
    ctx: &Context<'_>,
    op: Binary,
    activation: Activation,
) -> Result<Value, KernelError> {
    let (a, b) = (ctx.input(0)?, ctx.input(1)?);
    let bc = Broadcast::new(a.shape(), b.shape())?;
    let result = ctx.output_tensor(0)?;
    if a.dtype() != b.dtype() || a.dtype() != result.dtype {
        return Err(KernelError::ElementType {
            what: "one of two operands of different types or the result",
            found: b.dtype(),
        });
    }
    let mut out = ctx.result(a.dtype(), bc.shape.clone())?;
    match (a.dtype(), op) {
        (_, Binary::Maximum | Binary::Minimum) => extremum(a, b, &mut out, &bc, op)?,
        (DType::U8 | DType::I8, Binary::Add | Binary::Sub) => {
            by_byte_type!(a.dtype(), "an operand", T => {
                let sum = Sum::new(ctx, op == Binary::Sub, activation)?;
                sum.run::<T>(&bc, a.view()?, b.view()?, out.view_mut()?);
                Ok(())
            })?;
        }
        (DType::U8 | DType::I8, Binary::Mul) => {
            by_byte_type!(a.dtype(), "an operand", T => {
                let product = Product::new(ctx, activation)?;
                product.run::<T>(&bc, a.view()?, b.view()?, out.view_mut()?);
                Ok(())
            })?;
        }
        (DType::F32, _) => {
            let f = float_function(op).ok_or(KernelError::Unsupported)?;
            let (min, max) = float_activation_range(activation);
            // Comparisons that let NaN pass, as the reference's do.
            let clamp = |v: f32| match v {
                v if v < min => min,
                v if v > max => max,
                v => v,
            };
            let (a, b, out) = (a.view()?, b.view()?, out.view_mut()?);
            match op {
                Binary::Add | Binary::Sub | Binary::Mul | Binary::Div => {
                    bc.map(a, b, out, |x, y| clamp(f(x, y)));
                }
                _ => bc.map(a, b, out, f),
            }
        }
        (DType::I32, _) => {
            if matches!(op, Binary::Div | Binary::FloorDiv | Binary::FloorMod)
                && b.view::<i32>()?.contains(&0)
            {
                return Err(KernelError::DivisionByZero);
            }
            let f = int_function(op).ok_or(KernelError::Unsupported)?;
            let (min, max) = float_activation_range(activation);
            let (min, max) = (min as i32, max as i32);
            bc.map(a.view()?, b.view()?, out.view_mut()?, |x, y| {
                f(x, y).max(min).min(max)
            });
        }
        (DType::I64, _) => {
            let f: fn(i64, i64) -> i64 = match op {
                Binary::Add => i64::wrapping_add,
                Binary::Sub => i64::wrapping_sub,
                Binary::Mul => i64::wrapping_mul,
                _ => return Err(KernelError::Unsupported),
            };
            if activation != Activation::None {
                return Err(KernelError::Unsupported);
            }
            bc.map(a.view()?, b.view()?, out.view_mut()?, f);
        }
        (found, _) => {
            return Err(KernelError::ElementType {
                what: "an operand",
                found,
            });
        }
    }
    Ok(out)
}

fn float_function(op: Binary) -> Option<fn(f32, f32) -> f32> {
    Some(match op {
        Binary::Add => |x, y| x + y,
        Binary::Sub => |x, y| x - y,
        Binary::Mul => |x, y| x * y,
        Binary::Div => |x, y| x / y,
        Binary::FloorDiv => |x, y| (f64::from(x) / f64::from(y)).floor() as f32,
        Binary::SquaredDifference => |x, y| (x - y) * (x - y),
        Binary::Pow => f32::powf,
        Binary::FloorMod => |x, y| {
            let rest = x % y;
            if rest != 0.0 && (rest < 0.0) != (y < 0.0) {
                rest + y
            } else {
                rest
            }
        },
        Binary::Maximum | Binary::Minimum => return None,
    })
}

fn int_function(op: Binary) -> Option<fn(i32, i32) -> i32> {
    Some(match op {
        Binary::Add => i32::wrapping_add,
        Binary::Sub => i32::wrapping_sub,
        Binary::Mul => i32::wrapping_mul,
        Binary::Div => i32::wrapping_div,
        Binary::FloorDiv => |x, y| {
            let quotient = x.wrapping_div(y);
            quotient - i32::from(x.wrapping_rem(y) != 0 && (x < 0) != (y < 0))
        },
        Binary::FloorMod => |x, y| {
            let rest = x.wrapping_rem(y);
            if rest != 0 && (rest < 0) != (y < 0) {
                rest + y
            } else {
                rest
            }
        },
        Binary::SquaredDifference => |x, y| {
            let d = x.wrapping_sub(y);
            d.wrapping_mul(d)
        },
        Binary::Pow | Binary::Maximum | Binary::Minimum => return None,
    })
}

/// MAXIMUM and MINIMUM compare stored values, whatever their quantisation.
fn extremum(
    a: &Value,
    b: &Value,
    out: &mut Value,
    bc: &Broadcast,
    op: Binary,
) -> Result<(), KernelError> {
    fn typed<T: Element + PartialOrd>(
        a: &Value,
        b: &Value,
        out: &mut Value,
        bc: &Broadcast,
        op: Binary,
    ) -> Result<(), KernelError> {
        let (a, b, out) = (a.view::<T>()?, b.view::<T>()?, out.view_mut::<T>()?);
        if op == Binary::Maximum {
            bc.map(a, b, out, |x, y| if x > y { x } else { y });
        } else {
            bc.map(a, b, out, |x, y| if x < y { x } else { y });
        }
        Ok(())
    }
    match a.dtype() {
        DType::U8 => typed::<u8>(a, b, out, bc, op),
        DType::I8 => typed::<i8>(a, b, out, bc, op),
        DType::I16 => typed::<i16>(a, b, out, bc, op),
        DType::I32 => typed::<i32>(a, b, out, bc, op),
        DType::I64 => typed::<i64>(a, b, out, bc, op),
        DType::F32 => typed::<f32>(a, b, out, bc, op),
        found => Err(KernelError::ElementType {
            what: "an operand",
            found,
        }),
    }
}
