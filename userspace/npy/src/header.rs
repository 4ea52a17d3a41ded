//! The `.npy` format (NumPy Enhancement Proposal 1): magic, version, header length, and a Python
//! dictionary with the keys `descr`, `fortran_order` and `shape`, then the elements.

use crate::array::{Array, ElementType};

const MAGIC: &[u8; 6] = b"\x93NUMPY";

/// Why bytes are not an `.npy` file that can be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum NpyError {
    #[error("not an .npy file: it does not begin with the magic number")]
    Magic,
    #[error("format version {major}.{minor} is not supported")]
    Version { major: u8, minor: u8 },
    #[error("file of {bytes} bytes ends inside the header")]
    Cut { bytes: usize },
    #[error("header lacks '{key}' or its value is malformed")]
    Key { key: &'static str },
    #[error("element type '{descr}' is not supported")]
    ElementType { descr: String },
    #[error("array is in Fortran order; save numpy.ascontiguousarray(a) instead")]
    FortranOrder,
    #[error("shape {shape:?} is too large")]
    TooLarge { shape: Vec<usize> },
    #[error("shape {shape:?} needs {expected} bytes, the file has {found}")]
    Length {
        shape: Vec<usize>,
        expected: usize,
        found: usize,
    },
}

impl Array {
    /// Reads an `.npy` file.
    ///
    /// # Errors
    /// If the header is damaged, the array is of a type or order that is not supported, or the
    /// data is not as long as the header says.
    pub fn from_npy(file: &[u8]) -> Result<Array, NpyError> {
        if !file.starts_with(MAGIC) {
            return Err(NpyError::Magic);
        }
        let cut = NpyError::Cut { bytes: file.len() };
        let (length, start): (usize, usize) = match file[6..] {
            [1, 0, a, b, ..] => (usize::from(u16::from_le_bytes([a, b])), 10),
            [2 | 3, 0, a, b, c, d, ..] => (u32::from_le_bytes([a, b, c, d]) as usize, 12),
            [major, minor, ..] if !matches!((major, minor), (1..=3, 0)) => {
                return Err(NpyError::Version { major, minor });
            }
            _ => return Err(cut),
        };
        let end = start.checked_add(length).ok_or(cut.clone())?;
        let header = String::from_utf8_lossy(file.get(start..end).ok_or(cut)?);
        let element = element_type(&header)?;
        match value(&header, "fortran_order")? {
            v if v.starts_with("False") => {}
            v if v.starts_with("True") => return Err(NpyError::FortranOrder),
            _ => {
                return Err(NpyError::Key {
                    key: "fortran_order",
                });
            }
        }
        let shape = shape(&header)?;
        let expected = shape
            .iter()
            .try_fold(element.size(), |bytes, &d| bytes.checked_mul(d));
        let data = &file[end..];
        match expected {
            None => Err(NpyError::TooLarge { shape }),
            Some(expected) if expected != data.len() => Err(NpyError::Length {
                shape,
                expected,
                found: data.len(),
            }),
            Some(_) => Ok(Array {
                shape,
                element,
                data: data.to_vec(),
            }),
        }
    }

    /// Writes an `.npy` file (version 1.0, data aligned to 64 bytes as NumPy does).
    pub fn to_npy(&self) -> Vec<u8> {
        let order = if self.element.size() == 1 { '|' } else { '<' };
        let dims: String = self.shape.iter().map(|d| format!("{d}, ")).collect();
        let dims = match self.shape.len() {
            1 => dims.trim_end(),
            _ => dims.trim_end_matches(", "),
        };
        let code = self.element.code();
        let mut header =
            format!("{{'descr': '{order}{code}', 'fortran_order': False, 'shape': ({dims}), }}");
        let fixed = MAGIC.len() + 4;
        let padded = (fixed + header.len() + 1).next_multiple_of(64) - fixed;
        header.extend(std::iter::repeat_n(' ', padded - 1 - header.len()));
        header.push('\n');
        let mut file = MAGIC.to_vec();
        file.extend_from_slice(&[1, 0]);
        // Ranks are small: a header never comes near 64 KiB.
        file.extend_from_slice(&(header.len() as u16).to_le_bytes());
        file.extend_from_slice(header.as_bytes());
        file.extend_from_slice(&self.data);
        file
    }
}

/// What follows `'key':` in the dictionary.
fn value<'h>(header: &'h str, key: &'static str) -> Result<&'h str, NpyError> {
    ['\'', '"']
        .iter()
        .find_map(|quote| header.split_once(&format!("{quote}{key}{quote}")))
        .and_then(|(_, rest)| rest.trim_start().strip_prefix(':'))
        .map(str::trim_start)
        .ok_or(NpyError::Key { key })
}

fn element_type(header: &str) -> Result<ElementType, NpyError> {
    let rest = value(header, "descr")?;
    let malformed = NpyError::Key { key: "descr" };
    let quote = rest.chars().next().filter(|c| matches!(c, '\'' | '"'));
    let quote = quote.ok_or(malformed.clone())?;
    let descr = rest[1..].split_once(quote).ok_or(malformed)?.0;
    let unsupported = || NpyError::ElementType {
        descr: descr.to_owned(),
    };
    // '=' is the writer's own order; all that write such files today are little-endian.
    let code = descr
        .strip_prefix(['<', '|', '='])
        .ok_or_else(unsupported)?;
    ElementType::from_code(code).ok_or_else(unsupported)
}

fn shape(header: &str) -> Result<Vec<usize>, NpyError> {
    let malformed = || NpyError::Key { key: "shape" };
    let rest = value(header, "shape")?;
    let inner = rest.strip_prefix('(').and_then(|r| r.split_once(')'));
    let inner = inner.ok_or_else(malformed)?.0.trim();
    let dims = inner.strip_suffix(',').unwrap_or(inner);
    if dims.trim().is_empty() {
        return Ok(Vec::new());
    }
    let dim = |d: &str| d.trim().parse().map_err(|_| malformed());
    dims.split(',').map(dim).collect()
}
