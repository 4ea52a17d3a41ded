//! The part of the ZIP format that `.npz` archives use: a central directory and members that are
//! stored or deflated. No ZIP64 beyond what NumPy writes into local headers, which is not read.

use miniz_oxide::inflate::decompress_slice_iter_to_slice;

/// Why an archive cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum ZipError {
    #[error("not a ZIP archive: no end record in {bytes} bytes")]
    NoEndRecord { bytes: usize },
    #[error("{what} at {start} with {bytes} bytes is outside the archive of {archive} bytes")]
    Outside {
        what: &'static str,
        start: usize,
        bytes: usize,
        archive: usize,
    },
    #[error("{what} at {start} has signature {found:#010x}")]
    Signature {
        what: &'static str,
        start: usize,
        found: u32,
    },
    #[error("compression method {method} is not supported")]
    Method { method: u16 },
    #[error("archives larger than 4 GiB are not supported")]
    Zip64,
    #[error("{compressed} compressed bytes cannot become {size}")]
    Ratio { compressed: usize, size: usize },
    #[error("compressed data is damaged")]
    Deflate,
    #[error("checksum is {found:#010x}, the directory says {expected:#010x}")]
    Checksum { found: u32, expected: u32 },
}

/// One member, as the central directory describes it.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub name: String,
    method: u16,
    crc: u32,
    compressed: usize,
    size: usize,
    local: usize,
}

/// No deflate stream expands by more than this.
const MAX_RATIO: usize = 1032;

const END_RECORD: u32 = 0x0605_4b50;
const DIRECTORY_ENTRY: u32 = 0x0201_4b50;
const LOCAL_HEADER: u32 = 0x0403_4b50;

fn take<'a>(
    archive: &'a [u8],
    what: &'static str,
    start: usize,
    bytes: usize,
) -> Result<&'a [u8], ZipError> {
    let end = start.checked_add(bytes);
    end.and_then(|end| archive.get(start..end))
        .ok_or(ZipError::Outside {
            what,
            start,
            bytes,
            archive: archive.len(),
        })
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// A record of fixed size with its signature checked.
fn record<'a>(
    archive: &'a [u8],
    what: &'static str,
    start: usize,
    bytes: usize,
    signature: u32,
) -> Result<&'a [u8], ZipError> {
    let record = take(archive, what, start, bytes)?;
    match u32_at(record, 0) {
        found if found == signature => Ok(record),
        found => Err(ZipError::Signature { what, start, found }),
    }
}

/// The members of an archive in the directory's order.
pub(crate) fn directory(archive: &[u8]) -> Result<Vec<Member>, ZipError> {
    // The end record has 22 bytes and a comment of at most 65535.
    let first = archive.len().saturating_sub(22 + 0xffff);
    let signature = END_RECORD.to_le_bytes();
    let end = (first..archive.len().saturating_sub(21))
        .rev()
        .find(|&at| archive[at..at + 4] == signature)
        .ok_or(ZipError::NoEndRecord {
            bytes: archive.len(),
        })?;
    let end = &archive[end..end + 22];
    let (count, start) = (u16_at(end, 10), u32_at(end, 16));
    if count == u16::MAX || start == u32::MAX {
        return Err(ZipError::Zip64);
    }
    let mut at = start as usize;
    let mut members = Vec::new();
    for _ in 0..count {
        let entry = record(archive, "directory entry", at, 46, DIRECTORY_ENTRY)?;
        let length = |field| usize::from(u16_at(entry, field));
        let (name, extra, comment) = (length(28), length(30), length(32));
        let (compressed, size, local) = (u32_at(entry, 20), u32_at(entry, 24), u32_at(entry, 42));
        if [compressed, size, local].contains(&u32::MAX) {
            return Err(ZipError::Zip64);
        }
        let text = take(archive, "member name", at + 46, name)?;
        members.push(Member {
            name: String::from_utf8_lossy(text).into_owned(),
            method: u16_at(entry, 10),
            crc: u32_at(entry, 16),
            compressed: compressed as usize,
            size: size as usize,
            local: local as usize,
        });
        at += 46 + name + extra + comment;
    }
    Ok(members)
}

/// A member's bytes, decompressed and with the checksum verified.
pub(crate) fn extract(archive: &[u8], member: &Member) -> Result<Vec<u8>, ZipError> {
    let local = record(archive, "local header", member.local, 30, LOCAL_HEADER)?;
    let data = member.local + 30 + usize::from(u16_at(local, 26)) + usize::from(u16_at(local, 28));
    let packed = take(archive, "member data", data, member.compressed)?;
    let bytes = match member.method {
        0 if member.size == packed.len() => packed.to_vec(),
        8 if member.size / MAX_RATIO <= packed.len() => inflate(packed, member.size)?,
        0 | 8 => {
            return Err(ZipError::Ratio {
                compressed: packed.len(),
                size: member.size,
            });
        }
        method => return Err(ZipError::Method { method }),
    };
    match crc32(&bytes) {
        found if found == member.crc => Ok(bytes),
        found => Err(ZipError::Checksum {
            found,
            expected: member.crc,
        }),
    }
}

fn inflate(packed: &[u8], size: usize) -> Result<Vec<u8>, ZipError> {
    let mut bytes = vec![0; size];
    let written = decompress_slice_iter_to_slice(&mut bytes, std::iter::once(packed), false, true);
    match written {
        Ok(written) if written == size => Ok(bytes),
        _ => Err(ZipError::Deflate),
    }
}

/// CRC-32 of ISO 3309, as ZIP uses it.
fn crc32(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut i = 0;
        while i < 256 {
            let mut c = i as u32;
            let mut bit = 0;
            while bit < 8 {
                c = (c >> 1) ^ (0xedb8_8320 * (c & 1));
                bit += 1;
            }
            table[i] = c;
            i += 1;
        }
        table
    };
    !bytes
        .iter()
        .fold(!0, |crc, &b| TABLE[usize::from(crc as u8 ^ b)] ^ (crc >> 8))
}

#[cfg(test)]
mod tests {
    #[test]
    fn crc_of_the_check_string() {
        assert_eq!(super::crc32(b"123456789"), 0xcbf4_3926);
    }
}
