//! NumPy arrays and the runtime's values.

use crate::error::CliError;
use crate::table::shape;
use ferrite_ir::{DType, Tensor};
use ferrite_npy::{Array, ElementType};
use ferrite_runtime::cpu::Value;
use std::path::Path;

/// Reads an `.npy` file.
pub fn read(path: &Path) -> Result<Array, CliError> {
    let bytes = std::fs::read(path).map_err(CliError::io(path))?;
    Array::from_npy(&bytes).map_err(CliError::npy(path))
}

/// The element type of an array that holds values of `dtype`.
pub fn element_type(dtype: DType) -> ElementType {
    match dtype {
        DType::U8 => ElementType::U8,
        DType::I8 => ElementType::I8,
        DType::I16 => ElementType::I16,
        DType::I32 => ElementType::I32,
        DType::I64 => ElementType::I64,
        DType::F16 => ElementType::F16,
        DType::F32 => ElementType::F32,
        DType::Bool => ElementType::Bool,
    }
}

/// A value as an array.
pub fn from_value(value: &Value) -> Array {
    Array {
        shape: value.shape().to_vec(),
        element: element_type(value.dtype()),
        data: value.bytes().to_vec(),
    }
}

/// Dequantised elements; plain ones as they are.
pub fn real_values(tensor: &Tensor, value: &Value) -> Vec<f64> {
    let raw = from_value(value).to_f64();
    match &tensor.quant {
        Some(quant) if quant.is_per_tensor() && !quant.zero_points.is_empty() => {
            let (scale, zero) = (f64::from(quant.scales[0]), f64::from(quant.zero_points[0]));
            raw.into_iter().map(|v| scale * (v - zero)).collect()
        }
        _ => raw,
    }
}

/// An array as a value of `tensor`. Integers of another width are taken if they all fit: archives
/// store wide tensors of small numbers as uint8.
pub fn to_value(array: &Array, tensor: &Tensor) -> Result<Value, String> {
    if array.shape[..] != tensor.shape[..] {
        return Err(format!(
            "tensor `{}` has shape {}, the array {}",
            tensor.name,
            shape(&tensor.shape),
            shape(&array.shape)
        ));
    }
    let wanted = element_type(tensor.dtype);
    let bytes = if array.element == wanted {
        array.data.clone()
    } else {
        widened(array, tensor.dtype).ok_or_else(|| {
            format!(
                "tensor `{}` has elements of type {}, the array {}",
                tensor.name,
                wanted.name(),
                array.element.name()
            )
        })?
    };
    Value::from_bytes(tensor.dtype, tensor.shape.to_vec(), &bytes).map_err(|e| e.to_string())
}

/// The array's integers in a wider integer type.
fn widened(array: &Array, dtype: DType) -> Option<Vec<u8>> {
    use ElementType::{Bool, F16, F32, F64, I8, U8};
    let narrower = array.element.size() < dtype.size();
    if matches!(array.element, Bool | F16 | F32 | F64) || !narrower || dtype == DType::F32 {
        return None;
    }
    // Anything narrower than 64 bits is exact in double precision.
    let values = array.to_f64();
    let bytes = |value: f64| match dtype {
        DType::I16 if matches!(array.element, U8 | I8) => (value as i16).to_le_bytes().to_vec(),
        DType::I32 => (value as i32).to_le_bytes().to_vec(),
        _ => (value as i64).to_le_bytes().to_vec(),
    };
    Some(values.into_iter().flat_map(bytes).collect())
}

/// How far two arrays are apart.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Difference {
    /// Number of elements.
    pub elements: usize,
    /// Elements that are equal. Not-a-numbers are equal to each other.
    pub exact: usize,
    /// Largest distance, in the elements' own steps. A not-a-number (or an infinity) is as far from
    /// anything else as single precision reaches.
    pub max_abs_diff: f64,
    /// Sum of the distances.
    pub sum_abs_diff: f64,
}

impl Difference {
    /// Mean distance; 0 if there are no elements.
    pub fn mean_abs_diff(&self) -> f64 {
        match self.elements {
            0 => 0.0,
            n => self.sum_abs_diff / n as f64,
        }
    }

    /// Fraction of equal elements; 1 if there are none.
    pub fn exact_fraction(&self) -> f64 {
        match self.elements {
            0 => 1.0,
            n => self.exact as f64 / n as f64,
        }
    }
}

/// Compares arrays of the same shape; their element types may differ.
pub fn difference(found: &Array, expected: &Array) -> Result<Difference, String> {
    if found.shape != expected.shape {
        return Err(format!(
            "the output has shape {}, the expected array {}",
            shape(&found.shape),
            shape(&expected.shape)
        ));
    }
    let mut difference = Difference {
        elements: found.elements(),
        exact: 0,
        max_abs_diff: 0.0,
        sum_abs_diff: 0.0,
    };
    for (a, b) in found.to_f64().into_iter().zip(expected.to_f64()) {
        if a == b || a.is_nan() && b.is_nan() {
            difference.exact += 1;
        } else {
            let distance = (a - b).abs();
            let far = f64::from(f32::MAX);
            let distance = if distance.is_finite() { distance } else { far };
            difference.max_abs_diff = difference.max_abs_diff.max(distance);
            difference.sum_abs_diff += distance;
        }
    }
    Ok(difference)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(dtype: DType, shape: &[usize]) -> Tensor {
        Tensor {
            name: "t".to_owned(),
            shape: shape.into(),
            dtype,
            quant: None,
            data: None,
            variable: false,
        }
    }

    #[test]
    fn small_integers_widen_but_nothing_else_converts() {
        let bytes = Array::new(&[3], &[1u8, 2, 255]);
        let value = to_value(&bytes, &tensor(DType::I64, &[3])).unwrap();
        assert_eq!(value.view::<i64>().unwrap(), [1, 2, 255]);
        let value = to_value(&bytes, &tensor(DType::I16, &[3])).unwrap();
        assert_eq!(value.view::<i16>().unwrap(), [1, 2, 255]);
        let error = to_value(&bytes, &tensor(DType::I8, &[3])).unwrap_err();
        assert!(error.contains("int8") && error.contains("uint8"), "{error}");
        assert!(to_value(&bytes, &tensor(DType::F32, &[3])).is_err());
        let error = to_value(&bytes, &tensor(DType::U8, &[1, 3])).unwrap_err();
        assert!(error.contains("1x3"), "{error}");
    }

    #[test]
    fn not_a_numbers_are_counted_once() {
        let found = Array::new(&[4], &[1.0f32, f32::NAN, f32::NAN, -0.0]);
        let expected = Array::new(&[4], &[1.5f32, f32::NAN, 2.0, 0.0]);
        let d = difference(&found, &expected).unwrap();
        assert_eq!((d.elements, d.exact), (4, 2));
        assert_eq!(d.max_abs_diff, f64::from(f32::MAX));
        let d = difference(&Array::new(&[2], &[3u8, 9]), &Array::new(&[2], &[5i64, 9])).unwrap();
        assert_eq!((d.exact_fraction(), d.max_abs_diff), (0.5, 2.0));
        assert!(difference(&found, &Array::new(&[2, 2], &[0u8; 4])).is_err());
    }
}
