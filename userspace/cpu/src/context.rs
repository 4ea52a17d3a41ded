//! What a kernel sees of its node: operands, tensors, quantisation, activation ranges.

use super::value::{Element, Value};
use super::{KernelError, Multiplier};
use ferrite_ir::op::Activation;
use ferrite_ir::{DType, Graph, Node, Quant, Tensor};
use std::sync::{Mutex, PoisonError};

/// A node with the values of its operands.
pub(super) struct Context<'a> {
    pub graph: &'a Graph,
    pub node: &'a Node,
    /// One entry for each operand; `None` where the operand is omitted.
    pub inputs: &'a [Option<&'a Value>],
    /// An earlier value of the first result.
    pub spare: Mutex<Option<Value>>,
}

impl<'a> Context<'a> {
    /// A context whose values have the element types of the graph's tensors: quantisation is read
    /// from the tensors.
    pub fn new(
        graph: &'a Graph,
        node: &'a Node,
        inputs: &'a [Option<&'a Value>],
    ) -> Result<Context<'a>, KernelError> {
        let ctx = Context {
            graph,
            node,
            inputs,
            spare: Mutex::default(),
        };
        for (i, value) in inputs.iter().enumerate() {
            let Some(value) = value else { continue };
            if value.dtype() != ctx.input_tensor(i)?.dtype {
                return Err(KernelError::ElementType {
                    what: "the value of an operand",
                    found: value.dtype(),
                });
            }
        }
        Ok(ctx)
    }

    /// A value for the first result, of which every element is to be written: it may hold an earlier
    /// result, whose memory is at hand and need not be cleared.
    pub fn result(&self, dtype: DType, shape: impl Into<Vec<usize>>) -> Result<Value, KernelError> {
        let shape = shape.into();
        let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        match spare.take() {
            Some(value) if value.dtype() == dtype && value.shape() == shape => Ok(value),
            _ => Value::zeros(dtype, shape),
        }
    }

    /// The value of a required operand.
    pub fn input(&self, index: usize) -> Result<&'a Value, KernelError> {
        self.optional(index)
            .ok_or(KernelError::MissingOperand { index })
    }

    /// The value of an operand that may be omitted.
    pub fn optional(&self, index: usize) -> Option<&'a Value> {
        self.inputs.get(index).copied().flatten()
    }

    /// The tensor of an operand.
    pub fn input_tensor(&self, index: usize) -> Result<&'a Tensor, KernelError> {
        let id = self.node.inputs.get(index).copied().flatten();
        id.and_then(|id| self.graph.tensors.get(id))
            .ok_or(KernelError::MissingOperand { index })
    }

    /// The tensor of a result.
    pub fn output_tensor(&self, index: usize) -> Result<&'a Tensor, KernelError> {
        let id = self.node.outputs.get(index);
        id.and_then(|&id| self.graph.tensors.get(id))
            .ok_or(KernelError::ResultCount {
                found: self.node.outputs.len(),
                expected: index + 1,
            })
    }

    /// Per-tensor quantisation of an operand.
    pub fn input_affine(&self, index: usize) -> Result<Affine, KernelError> {
        Affine::of(self.input_tensor(index)?)
    }

    /// Per-tensor quantisation of a result.
    pub fn output_affine(&self, index: usize) -> Result<Affine, KernelError> {
        Affine::of(self.output_tensor(index)?)
    }
}

/// Per-tensor quantisation: real = scale * (stored - zero point).
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Affine {
    pub scale: f32,
    pub zero_point: i32,
}

impl Affine {
    /// The tensor's parameters, with zero points that its type can hold.
    pub fn of(tensor: &Tensor) -> Result<Affine, KernelError> {
        let bad = |what| KernelError::Quantisation {
            tensor: tensor.name.clone(),
            what,
        };
        let quant = quant_of(tensor)?;
        let (&[scale], &[zero_point]) = (&quant.scales[..], &quant.zero_points[..]) else {
            return Err(bad(
                "one scale and zero point for the whole tensor are needed",
            ));
        };
        if !(scale.is_finite() && scale > 0.0) {
            return Err(bad("the scale is not positive and finite"));
        }
        let (lo, hi) = range_of(tensor.dtype).unwrap_or((i32::MIN, i32::MAX));
        if !(lo..=hi).contains(&zero_point) {
            return Err(bad("the zero point is outside the element type"));
        }
        Ok(Affine { scale, zero_point })
    }

