//! Quantisation parameters of a tensor.

use super::budget::Budget;
use super::error::Stop;
use super::{TensorFault, schema};
use crate::flatbuffer::Table;
use crate::tensor::{DType, Quant};

/// Reads a tensor's quantisation; `None` for tensors without scales and for types that have none.
pub(super) fn read(
    tensor: &Table<'_>,
    dtype: DType,
    shape: &[usize],
    budget: &mut Budget,
) -> Result<Option<Quant>, Stop> {
    let Some(range) = zero_point_range(dtype) else {
        return Ok(None);
    };
    let Some(table) = tensor.table(schema::tensor::QUANTIZATION, "QuantizationParameters")? else {
        return Ok(None);
    };
    if table.get(schema::quantization::DETAILS_TYPE, 0u8)? != 0 {
        let what = "custom quantisation";
        return Err(TensorFault::Unsupported { what }.into());
    }
    let scales = table.vector::<f32>(schema::quantization::SCALE)?;
    if scales.is_empty() {
        return Ok(None);
    }
    budget
        .charge(scales.len() * (size_of::<f32>() + size_of::<i32>()))
        .map_err(Stop::Error)?;
    let axis = axis(&table, scales.len(), shape)?;
    let scales = check_scales(scales.iter(), dtype)?;

    let stored = table.vector::<i64>(schema::quantization::ZERO_POINT)?;
    let mut zero_points = Vec::with_capacity(scales.len());
    for (index, zero_point) in stored.iter().take(scales.len()).enumerate() {
        if !range.contains(&zero_point) {
            return Err(TensorFault::ZeroPoint { index, zero_point }.into());
        }
        zero_points.push(zero_point as i32);
    }
    match stored.len() {
        // Writers of symmetric weights leave them out or give one for all channels.
        0 => zero_points.resize(scales.len(), 0),
        1 => zero_points.resize(scales.len(), zero_points[0]),
        n if n == scales.len() => {}
        n => {
            return Err(TensorFault::ZeroPointCount {
                zero_points: n,
                scales: scales.len(),
            }
            .into());
        }
    }
    Ok(Some(Quant {
        scales: scales.into(),
        zero_points: zero_points.into(),
        axis,
    }))
}

fn zero_point_range(dtype: DType) -> Option<std::ops::RangeInclusive<i64>> {
    let (low, high) = dtype.range().filter(|_| dtype != DType::I64)?;
    Some(low..=high)
}

/// The quantised dimension, 0 for per-tensor quantisation.
fn axis(table: &Table<'_>, scales: usize, shape: &[usize]) -> Result<usize, Stop> {
    if scales == 1 {
        return Ok(0);
    }
    let stored = table.get(schema::quantization::QUANTIZED_DIMENSION, 0i32)?;
    let known = usize::try_from(stored)
        .ok()
        .and_then(|axis| Some((axis, *shape.get(axis)?)));
    let Some((axis, expected)) = known else {
        return Err(TensorFault::QuantAxis {
            axis: stored,
            rank: shape.len(),
        }
        .into());
    };
    if scales != expected {
        return Err(TensorFault::ScaleCount {
            scales,
            expected,
            axis,
        }
        .into());
    }
    Ok(axis)
}

fn check_scales(scales: impl Iterator<Item = f32>, dtype: DType) -> Result<Vec<f32>, TensorFault> {
    // The scale of a bias is the product of two others and may underflow; nothing computes with it.
    let lowest_ok = |scale: f32| match dtype {
        DType::I32 => scale >= 0.0,
        _ => scale > 0.0,
    };
    let check = |(index, scale): (usize, f32)| {
        if scale.is_finite() && lowest_ok(scale) {
            Ok(scale)
        } else {
            Err(TensorFault::Scale { index, scale })
        }
    };
    scales.enumerate().map(check).collect()
}
