//! A checked FlatBuffer reader: every offset, length and vtable is tested against the file before
//! it is followed. Nothing is assumed about alignment, and nothing is allocated.
//!
//! Layout (FlatBuffers "internals" document): a table begins with a signed 32-bit distance back to
//! its vtable; the vtable is `u16 vtable bytes, u16 table bytes, u16 field offsets...`, where 0 is
//! an absent field; vectors and strings are a `u32` count followed by the elements; a reference is
//! a `u32` distance forward from where it stands.

use std::marker::PhantomData;

/// A field of a table: its name for messages and its index in the vtable.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Name in the schema.
    pub name: &'static str,
    /// Index in the schema, in declaration order (a union takes two).
    pub index: u16,
}

impl Field {
    /// The field of this name and index.
    pub const fn new(name: &'static str, index: u16) -> Self {
        Field { name, index }
    }
}

/// What is wrong with the bytes of a FlatBuffer, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("table {table} at byte {at}, {field}: {kind}")]
pub struct Fault {
    /// Schema name of the table being read.
    pub table: &'static str,
    /// File position of that table.
    pub at: usize,
    /// Field being read, or the part of the table's header.
    pub field: &'static str,
    /// What is wrong.
    pub kind: FaultKind,
}

/// Kinds of structural damage.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum FaultKind {
    #[error("{bytes} bytes at {start} are outside the file of {file} bytes")]
    OutOfFile { start: u64, bytes: u64, file: usize },
    #[error("vtable of {bytes} bytes is not an even number of at least 4")]
    VtableSize { bytes: u16 },
    #[error("table size of {bytes} bytes is less than its own header")]
    TableSize { bytes: u16 },
    #[error("field offset {offset} with {bytes} bytes is outside the table of {table} bytes")]
    FieldOutside {
        offset: u16,
        bytes: usize,
        table: u16,
    },
    #[error("required field is absent")]
    Absent,
}

/// A scalar that can stand in a table or vector, little-endian.
pub trait Scalar: Copy {
    /// Bytes it takes.
    const BYTES: usize;
    /// Decodes from exactly [`Self::BYTES`] bytes.
    fn decode(bytes: &[u8]) -> Self;
}

macro_rules! scalar {
    ($($t:ty),*) => {$(
        impl Scalar for $t {
            const BYTES: usize = size_of::<$t>();
            fn decode(bytes: &[u8]) -> Self {
                let mut raw = [0; size_of::<$t>()];
                raw.copy_from_slice(bytes);
                <$t>::from_le_bytes(raw)
            }
        }
    )*};
}
scalar!(u8, i8, u16, u32, i32, u64, i64, f32);

/// `bytes` bytes at `start`, or the fault's kind.
fn slice(file: &[u8], start: u64, bytes: u64) -> Result<&[u8], FaultKind> {
    let out = FaultKind::OutOfFile {
        start,
        bytes,
        file: file.len(),
    };
    let end = match start.checked_add(bytes) {
        Some(end) if end <= file.len() as u64 => end,
        _ => return Err(out),
    };
    Ok(&file[start as usize..end as usize])
}

fn scalar<T: Scalar>(file: &[u8], start: u64) -> Result<T, FaultKind> {
    slice(file, start, T::BYTES as u64).map(T::decode)
}

/// A table whose header has been checked.
#[derive(Clone, Copy, Debug)]
pub struct Table<'a> {
    file: &'a [u8],
    name: &'static str,
    at: usize,
    /// The vtable's field offsets.
    offsets: &'a [u8],
    /// Bytes of the table itself, its header included.
    size: u16,
}

impl<'a> Table<'a> {
    /// The root table of a file.
    ///
    /// # Errors
    /// If the root reference or the table's header points outside the file.
    pub fn root(file: &'a [u8], name: &'static str) -> Result<Self, Fault> {
        let at = scalar::<u32>(file, 0).map_err(|kind| Fault {
            table: name,
            at: 0,
            field: "root reference",
            kind,
        })?;
        Self::at(file, u64::from(at), name)
    }

    fn at(file: &'a [u8], at: u64, name: &'static str) -> Result<Self, Fault> {
        let fault = |field| {
            move |kind| Fault {
                table: name,
                at: at as usize,
                field,
                kind,
            }
        };
        let back = scalar::<i32>(file, at).map_err(fault("vtable reference"))?;
        // A position before the file wraps to a huge one, which the bounds check refuses.
        let vtable = (at as i64 - i64::from(back)) as u64;
        let vtable_bytes = scalar::<u16>(file, vtable).map_err(fault("vtable"))?;
        if vtable_bytes < 4 || vtable_bytes % 2 != 0 {
            let bytes = vtable_bytes;
            return Err(fault("vtable")(FaultKind::VtableSize { bytes }));
        }
        let all = slice(file, vtable, u64::from(vtable_bytes)).map_err(fault("vtable"))?;
        let size = u16::decode(&all[2..4]);
        if size < 4 {
            return Err(fault("vtable")(FaultKind::TableSize { bytes: size }));
        }
        slice(file, at, u64::from(size)).map_err(fault("table body"))?;
        Ok(Table {
            file,
            name,
            at: at as usize,
            offsets: &all[4..],
            size,
        })
    }

    /// File position of the table.
    pub fn position(&self) -> usize {
        self.at
    }

