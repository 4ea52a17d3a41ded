//! Quantisation of 8-bit tensors in one form.

use ferrite_ir::op::Activation;
use ferrite_ir::{DType, Tensor};

use super::work::Range;

/// Quantisation of an activation tensor in signed form: uint8 values are centred by
/// subtracting 128.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stored {
    /// Real value of one step.
    pub scale: f64,
    /// Zero point of the stored values, -128..=127.
    pub zero: i32,
    /// What was subtracted from the model's values: 128 for uint8, 0 for int8.
    pub offset: i32,
}

impl Stored {
    /// Of a tensor; None unless it is 8-bit with one scale.
    pub fn of(tensor: &Tensor) -> Option<Stored> {
        let offset = match tensor.dtype {
            DType::U8 => 128,
            DType::I8 => 0,
            _ => return None,
        };
        let quant = tensor.quant.as_ref()?;
        if !quant.is_per_tensor() {
            return None;
        }
        let scale = f64::from(quant.scales[0]);
        let zero = quant.zero_points.first()?.checked_sub(offset)?;
        if !(scale.is_finite() && scale > 0.0 && (-128..=127).contains(&zero)) {
            return None;
        }
        Some(Stored {
            scale,
            zero,
            offset,
        })
    }

    /// Range that a fused activation leaves, in stored values.
    pub fn range(&self, activation: Activation) -> Range {
        let quantised = |real: f32| {
            let steps = (real / self.scale as f32).round();
            self.zero.saturating_add(steps as i32).clamp(-128, 127)
        };
        let (low, high) = match activation {
            Activation::None => return Range::FULL,
            Activation::Relu => (quantised(0.0), Range::FULL.high),
            Activation::ReluN1To1 => (quantised(-1.0), quantised(1.0)),
            Activation::Relu6 => (quantised(0.0), quantised(6.0)),
        };
        Range { low, high }
    }
}