    /// Range that a fused activation leaves of the tensor's values.
    pub fn activation_range(
        self,
        activation: Activation,
        dtype: DType,
    ) -> Result<(i32, i32), KernelError> {
        let (lo, hi) = range_of(dtype).ok_or(KernelError::ElementType {
            what: "the result",
            found: dtype,
        })?;
        let quantise = |real: f32| self.quantise(real);
        Ok(match activation {
            Activation::None => (lo, hi),
            Activation::Relu => (lo.max(quantise(0.0)), hi),
            Activation::Relu6 => (lo.max(quantise(0.0)), hi.min(quantise(6.0))),
            Activation::ReluN1To1 => (lo.max(quantise(-1.0)), hi.min(quantise(1.0))),
        })
    }

    /// The stored value nearest to a real number, not clamped to the element type.
    #[inline(always)]
    pub fn quantise(self, real: f32) -> i32 {
        ((real / self.scale).round() as i32).saturating_add(self.zero_point)
    }
}

/// The tensor's quantisation, per tensor or per axis.
pub(super) fn quant_of(tensor: &Tensor) -> Result<&Quant, KernelError> {
    tensor
        .quant
        .as_ref()
        .filter(|q| !q.scales.is_empty() && q.scales.len() == q.zero_points.len())
        .ok_or_else(|| KernelError::Quantisation {
            tensor: tensor.name.clone(),
            what: "it is not quantised",
        })
}

/// Values a quantised element type can hold.
fn range_of(dtype: DType) -> Option<(i32, i32)> {
    match dtype {
        DType::U8 => Some((0, 255)),
        DType::I8 => Some((-128, 127)),
        DType::I16 => Some((-32768, 32767)),
        _ => None,
    }
}

/// Range of a fused activation on real numbers.
pub(super) fn float_activation_range(activation: Activation) -> (f32, f32) {
    match activation {
        Activation::None => (f32::MIN, f32::MAX),
        Activation::Relu => (0.0, f32::MAX),
        Activation::Relu6 => (0.0, 6.0),
        Activation::ReluN1To1 => (-1.0, 1.0),
    }
}

/// The 8-bit element types.
pub(super) trait Byte: Element + Ord {
    /// Smallest value.
    const LOWEST: i32;
    /// Largest value.
    const HIGHEST: i32;
    fn widen(self) -> i32;
    /// The low byte.
    fn narrow(v: i32) -> Self;
    /// The nearest value of the type.
    #[inline(always)]
    fn saturate(v: i32) -> Self {
        Self::narrow(v.max(Self::LOWEST).min(Self::HIGHEST))
    }
    fn from_bits(bits: u8) -> Self;
    fn to_bits(self) -> u8;
}

macro_rules! byte {
    ($t:ty) => {
        impl Byte for $t {
            const LOWEST: i32 = <$t>::MIN as i32;
            const HIGHEST: i32 = <$t>::MAX as i32;
            #[inline(always)]
            fn widen(self) -> i32 {
                self.into()
            }
            #[inline(always)]
            fn narrow(v: i32) -> Self {
                v as $t
            }
            #[inline(always)]
            fn from_bits(bits: u8) -> Self {
                bits as $t
            }
            #[inline(always)]
            fn to_bits(self) -> u8 {
                self as u8
            }
        }
    };
}
byte!(u8);
byte!(i8);

/// Calls a function that is generic over the 8-bit type with the type that `$dtype` names.
macro_rules! by_byte_type {
    ($dtype:expr, $what:literal, $t:ident => $call:expr) => {
        match $dtype {
            ferrite_ir::DType::U8 => {
                type $t = u8;
                $call
            }
            ferrite_ir::DType::I8 => {
                type $t = i8;
                $call
            }
            found => Err($crate::KernelError::ElementType { what: $what, found }),
        }
    };
}
pub(super) use by_byte_type;

