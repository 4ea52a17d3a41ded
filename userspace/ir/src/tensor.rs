//! Tensors: shape, element type, quantisation, and the bytes of constants.

use std::sync::Arc;

/// Element type, as TFLite names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DType {
    /// Unsigned 8 bit.
    U8,
    /// Signed 8 bit.
    I8,
    /// Signed 16 bit.
    I16,
    /// Signed 32 bit.
    I32,
    /// Signed 64 bit.
    I64,
    /// IEEE single precision.
    F32,
    /// One byte, 0 or 1.
    Bool,
}

impl DType {
    /// Bytes of one element.
    pub const fn size(self) -> usize {
        match self {
            DType::U8 | DType::I8 | DType::Bool => 1,
            DType::I16 => 2,
            DType::I32 | DType::F32 => 4,
            DType::I64 => 8,
        }
    }
}

/// Affine quantisation: real = scale * (stored - zero point).
#[derive(Clone, Debug, PartialEq)]
pub struct Quant {
    /// One scale for the tensor, or one for each index along `axis`.
    pub scales: Vec<f32>,
    /// As many zero points as scales.
    pub zero_points: Vec<i32>,
    /// The quantised dimension when there are several scales.
    pub axis: usize,
}

impl Quant {
    /// Per-tensor quantisation.
    pub fn per_tensor(scale: f32, zero_point: i32) -> Self {
        Quant {
            scales: vec![scale],
            zero_points: vec![zero_point],
            axis: 0,
        }
    }

    /// Whether one scale holds for the whole tensor.
    pub fn is_per_tensor(&self) -> bool {
        self.scales.len() == 1
    }
}

/// A value of the graph. Activations have no `data`; constants share theirs with the model file.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// Name in the model, not necessarily unique.
    pub name: String,
    /// Dimensions, outermost first (NHWC for feature maps). Empty for a scalar.
    pub shape: Vec<usize>,
    /// Element type.
    pub dtype: DType,
    /// Quantisation, absent for plain integers and floats.
    pub quant: Option<Quant>,
    /// Little-endian bytes of a constant, `shape.product() * dtype.size()` of them.
    pub data: Option<Arc<[u8]>>,
}

impl Tensor {
    /// Number of elements.
    pub fn elements(&self) -> usize {
        self.shape.iter().product()
    }

    /// Number of bytes.
    pub fn bytes(&self) -> usize {
        self.elements() * self.dtype.size()
    }

    /// Whether the value is known at compile time.
    pub fn is_constant(&self) -> bool {
        self.data.is_some()
    }
}
