//! The range that a fused activation leaves of a quantised output.

use crate::op::Activation;
use crate::tensor::{DType, Tensor};

impl Activation {
    /// Bounds in real numbers, `None` where there is none.
    pub const fn bounds(self) -> (Option<f32>, Option<f32>) {
        match self {
            Activation::None => (None, None),
            Activation::Relu => (Some(0.0), None),
            Activation::ReluN1To1 => (Some(-1.0), Some(1.0)),
            Activation::Relu6 => (Some(0.0), Some(6.0)),
        }
    }

    /// Smallest and largest stored value of an output with this activation, as TFLite's
    /// `CalculateActivationRangeQuantized` has it: the bound divided by the scale in single
    /// precision, rounded half away from zero, plus the zero point, inside the type's range.
    ///
    /// `None` for types without a range that fits 32 bits.
    pub fn quantized_range(self, dtype: DType, scale: f32, zero_point: i32) -> Option<(i32, i32)> {
        let (low, high) = dtype.range()?;
        let (low, high) = (i32::try_from(low).ok()?, i32::try_from(high).ok()?);
        // Saturates where TFLite refuses the model; the type's range bounds it all the same.
        let stored = |real: f32| ((real / scale).round() as i32).saturating_add(zero_point);
        let (lower, upper) = self.bounds();
        Some((
            lower.map_or(low, |real| stored(real).max(low)),
            upper.map_or(high, |real| stored(real).min(high)),
        ))
    }
}

impl Tensor {
    /// As [`Activation::quantized_range`], for an output tensor; `None` if it is not per-tensor
    /// quantised.
    pub fn activation_range(&self, activation: Activation) -> Option<(i32, i32)> {
        let (scale, zero_point) = self.scale_zero_point()?;
        activation.quantized_range(self.dtype, scale, zero_point)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        let range = |a: Activation, d, s, z| a.quantized_range(d, s, z).unwrap();
        assert_eq!(range(Activation::None, DType::I8, 0.1, 3), (-128, 127));
        assert_eq!(range(Activation::Relu, DType::U8, 0.1, 12), (12, 255));
        assert_eq!(range(Activation::Relu6, DType::U8, 0.1, 12), (12, 72));
        assert_eq!(
            range(Activation::Relu6, DType::I8, 6.0 / 255.0, -128),
            (-128, 127)
        );
        assert_eq!(range(Activation::ReluN1To1, DType::I8, 0.4, 0), (-3, 3));
        assert_eq!(range(Activation::Relu6, DType::I16, 1e-9, 0), (0, 32767));
        assert_eq!(Activation::Relu.quantized_range(DType::F32, 1.0, 0), None);
    }
}