/// Multipliers, activation range and zero points of a convolution-like operator.
pub(super) struct GemmQuant {
    pub input_zero_point: i32,
    pub filter_zero_point: i32,
    pub output_zero_point: i32,
    /// One for each output channel.
    pub multipliers: Vec<Multiplier>,
    pub min: i32,
    pub max: i32,
}

impl GemmQuant {
    /// Derives the parameters of operands `input`, `filter` and result 0.
    ///
    /// The reference multiplies the input and filter scales in single precision for uint8 and in
    /// double precision for int8, and takes the zero point of int8 filters to be zero.
    pub fn of(
        ctx: &Context<'_>,
        input: usize,
        filter: usize,
        channels: usize,
        activation: Activation,
    ) -> Result<GemmQuant, KernelError> {
        let out_tensor = ctx.output_tensor(0)?;
        let (x, y) = (ctx.input_affine(input)?, Affine::of(out_tensor)?);
        let filter_tensor = ctx.input_tensor(filter)?;
        let quant = quant_of(filter_tensor)?;
        let unsigned = filter_tensor.dtype == DType::U8;
        let bad = |what| KernelError::Quantisation {
            tensor: filter_tensor.name.clone(),
            what,
        };
        if quant.scales.len() > 1 {
            if unsigned {
                return Err(bad("uint8 filters have one scale for the whole tensor"));
            }
            if quant.scales.len() != channels {
                return Err(bad("there must be one scale for each output channel"));
            }
        }
        let effective = |w: f32| {
            let product = if unsigned {
                f64::from(x.scale * w)
            } else {
                f64::from(x.scale) * f64::from(w)
            };
            Multiplier::from_real(product / f64::from(y.scale))
        };
        let multipliers = if quant.is_per_tensor() {
            vec![effective(quant.scales[0])?; channels]
        } else {
            let each = quant.scales.iter().map(|&w| effective(w));
            each.collect::<Result<_, _>>()?
        };
        let (min, max) = y.activation_range(activation, out_tensor.dtype)?;
        Ok(GemmQuant {
            input_zero_point: x.zero_point,
            filter_zero_point: if unsigned {
                Affine::of(filter_tensor)?.zero_point
            } else {
                0
            },
            output_zero_point: y.zero_point,
            multipliers,
            min,
            max,
        })
    }
}

/// The bias operand, if present: int32, one element for each channel.
pub(super) fn bias_of(
    ctx: &Context<'_>,
    index: usize,
    channels: usize,
) -> Result<Option<Vec<i32>>, KernelError> {
    let Some(bias) = ctx.optional(index) else {
        return Ok(None);
    };
    if bias.elements() != channels {
        return Err(KernelError::Shape {
            what: "the bias has one element for each output channel",
            shapes: vec![bias.shape().to_vec(), vec![channels]],
        });
    }
    Ok(Some(bias.view::<i32>()?.to_vec()))
}

/// The four dimensions of an NHWC value.
pub(super) fn nhwc(value: &Value, what: &'static str) -> Result<[usize; 4], KernelError> {
    let shape = value.shape();
    let dims: Result<[usize; 4], _> = shape.try_into();
    match dims {
        Ok(d) if !d.contains(&0) => Ok(d),
        _ => Err(KernelError::Shape {
            what,
            shapes: vec![shape.to_vec()],
        }),
    }
}

/// An axis operand or parameter in `-rank..rank`, made non-negative.
pub(super) fn resolve_axis(axis: i64, rank: usize) -> Result<usize, KernelError> {
    let resolved = if axis < 0 { axis + rank as i64 } else { axis };
    usize::try_from(resolved)
        .ok()
        .filter(|&a| a < rank)
        .ok_or(KernelError::Index {
            what: "axis",
            index: axis,
            size: rank,
        })
}
