//! An array and the element types that it can have.

/// Element type of an array.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum ElementType {
    Bool,
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    U64,
    I64,
    F16,
    F32,
    F64,
}

impl ElementType {
    const ALL: [(ElementType, &'static str, usize, &'static str); 12] = [
        (ElementType::Bool, "b1", 1, "bool"),
        (ElementType::U8, "u1", 1, "uint8"),
        (ElementType::I8, "i1", 1, "int8"),
        (ElementType::U16, "u2", 2, "uint16"),
        (ElementType::I16, "i2", 2, "int16"),
        (ElementType::U32, "u4", 4, "uint32"),
        (ElementType::I32, "i4", 4, "int32"),
        (ElementType::U64, "u8", 8, "uint64"),
        (ElementType::I64, "i8", 8, "int64"),
        (ElementType::F16, "f2", 2, "float16"),
        (ElementType::F32, "f4", 4, "float32"),
        (ElementType::F64, "f8", 8, "float64"),
    ];

    fn row(self) -> (ElementType, &'static str, usize, &'static str) {
        Self::ALL[self as usize]
    }

    /// Bytes of one element.
    pub fn size(self) -> usize {
        self.row().2
    }

    /// NumPy's name, for example `uint8`.
    pub fn name(self) -> &'static str {
        self.row().3
    }

    /// Kind and size as a type string has them, for example `u1`.
    pub(crate) fn code(self) -> &'static str {
        self.row().1
    }

    /// The type of a code as in [`Self::code`].
    pub(crate) fn from_code(code: &str) -> Option<Self> {
        let row = Self::ALL.iter().find(|row| row.1 == code)?;
        Some(row.0)
    }
}

/// A Rust type that is the element type of arrays.
pub trait Element: Copy {
    /// Its element type.
    const TYPE: ElementType;
    /// Appends the little-endian bytes.
    fn put(self, bytes: &mut Vec<u8>);
    /// From exactly as many bytes as the type has.
    fn take(bytes: &[u8]) -> Self;
}

macro_rules! element {
    ($($t:ident $ty:ident),*) => {$(
        impl Element for $t {
            const TYPE: ElementType = ElementType::$ty;
            fn put(self, bytes: &mut Vec<u8>) {
                bytes.extend_from_slice(&self.to_le_bytes());
            }
            fn take(bytes: &[u8]) -> Self {
                let mut raw = [0; size_of::<$t>()];
                raw.copy_from_slice(bytes);
                $t::from_le_bytes(raw)
            }
        }
    )*};
}
element!(u8 U8, i8 I8, u16 U16, i16 I16, u32 U32, i32 I32, u64 U64, i64 I64, f32 F32, f64 F64);

/// An array in C order.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    /// Dimensions, outermost first; empty for a scalar.
    pub shape: Vec<usize>,
    /// Element type.
    pub element: ElementType,
    /// Little-endian elements, `shape.product() * element.size()` bytes.
    pub data: Vec<u8>,
}

impl Array {
    /// An array of `values`.
    ///
    /// # Panics
    /// If there are not as many values as the shape says.
    pub fn new<T: Element>(shape: &[usize], values: &[T]) -> Self {
        assert_eq!(shape.iter().product::<usize>(), values.len(), "{shape:?}");
        let mut data = Vec::with_capacity(values.len() * T::TYPE.size());
        for &value in values {
            value.put(&mut data);
        }
        Array {
            shape: shape.to_vec(),
            element: T::TYPE,
            data,
        }
    }

    /// Number of elements.
    pub fn elements(&self) -> usize {
        self.shape.iter().product()
    }

    /// The elements, `None` if they are of another type.
    pub fn values<T: Element>(&self) -> Option<Vec<T>> {
        (self.element == T::TYPE).then(|| {
            let chunks = self.data.chunks_exact(T::TYPE.size());
            chunks.map(T::take).collect()
        })
    }

    /// The elements converted to double precision, whatever their type. (int64 beyond 2^53 is
    /// rounded.)
    pub fn to_f64(&self) -> Vec<f64> {
        let convert: fn(&[u8]) -> f64 = match self.element {
            ElementType::Bool | ElementType::U8 => |b| f64::from(b[0]),
            ElementType::I8 => |b| f64::from(b[0] as i8),
            ElementType::U16 => |b| f64::from(u16::take(b)),
            ElementType::I16 => |b| f64::from(i16::take(b)),
            ElementType::U32 => |b| f64::from(u32::take(b)),
            ElementType::I32 => |b| f64::from(i32::take(b)),
            ElementType::U64 => |b| u64::take(b) as f64,
            ElementType::I64 => |b| i64::take(b) as f64,
            ElementType::F16 => |b| half_to_f64(u16::take(b)),
            ElementType::F32 => |b| f64::from(f32::take(b)),
            ElementType::F64 => f64::take,
        };
        self.data
            .chunks_exact(self.element.size())
            .map(convert)
            .collect()
    }
}

/// IEEE half precision, widened.
fn half_to_f64(bits: u16) -> f64 {
    let sign = if bits >> 15 == 0 { 1.0 } else { -1.0 };
    let fraction = f64::from(bits & 0x3ff);
    sign * match bits >> 10 & 0x1f {
        0 => fraction * 2f64.powi(-24),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        exponent => (1024.0 + fraction) * 2f64.powi(i32::from(exponent) - 25),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_widen() {
        let cases = [
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x0001, 2f64.powi(-24)),
            (0x7bff, 65504.0),
            (0x7c00, f64::INFINITY),
        ];
        for (bits, value) in cases {
            assert_eq!(half_to_f64(bits), value);
        }
        assert!(half_to_f64(0x7e00).is_nan());
    }

    #[test]
    fn types_are_in_table_order() {
        for row in ElementType::ALL {
            assert_eq!(row.0.row(), row);
            assert_eq!(ElementType::from_code(row.1), Some(row.0));
        }
    }
}
