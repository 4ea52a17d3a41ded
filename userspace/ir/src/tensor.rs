//! Tensors: shape, element type, quantisation, and the bytes of constants.

use crate::bytes::Bytes;
use serde::{Deserialize, Serialize};
use smallvec::{SmallVec, smallvec};
use std::fmt;

/// Element type, as TFLite names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
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
    /// IEEE half precision.
    F16,
    /// IEEE single precision.
    F32,
    /// One byte, 0 or 1.
    Bool,
}

impl DType {
    /// Bytes of one element.
    #[inline]
    pub const fn size(self) -> usize {
        match self {
            DType::U8 | DType::I8 | DType::Bool => 1,
            DType::I16 | DType::F16 => 2,
            DType::I32 | DType::F32 => 4,
            DType::I64 => 8,
        }
    }

    /// TFLite's name in lower case, as NumPy writes it.
    pub const fn name(self) -> &'static str {
        match self {
            DType::U8 => "uint8",
            DType::I8 => "int8",
            DType::I16 => "int16",
            DType::I32 => "int32",
            DType::I64 => "int64",
            DType::F16 => "float16",
            DType::F32 => "float32",
            DType::Bool => "bool",
        }
    }

    /// The type of a name as [`Self::name`] gives it.
    pub fn from_name(name: &str) -> Option<Self> {
        const ALL: [DType; 8] = [
            DType::U8,
            DType::I8,
            DType::I16,
            DType::I32,
            DType::I64,
            DType::F16,
            DType::F32,
            DType::Bool,
        ];
        ALL.into_iter().find(|dtype| dtype.name() == name)
    }

    /// Range of a stored integer of this type; `None` for floats and truth values.
    #[inline]
    pub const fn range(self) -> Option<(i64, i64)> {
        match self {
            DType::U8 => Some((0, 255)),
            DType::I8 => Some((-128, 127)),
            DType::I16 => Some((i16::MIN as i64, i16::MAX as i64)),
            DType::I32 => Some((i32::MIN as i64, i32::MAX as i64)),
            DType::I64 => Some((i64::MIN, i64::MAX)),
            DType::F16 | DType::F32 | DType::Bool => None,
        }
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Affine quantisation: real = scale * (stored - zero point).
#[derive(Clone, Debug, PartialEq)]
pub struct Quant {
    /// One scale for the tensor, or one for each index along `axis`.
    pub scales: SmallVec<[f32; 1]>,
    /// As many zero points as scales.
    pub zero_points: SmallVec<[i32; 1]>,
    /// The quantised dimension when there are several scales.
    pub axis: usize,
}

impl Quant {
    /// Per-tensor quantisation.
    pub fn per_tensor(scale: f32, zero_point: i32) -> Self {
        Quant {
            scales: smallvec![scale],
            zero_points: smallvec![zero_point],
            axis: 0,
        }
    }

    /// Whether one scale holds for the whole tensor.
    #[inline]
    pub fn is_per_tensor(&self) -> bool {
        self.scales.len() == 1
    }
}

/// Dimensions. Few have more than those of a feature map, which need no memory of their own.
pub type Shape = SmallVec<[usize; 4]>;

/// A value of the graph. Activations have no `data`; constants share theirs with the model file.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// Name in the model, not necessarily unique.
    pub name: String,
    /// Dimensions, outermost first (NHWC for feature maps). Empty for a scalar.
    pub shape: Shape,
    /// Element type.
    pub dtype: DType,
    /// Quantisation, absent for plain integers and floats.
    pub quant: Option<Quant>,
    /// Little-endian bytes of a constant, `shape.product() * dtype.size()` of them.
    pub data: Option<Bytes>,
    /// Keeps its value from one inference to the next, beginning with zeros.
    pub variable: bool,
}

impl Tensor {
    /// Number of elements.
    #[inline]
    pub fn elements(&self) -> usize {
        self.shape.iter().product()
    }

    /// Number of bytes.
    #[inline]
    pub fn bytes(&self) -> usize {
        self.elements() * self.dtype.size()
    }

    /// The elements of an int32 or int64 constant, as operands that are lists of sizes, axes or
    /// indices hold them. `None` if the tensor is not such a constant or a value needs 64 bits.
    pub fn as_i32(&self) -> Option<Vec<i32>> {
        self.first_i32(usize::MAX)
    }

    /// As [`Self::as_i32`], no more than `limit` elements.
    pub fn first_i32(&self, limit: usize) -> Option<Vec<i32>> {
        let data = self.data.as_deref()?;
        match self.dtype {
            DType::I32 => {
                let elements = data.as_chunks().0.iter().take(limit);
                Some(elements.map(|&b| i32::from_le_bytes(b)).collect())
            }
            DType::I64 => {
                let elements = data.as_chunks().0.iter().take(limit);
                let wide = elements.map(|&b| i64::from_le_bytes(b));
                wide.map(|v| i32::try_from(v).ok()).collect()
            }
            _ => None,
        }
    }

    /// The elements of a float32 constant.
    pub fn as_f32(&self) -> Option<Vec<f32>> {
        let data = self.data.as_deref()?;
        let floats = data.as_chunks().0.iter().map(|&b| f32::from_le_bytes(b));
        (self.dtype == DType::F32).then(|| floats.collect())
    }

    /// Scale and zero point of a per-tensor quantised tensor.
    pub fn scale_zero_point(&self) -> Option<(f32, i32)> {
        match self.quant.as_ref()? {
            q if q.is_per_tensor() => Some((*q.scales.first()?, *q.zero_points.first()?)),
            _ => None,
        }
    }

    /// Whether the value is known at compile time.
    #[inline]
    pub fn is_constant(&self) -> bool {
        self.data.is_some()
    }
}