    /// A fault of one of this table's fields.
    pub fn fault(&self, field: Field, kind: FaultKind) -> Fault {
        Fault {
            table: self.name,
            at: self.at,
            field: field.name,
            kind,
        }
    }

    /// File position of a field's `bytes` bytes, `None` if the field is absent.
    fn field(&self, field: Field, bytes: usize) -> Result<Option<u64>, Fault> {
        let entry = usize::from(field.index) * 2;
        let Some(entry) = self.offsets.get(entry..entry + 2) else {
            return Ok(None);
        };
        let offset = u16::decode(entry);
        if offset == 0 {
            return Ok(None);
        }
        if offset < 4 || usize::from(offset) + bytes > usize::from(self.size) {
            let table = self.size;
            return Err(self.fault(
                field,
                FaultKind::FieldOutside {
                    offset,
                    bytes,
                    table,
                },
            ));
        }
        Ok(Some(self.at as u64 + u64::from(offset)))
    }

    /// Whether the field is present.
    pub fn has(&self, field: Field) -> Result<bool, Fault> {
        Ok(self.field(field, 1)?.is_some())
    }

    /// A scalar field, or `default` if it is absent.
    pub fn get<T: Scalar>(&self, field: Field, default: T) -> Result<T, Fault> {
        match self.field(field, T::BYTES)? {
            None => Ok(default),
            Some(at) => scalar(self.file, at).map_err(|kind| self.fault(field, kind)),
        }
    }

    /// A boolean field: any byte but 0 is true.
    pub fn flag(&self, field: Field) -> Result<bool, Fault> {
        Ok(self.get::<u8>(field, 0)? != 0)
    }

    /// File position that a reference field points at.
    fn target(&self, field: Field) -> Result<Option<u64>, Fault> {
        let Some(at) = self.field(field, 4)? else {
            return Ok(None);
        };
        let distance: u32 = scalar(self.file, at).map_err(|kind| self.fault(field, kind))?;
        Ok(Some(at + u64::from(distance)))
    }

    /// A table field, `None` if absent.
    pub fn table(&self, field: Field, name: &'static str) -> Result<Option<Table<'a>>, Fault> {
        match self.target(field)? {
            None => Ok(None),
            Some(at) => Table::at(self.file, at, name).map(Some),
        }
    }

    /// A vector of scalars; an absent one is empty.
    pub fn vector<T: Scalar>(&self, field: Field) -> Result<Vector<'a, T>, Fault> {
        let bytes = match self.target(field)? {
            None => &[],
            Some(at) => self.elements(field, at, T::BYTES)?.1,
        };
        Ok(Vector {
            bytes,
            element: PhantomData,
        })
    }

    /// A vector of bytes; an absent one is empty.
    pub fn bytes(&self, field: Field) -> Result<&'a [u8], Fault> {
        Ok(self.vector::<u8>(field)?.bytes)
    }

    /// A string; an absent one is empty. What is not UTF-8 is replaced, since names are for people.
    pub fn string(&self, field: Field) -> Result<std::borrow::Cow<'a, str>, Fault> {
        Ok(String::from_utf8_lossy(self.bytes(field)?))
    }

    /// A vector of tables; an absent one is empty.
    pub fn tables(&self, field: Field, name: &'static str) -> Result<Tables<'a>, Fault> {
        let (start, references) = match self.target(field)? {
            None => (0, &[][..]),
            Some(at) => self.elements(field, at, 4)?,
        };
        Ok(Tables {
            file: self.file,
            name,
            start,
            references,
        })
    }

    /// Position and bytes of a vector's elements.
    fn elements(&self, field: Field, at: u64, size: usize) -> Result<(u64, &'a [u8]), Fault> {
        let fault = |kind| self.fault(field, kind);
        let count: u32 = scalar(self.file, at).map_err(fault)?;
        let bytes = u64::from(count) * size as u64;
        let elements = slice(self.file, at + 4, bytes).map_err(fault)?;
        Ok((at + 4, elements))
    }
}

/// A vector of scalars inside the file.
#[derive(Clone, Copy, Debug)]
pub struct Vector<'a, T> {
    bytes: &'a [u8],
    element: PhantomData<T>,
}

impl<'a, T: Scalar> Vector<'a, T> {
    /// Number of elements.
    pub fn len(&self) -> usize {
        self.bytes.len() / T::BYTES
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The elements in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = T> + use<'a, T> {
        self.bytes.chunks_exact(T::BYTES).map(T::decode)
    }
}

/// A vector of tables inside the file; each is checked when it is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Tables<'a> {
    file: &'a [u8],
    name: &'static str,
    start: u64,
    references: &'a [u8],
}

impl<'a> Tables<'a> {
    /// Number of tables.
    pub fn len(&self) -> usize {
        self.references.len() / 4
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.references.is_empty()
    }

    /// The table at `index`, `None` past the end.
    pub fn get(&self, index: usize) -> Option<Result<Table<'a>, Fault>> {
        let from = index.checked_mul(4)?;
        let reference = self.references.get(from..from.checked_add(4)?)?;
        let at = self.start + from as u64 + u64::from(u32::decode(reference));
        Some(Table::at(self.file, at, self.name))
    }

    /// All tables in order.
    pub fn iter(self) -> impl Iterator<Item = Result<Table<'a>, Fault>> {
        (0..self.len()).filter_map(move |i| self.get(i))
    }
}
