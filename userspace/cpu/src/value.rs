//! Tensor values on the host: element type, shape and bytes, with typed views.

use super::KernelError;
use crate::memory;
use bytemuck::Pod;
use ferrite_ir::DType;

#[cfg(target_endian = "big")]
compile_error!("values share the little-endian byte order of model files");

/// Bytes that one value may have: far above any model for these NPUs, far below what a hostile
/// shape could ask for.
const MAX_BYTES: usize = 1 << 31;

/// A Rust type that holds elements of one [`DType`].
pub trait Element: Pod + Send + Sync {
    /// The element type.
    const DTYPE: DType;
}

macro_rules! element {
    ($($t:ty => $d:ident),*) => {$(impl Element for $t { const DTYPE: DType = DType::$d; })*};
}
element!(u8 => U8, i8 => I8, i16 => I16, i32 => I32, i64 => I64, f32 => F32);

/// A tensor's value, in row-major order. Stored in 64-bit words so that every typed view is aligned.
#[derive(Clone, PartialEq)]
pub struct Value {
    dtype: DType,
    shape: Vec<usize>,
    words: Vec<u64>,
}

impl std::fmt::Debug for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Value({:?} {:?})", self.dtype, self.shape)
    }
}

impl Value {
    /// A value of zeros.
    ///
    /// # Errors
    /// [`KernelError::TooLarge`] above 2 GiB, [`KernelError::Memory`] if there is not as much.
    pub fn zeros(dtype: DType, shape: impl Into<Vec<usize>>) -> Result<Value, KernelError> {
        let shape = shape.into();
        let bytes = byte_count(dtype, &shape)?;
        Ok(Value {
            dtype,
            shape,
            words: memory::zeros(bytes.div_ceil(8))?,
        })
    }

    /// A value from its little-endian bytes.
    ///
    /// # Errors
    /// [`KernelError::ByteCount`] if they are too few or too many for the shape.
    pub fn from_bytes(
        dtype: DType,
        shape: impl Into<Vec<usize>>,
        bytes: &[u8],
    ) -> Result<Value, KernelError> {
        let shape = shape.into();
        Value::check(dtype, &shape, bytes.len())?;
        let mut value = Value::zeros(dtype, shape)?;
        value.bytes_mut().copy_from_slice(bytes);
        Ok(value)
    }

    /// Whether a value of this type and shape has `bytes` bytes.
    ///
    /// # Errors
    /// As [`Value::from_bytes`].
    pub fn check(dtype: DType, shape: &[usize], bytes: usize) -> Result<(), KernelError> {
        match byte_count(dtype, shape)? {
            expected if expected == bytes => Ok(()),
            expected => Err(KernelError::ByteCount { bytes, expected }),
        }
    }

    /// A value from its elements.
    ///
    /// # Errors
    /// As [`Value::from_bytes`].
    pub fn from_slice<T: Element>(
        shape: impl Into<Vec<usize>>,
        elements: &[T],
    ) -> Result<Value, KernelError> {
        Value::from_bytes(T::DTYPE, shape, bytemuck::cast_slice(elements))
    }

    /// The same value once more, where `clone` would end the process if there is no memory for it.
    ///
    /// # Errors
    /// [`KernelError::Memory`]
    pub fn try_clone(&self) -> Result<Value, KernelError> {
        Ok(Value {
            dtype: self.dtype,
            shape: self.shape.clone(),
            words: memory::copy(&self.words)?,
        })
    }

    /// Element type.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// Dimensions, outermost first.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Number of elements.
    pub fn elements(&self) -> usize {
        self.shape.iter().product()
    }

    /// Number of bytes.
    pub fn byte_len(&self) -> usize {
        self.elements() * self.dtype.size()
    }

    /// The elements as little-endian bytes.
    pub fn bytes(&self) -> &[u8] {
        &bytemuck::cast_slice(&self.words)[..self.byte_len()]
    }

    /// The elements as little-endian bytes, to be written.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        let len = self.byte_len();
        &mut bytemuck::cast_slice_mut(&mut self.words)[..len]
    }

    /// The elements.
    ///
    /// # Errors
    /// [`KernelError::ElementType`] if they are not of type `T`.
    pub fn view<T: Element>(&self) -> Result<&[T], KernelError> {
        self.expect_type(T::DTYPE)?;
        Ok(bytemuck::cast_slice(self.bytes()))
    }

    /// The elements, to be written.
    ///
    /// # Errors
    /// [`KernelError::ElementType`] if they are not of type `T`.
    pub fn view_mut<T: Element>(&mut self) -> Result<&mut [T], KernelError> {
        self.expect_type(T::DTYPE)?;
        Ok(bytemuck::cast_slice_mut(self.bytes_mut()))
    }

    /// The same elements in another shape.
    ///
    /// # Errors
    /// [`KernelError::Shape`] if the number of elements differs.
    pub fn reshaped(mut self, shape: impl Into<Vec<usize>>) -> Result<Value, KernelError> {
        let shape = shape.into();
        if byte_count(self.dtype, &shape)? != self.byte_len() {
            return Err(KernelError::Shape {
                what: "a reshape must keep the number of elements",
                shapes: vec![self.shape, shape],
            });
        }
        self.shape = shape;
        Ok(self)
    }

    /// The elements of an int32 or int64 value, for shape-like operands.
    ///
    /// # Errors
    /// [`KernelError::ElementType`] for other types.
    pub fn integers(&self) -> Result<Vec<i64>, KernelError> {
        match self.dtype {
            DType::I32 => Ok(self.view::<i32>()?.iter().map(|&v| v.into()).collect()),
            DType::I64 => Ok(self.view::<i64>()?.to_vec()),
            found => Err(KernelError::ElementType {
                what: "an index operand",
                found,
            }),
        }
    }

    fn expect_type(&self, wanted: DType) -> Result<(), KernelError> {
        if self.dtype == wanted {
            return Ok(());
        }
        Err(KernelError::ElementType {
            what: "an operand",
            found: self.dtype,
        })
    }
}

fn byte_count(dtype: DType, shape: &[usize]) -> Result<usize, KernelError> {
    shape
        .iter()
        .try_fold(dtype.size(), |n, &d| n.checked_mul(d))
        .filter(|&n| n <= MAX_BYTES)
        .ok_or_else(|| KernelError::TooLarge {
            shape: shape.to_vec(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn views_share_bytes() {
        let mut v = Value::from_slice::<i32>([2], &[1, -2]).unwrap();
        assert_eq!(v.bytes(), [1, 0, 0, 0, 0xfe, 0xff, 0xff, 0xff]);
        v.view_mut::<i32>().unwrap()[1] = 7;
        assert_eq!(v.view::<i32>().unwrap(), [1, 7]);
        assert!(v.view::<f32>().is_err());
    }

    #[test]
    fn sizes_are_checked() {
        assert!(Value::from_bytes(DType::I16, [3], &[0; 5]).is_err());
        assert!(Value::zeros(DType::F32, [usize::MAX, 2]).is_err());
        assert!(Value::zeros(DType::U8, [1 << 20, 1 << 20]).is_err());
        assert!(
            Value::zeros(DType::U8, [0, 1 << 40])
                .unwrap()
                .bytes()
                .is_empty()
        );
    }
}
