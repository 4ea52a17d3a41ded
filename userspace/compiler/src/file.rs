//! Executables as files: `.ferrite`.
//!
//! Eight bytes of magic, the version and a CRC-32 of the rest (little-endian words), then the
//! [`Executable`] in postcard's encoding. The version counts up with each change of the structs.

use crate::executable::Executable;

const MAGIC: &[u8; 8] = b"FERRITE\0";
const HEADER: usize = 16;

/// Version of the format that this build writes, and the only one it reads.
pub const VERSION: u32 = 3;

/// What is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    /// It is something else.
    #[error("not a compiled model: it does not begin with `FERRITE`")]
    Magic,
    /// It is of another version.
    #[error(
        "compiled model of format version {found}; this build reads version {VERSION}: compile it again"
    )]
    Version {
        /// Version of the file.
        found: u32,
    },
    /// Bytes have changed or are missing.
    #[error("damaged compiled model: checksum {found:#010x}, but {expected:#010x} is noted in it")]
    Checksum {
        /// Sum over the bytes.
        found: u32,
        /// Sum in the header.
        expected: u32,
    },
    /// The content makes no executable.
    #[error("damaged compiled model: {0}")]
    Content(String),
}

/// The bytes of a `.ferrite` file.
///
/// # Errors
/// [`FileError::Content`] if the executable cannot be encoded.
pub fn to_bytes(executable: &Executable) -> Result<Vec<u8>, FileError> {
    let content = postcard::to_stdvec(executable).map_err(|e| FileError::Content(e.to_string()))?;
    let mut bytes = Vec::with_capacity(HEADER + content.len());
    bytes.extend(MAGIC);
    bytes.extend(VERSION.to_le_bytes());
    bytes.extend(crc32fast::hash(&content).to_le_bytes());
    bytes.extend(content);
    Ok(bytes)
}

/// Reads a `.ferrite` file.
///
/// # Errors
/// If it is no such file, of another version, or damaged.
pub fn from_bytes(bytes: &[u8]) -> Result<Executable, FileError> {
    let (header, content) = bytes.split_at_checked(HEADER).ok_or(FileError::Magic)?;
    let word = |at: usize| {
        let mut word = [0; 4];
        word.copy_from_slice(&header[at..at + 4]);
        u32::from_le_bytes(word)
    };
    if &header[..8] != MAGIC {
        return Err(FileError::Magic);
    }
    if word(8) != VERSION {
        return Err(FileError::Version { found: word(8) });
    }
    let (found, expected) = (crc32fast::hash(content), word(12));
    if found != expected {
        return Err(FileError::Checksum { found, expected });
    }
    let content = postcard::take_from_bytes(content);
    match content.map_err(|e| FileError::Content(e.to_string()))? {
        (executable, []) => Ok(executable),
        (_, rest) => Err(FileError::Content(format!("{} bytes too many", rest.len()))),
    }
}

/// Whether these are the first bytes of a `.ferrite` file.
pub fn is_executable(bytes: &[u8]) -> bool {
    bytes.starts_with(MAGIC)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::executable::{Buffer, Placement, Role, Step, Target};
    use ferrite_ir::{OpId, PrimaryMap};

    fn executable() -> Executable {
        Executable {
            target: Target::Rk3588,
            buffers: PrimaryMap::from(vec![Buffer {
                role: Role::Constants,
                size: 1 << 20,
                init: vec![1, 2, 255].into(),
            }]),
            relocations: Vec::new(),
            steps: vec![Step::Cpu(OpId::from_u32(7))],
            placements: PrimaryMap::from(vec![Placement::Folded]),
            macs: PrimaryMap::from(vec![u64::MAX]),
        }
    }

    #[test]
    fn files_are_read_back() {
        let bytes = to_bytes(&executable()).unwrap();
        assert!(is_executable(&bytes));
        assert_eq!(from_bytes(&bytes), Ok(executable()));
    }

    #[test]
    fn every_changed_byte_and_every_cut_is_noticed() {
        let bytes = to_bytes(&executable()).unwrap();
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 0x10;
            assert!(from_bytes(&changed).is_err(), "byte {at}");
            assert!(from_bytes(&bytes[..at]).is_err(), "cut at {at}");
        }
        let version = [&bytes[..8], &[9, 0, 0, 0], &bytes[12..]].concat();
        assert_eq!(from_bytes(&version), Err(FileError::Version { found: 9 }));
        assert_eq!(from_bytes(b"TFL3"), Err(FileError::Magic));
    }
}
