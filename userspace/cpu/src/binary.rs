//! Element-wise operators of two operands.

use super::broadcast::Broadcast;
use super::context::{Affine, Byte, Context, by_byte_type, float_activation_range};
use super::value::Element;
use super::{KernelError, Multiplier, Value};
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
    let mut out = Value::zeros(a.dtype(), bc.shape.clone())?;
    match (a.dtype(), op) {
        (_, Binary::Maximum | Binary::Minimum) => extremum(a, b, &mut out, &bc, op)?,
        (DType::U8 | DType::I8, Binary::Add | Binary::Sub) => {
            by_byte_type!(a.dtype(), "an operand", T => {
                let sum = Sum::<T>::new(ctx, op == Binary::Sub, activation)?;
                bc.map(a.view()?, b.view()?, out.view_mut()?, |x, y| sum.apply(x, y));
                Ok(())
            })?;
        }
        (DType::U8 | DType::I8, Binary::Mul) => {
            by_byte_type!(a.dtype(), "an operand", T => {
                let product = Product::new(ctx, activation)?;
                bc.map(a.view::<T>()?, b.view::<T>()?, out.view_mut()?, |x, y| product.apply(x, y));
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

/// Bits that both operands of a sum gain before they are brought to a common scale.
const HEADROOM: u32 = 20;

/// ADD and SUB: both operands on twice the larger input scale with 20 more bits, then one rescale.
struct Sum<T> {
    /// Rescaled operands by the byte they are stored as.
    a: [i32; 256],
    b: [i32; 256],
    output: Multiplier,
    zero_point: i32,
    min: i32,
    max: i32,
    of: std::marker::PhantomData<T>,
}

impl<T: Byte> Sum<T> {
    fn new(ctx: &Context<'_>, subtract: bool, activation: Activation) -> Result<Self, KernelError> {
        let (a, b) = (ctx.input_affine(0)?, ctx.input_affine(1)?);
        let result = ctx.output_tensor(0)?;
        let y = Affine::of(result)?;
        let twice = f64::from(2.0 * a.scale.max(b.scale));
        let table = |operand: Affine| -> Result<[i32; 256], KernelError> {
            let m = Multiplier::from_real_below_one(f64::from(operand.scale) / twice)?;
            Ok(std::array::from_fn(|bits| {
                let centred = T::from_bits(bits as u8).widen() - operand.zero_point;
                m.apply(centred << HEADROOM)
            }))
        };
        let (a, mut b) = (table(a)?, table(b)?);
        if subtract {
            b = b.map(|v| -v);
        }
        let real = twice / f64::from((1 << HEADROOM) as f32 * y.scale);
        let (min, max) = y.activation_range(activation, result.dtype)?;
        Ok(Sum {
            a,
            b,
            output: Multiplier::from_real_below_one(real)?,
            zero_point: y.zero_point,
            min,
            max,
            of: std::marker::PhantomData,
        })
    }

    #[inline(always)]
    fn apply(&self, x: T, y: T) -> T {
        let sum = self.a[usize::from(x.to_bits())].wrapping_add(self.b[usize::from(y.to_bits())]);
        let value = self.output.apply(sum) + self.zero_point;
        T::narrow(value.max(self.min).min(self.max))
    }
}

/// MUL: the product of both centred operands, rescaled.
struct Product {
    zero_points: [i32; 3],
    multiplier: Multiplier,
    min: i32,
    max: i32,
}

impl Product {
    fn new(ctx: &Context<'_>, activation: Activation) -> Result<Self, KernelError> {
        let (a, b) = (ctx.input_affine(0)?, ctx.input_affine(1)?);
        let result = ctx.output_tensor(0)?;
        let y = Affine::of(result)?;
        let (min, max) = y.activation_range(activation, result.dtype)?;
        Ok(Product {
            zero_points: [a.zero_point, b.zero_point, y.zero_point],
            multiplier: Multiplier::from_real(f64::from(a.scale * b.scale / y.scale))?,
            min,
            max,
        })
    }

    #[inline(always)]
    fn apply<T: Byte>(&self, x: T, y: T) -> T {
        let product = (x.widen() - self.zero_points[0]) * (y.widen() - self.zero_points[1]);
        let value = self
            .multiplier
            .apply(product)
            .wrapping_add(self.zero_points[2]);
        T::narrow(value.max(self.min).min(self.max))
    }
}
