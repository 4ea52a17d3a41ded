//! A checked reader for the one FlexBuffer form that TFLite's custom operators use for their
//! options: a map from names to scalars.
//!
//! Layout (FlexBuffers "internals" document): the last byte is the width of the root value, the
//! one before it the root's packed type (type in the upper six bits, width in the lower two). A
//! reference is a distance back from where it stands. A map's values are preceded by their count,
//! by the width of its keys and by a reference to them, and followed by one packed type each.

/// What is wrong with a FlexBuffer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum Fault {
    #[error("{bytes} bytes at {start} are outside the {len} bytes of the options")]
    OutOfBuffer {
        start: usize,
        bytes: usize,
        len: usize,
    },
    #[error("a reference at {at} goes back {distance} bytes, before the start")]
    BeforeStart { at: usize, distance: u64 },
    #[error("the root has type {found}, not a map (9)")]
    NotAMap { found: u8 },
    #[error("width of {width} bytes is not 1, 2, 4 or 8")]
    Width { width: u64 },
    #[error("value of \"{key}\" has type {found}, not a number or a truth value")]
    NotAScalar { key: String, found: u8 },
}

/// A scalar value.
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(missing_docs)]
pub enum Value {
    Int(i64),
    Uint(u64),
    Float(f64),
    Bool(bool),
}

impl Value {
    /// As an integer; a float is cut off towards zero, as TFLite's reader does.
    pub fn as_i64(self) -> i64 {
        match self {
            Value::Int(v) => v,
            Value::Uint(v) => i64::try_from(v).unwrap_or(i64::MAX),
            Value::Float(v) => v as i64,
            Value::Bool(v) => i64::from(v),
        }
    }

    /// As single precision.
    pub fn as_f32(self) -> f32 {
        match self {
            Value::Int(v) => v as f32,
            Value::Uint(v) => v as f32,
            Value::Float(v) => v as f32,
            Value::Bool(v) => f32::from(u8::from(v)),
        }
    }

    /// As a truth value.
    pub fn as_bool(self) -> bool {
        self.as_i64() != 0
    }
}

const TYPE_INT: u8 = 1;
const TYPE_UINT: u8 = 2;
const TYPE_FLOAT: u8 = 3;
const TYPE_INDIRECT_INT: u8 = 6;
const TYPE_INDIRECT_UINT: u8 = 7;
const TYPE_INDIRECT_FLOAT: u8 = 8;
const TYPE_MAP: u8 = 9;
const TYPE_BOOL: u8 = 26;

/// The root map of a buffer.
#[derive(Clone, Copy, Debug)]
pub struct Map<'a> {
    buffer: &'a [u8],
    /// Position of the first value.
    values: usize,
    width: usize,
    /// Position of the first key reference.
    keys: usize,
    key_width: usize,
    count: usize,
}

impl<'a> Map<'a> {
    /// Reads the root of a buffer, which has to be a map.
    ///
    /// # Errors
    /// If the buffer is cut or its root is something else.
    pub fn root(buffer: &'a [u8]) -> Result<Self, Fault> {
        let tail = buffer.len().checked_sub(2);
        let [packed, root_width] = match tail.map(|t| &buffer[t..]) {
            Some(&[packed, width]) => [packed, width],
            _ => {
                return Err(Fault::OutOfBuffer {
                    start: 0,
                    bytes: 2,
                    len: buffer.len(),
                });
            }
        };
        if packed >> 2 != TYPE_MAP {
            return Err(Fault::NotAMap { found: packed >> 2 });
        }
        let root_width = width(u64::from(root_width))?;
        let at = (buffer.len() - 2)
            .checked_sub(root_width)
            .ok_or(Fault::OutOfBuffer {
                start: 0,
                bytes: root_width + 2,
                len: buffer.len(),
            })?;
        let values = follow(buffer, at, root_width)?;
        let width = 1 << (packed & 3);
        let before = |words: usize| {
            values.checked_sub(words * width).ok_or(Fault::BeforeStart {
                at: values,
                distance: (words * width) as u64,
            })
        };
        let count = unsigned(buffer, before(1)?, width)?;
        let key_width = self::width(unsigned(buffer, before(2)?, width)?)?;
        let keys = follow(buffer, before(3)?, width)?;
        // Checks the values and their types once, so that a count is never believed unseen.
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        take(buffer, values, count.saturating_mul(width + 1))?;
        take(buffer, keys, count.saturating_mul(key_width))?;
        Ok(Map {
            buffer,
            values,
            width,
            keys,
            key_width,
            count,
        })
    }

