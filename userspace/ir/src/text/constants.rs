//! Data of constants in text.

use std::fmt;
use std::ops::RangeInclusive;

use crate::tensor::DType;

/// Identifies the bytes of a constant: 64-bit FNV-1a. It tells constants apart; it does not
/// protect against somebody who wants a collision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ContentHash(pub u64);

impl ContentHash {
    /// The hash of these bytes.
    pub fn of(data: &[u8]) -> Self {
        let step = |hash: u64, &byte: &u8| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
        ContentHash(data.iter().fold(0xcbf2_9ce4_8422_2325, step))
    }
}

impl fmt::Display for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{:016x}", self.0)
    }
}

/// The elements as a list.
pub(super) fn list(dtype: DType, data: &[u8]) -> String {
    let element = |bytes: &[u8]| {
        let mut wide = [0; 8];
        wide[..bytes.len()].copy_from_slice(bytes);
        let raw = u64::from_le_bytes(wide);
        match dtype {
            DType::U8 | DType::Bool => raw.to_string(),
            DType::I8 => (raw as i8).to_string(),
            DType::I16 => (raw as i16).to_string(),
            DType::I32 => (raw as i32).to_string(),
            DType::I64 => (raw as i64).to_string(),
            DType::F16 => format!("{raw:#06x}"),
            DType::F32 => format!("{raw:#010x}"),
        }
    };
    let elements: Vec<String> = data.chunks_exact(dtype.size()).map(element).collect();
    format!("[{}]", elements.join(", "))
}

/// The bytes of an element written as in [`list`]; `None` if it is none of this type.
pub(super) fn element(dtype: DType, text: &str) -> Option<Vec<u8>> {
    let bits = || u32::from_str_radix(text.strip_prefix("0x")?, 16).ok();
    Some(match dtype {
        DType::U8 => text.parse::<u8>().ok()?.to_le_bytes().to_vec(),
        DType::Bool => vec![text.parse::<u8>().ok()?],
        DType::I8 => text.parse::<i8>().ok()?.to_le_bytes().to_vec(),
        DType::I16 => text.parse::<i16>().ok()?.to_le_bytes().to_vec(),
        DType::I32 => text.parse::<i32>().ok()?.to_le_bytes().to_vec(),
        DType::I64 => text.parse::<i64>().ok()?.to_le_bytes().to_vec(),
        DType::F16 => u16::try_from(bits()?).ok()?.to_le_bytes().to_vec(),
        DType::F32 => bits()?.to_le_bytes().to_vec(),
    })
}

/// The bytes as `x"..."`.
pub(super) fn hex(data: &[u8]) -> String {
    let mut text = String::with_capacity(data.len() * 2 + 3);
    text.push_str("x\"");
    for byte in data {
        for nibble in [byte >> 4, byte & 15] {
            text.push(char::from(b"0123456789abcdef"[usize::from(nibble)]));
        }
    }
    text.push('"');
    text
}

/// The bytes that the inside of `x"..."` stands for.
pub(super) fn unhex(text: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let digit = |c: u8| char::from(c).to_digit(16);
    let byte = |&[high, low]: &[u8; 2]| Some((digit(high)? << 4 | digit(low)?) as u8);
    pairs
        .iter()
        .map(byte)
        .collect::<Option<_>>()
        .filter(|_| rest.is_empty())
}

/// Little-endian integers drawn uniformly from `range`, the same ones for the same seed: outputs of
/// SplitMix64 as fractions of 2^64, times the number of values in the range.
///
/// # Panics
/// If the range is empty.
pub fn random_elements(
    dtype: DType,
    elements: usize,
    seed: u64,
    range: RangeInclusive<i64>,
) -> Vec<u8> {
    let (low, high) = (i128::from(*range.start()), i128::from(*range.end()));
    assert!(low <= high, "no value between {low} and {high}");
    let values = (high - low + 1) as u128;
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    };
    let mut data = Vec::with_capacity(elements * dtype.size());
    for _ in 0..elements {
        let value = low + ((u128::from(next()) * values) >> 64) as i128;
        data.extend_from_slice(&value.to_le_bytes()[..dtype.size()]);
    }
    data
}