    /// The value under `key`, `None` if there is none.
    ///
    /// # Errors
    /// If a reference is bad or the value is not a scalar.
    pub fn get(&self, key: &str) -> Result<Option<Value>, Fault> {
        for i in 0..self.count {
            let at = follow(self.buffer, self.keys + i * self.key_width, self.key_width)?;
            let name = self.buffer.get(at..).unwrap_or_default();
            let ends = name.get(key.len()) == Some(&0);
            if ends && name.starts_with(key.as_bytes()) {
                return self.value(key, i).map(Some);
            }
        }
        Ok(None)
    }

    fn value(&self, key: &str, i: usize) -> Result<Value, Fault> {
        let packed = take(self.buffer, self.values + self.count * self.width + i, 1)?[0];
        let at = self.values + i * self.width;
        let direct = |at, width| -> Result<(usize, usize), Fault> { Ok((at, width)) };
        let indirect = || Ok((follow(self.buffer, at, self.width)?, 1 << (packed & 3)));
        let kind = packed >> 2;
        let (at, width) = match kind {
            TYPE_INT | TYPE_UINT | TYPE_FLOAT | TYPE_BOOL => direct(at, self.width),
            TYPE_INDIRECT_INT | TYPE_INDIRECT_UINT | TYPE_INDIRECT_FLOAT => indirect(),
            found => Err(Fault::NotAScalar {
                key: key.to_owned(),
                found,
            }),
        }?;
        let raw = unsigned(self.buffer, at, width)?;
        Ok(match kind {
            TYPE_INT | TYPE_INDIRECT_INT => {
                let unused = 64 - 8 * width as u32;
                Value::Int(((raw << unused) as i64) >> unused)
            }
            TYPE_UINT | TYPE_INDIRECT_UINT => Value::Uint(raw),
            TYPE_BOOL => Value::Bool(raw != 0),
            _ if width == 8 => Value::Float(f64::from_bits(raw)),
            _ if width == 4 => Value::Float(f64::from(f32::from_bits(raw as u32))),
            _ => {
                return Err(Fault::Width {
                    width: width as u64,
                });
            }
        })
    }
}

fn width(width: u64) -> Result<usize, Fault> {
    match width {
        1 | 2 | 4 | 8 => Ok(width as usize),
        _ => Err(Fault::Width { width }),
    }
}

fn take(buffer: &[u8], start: usize, bytes: usize) -> Result<&[u8], Fault> {
    let end = start.checked_add(bytes);
    end.and_then(|end| buffer.get(start..end))
        .ok_or(Fault::OutOfBuffer {
            start,
            bytes,
            len: buffer.len(),
        })
}

/// A little-endian number of 1, 2, 4 or 8 bytes.
fn unsigned(buffer: &[u8], at: usize, width: usize) -> Result<u64, Fault> {
    let mut raw = [0; 8];
    raw[..width].copy_from_slice(take(buffer, at, width)?);
    Ok(u64::from_le_bytes(raw))
}

/// Where the reference at `at` points.
fn follow(buffer: &[u8], at: usize, width: usize) -> Result<usize, Fault> {
    let distance = unsigned(buffer, at, width)?;
    usize::try_from(distance)
        .ok()
        .and_then(|d| at.checked_sub(d))
        .ok_or(Fault::BeforeStart { at, distance })
}
