//! Descriptor fields: where their bits are and what they count.

use crate::Grade;

/// Words of an NN or TP descriptor (128 bytes, little endian in memory).
pub type Words = [u32; 32];

/// Bytes of a descriptor.
pub const DESCRIPTOR_BYTES: usize = 128;

/// Bits of one word that belong to a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Word of the descriptor.
    pub word: u8,
    /// Highest bit.
    pub high: u8,
    /// Lowest bit.
    pub low: u8,
}

impl Piece {
    /// Width in bits.
    pub const fn width(self) -> u32 {
        self.high as u32 - self.low as u32 + 1
    }

    /// The piece's bits in its word.
    pub const fn mask(self) -> u32 {
        (u32::MAX >> (32 - self.width())) << self.low
    }
}

/// What a field counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unit {
    /// One bit.
    Flag,
    /// Enumeration, described in the field's meaning.
    Code,
    /// Element type, see [`super::nn::DataType`].
    DataType,
    /// Pixels along one axis.
    Pixels,
    /// Rows.
    Rows,
    /// Channels (planes).
    Channels,
    /// Convolution kernels.
    Kernels,
    /// Bytes.
    Bytes,
    /// Byte address in the NPU's virtual address space.
    Address,
    /// Bits to shift.
    Shift,
    /// A plain quantity.
    Number,
    /// Bits without a known meaning.
    Raw,
}

/// How a quantity is coded in a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Coding {
    /// The value itself.
    Plain,
    /// Two's complement of the field's width.
    Signed,
    /// The value divided by two to this power; it has to be a multiple.
    Granules(u8),
}

/// A field of a descriptor. Its bits may be spread over words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// Name.
    pub name: &'static str,
    /// Where its bits are, the lowest first.
    pub pieces: &'static [Piece],
    /// What it counts.
    pub unit: Unit,
    /// How it is coded.
    pub coding: Coding,
    /// How well position and meaning are supported.
    pub grade: Grade,
    /// What it means.
    pub meaning: &'static str,
}

/// A quantity that does not fit its field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{value} does not fit {field} ({width} bits, {coding:?})")]
pub struct FieldOverflow {
    /// Field name.
    pub field: &'static str,
    /// The offending quantity.
    pub value: i64,
    /// Width of the field in bits.
    pub width: u32,
    /// Coding of the field.
    pub coding: Coding,
}

impl Field {
    /// Width in bits.
    pub const fn width(&self) -> u32 {
        let mut width = 0;
        let mut i = 0;
        while i < self.pieces.len() {
            width += self.pieces[i].width();
            i += 1;
        }
        width
    }

    /// The field's bits as they are coded.
    pub const fn bits(&self, words: &Words) -> u32 {
        let mut bits = 0;
        let mut at = 0;
        let mut i = 0;
        while i < self.pieces.len() {
            let piece = self.pieces[i];
            bits |= ((words[piece.word as usize] & piece.mask()) >> piece.low) << at;
            at += piece.width();
            i += 1;
        }
        bits
    }

    /// The quantity in the field, by its coding.
    pub const fn get(&self, words: &Words) -> i64 {
        let bits = self.bits(words) as i64;
        match self.coding {
            Coding::Plain => bits,
            Coding::Signed => {
                let spare = 64 - self.width();
                (bits << spare) >> spare
            }
            Coding::Granules(shift) => bits << shift,
        }
    }

    /// The quantity of a field that is never negative and at most 32 bits wide.
    pub const fn get_u32(&self, words: &Words) -> u32 {
        self.get(words) as u32
    }

    /// Stores a quantity, by the field's coding.
    pub fn set(&self, words: &mut Words, value: i64) -> Result<(), FieldOverflow> {
        let (lowest, highest) = self.range();
        let granule = match self.coding {
            Coding::Granules(shift) => shift,
            _ => 0,
        };
        if value < lowest || value > highest || value & ((1 << granule) - 1) != 0 {
            return Err(FieldOverflow {
                field: self.name,
                value,
                width: self.width(),
                coding: self.coding,
            });
        }
        let mut bits = ((value >> granule) as u64) & ((1 << self.width()) - 1);
        for piece in self.pieces {
            let word = &mut words[piece.word as usize];
            *word = *word & !piece.mask() | ((bits as u32) << piece.low) & piece.mask();
            bits >>= piece.width();
        }
        Ok(())
    }

    /// Smallest and largest quantity that fit.
    pub const fn range(&self) -> (i64, i64) {
        let span = 1i64 << self.width();
        match self.coding {
            Coding::Plain => (0, span - 1),
            Coding::Signed => (-span / 2, span / 2 - 1),
            Coding::Granules(shift) => (0, (span - 1) << shift),
        }
    }
}

/// Bits of a descriptor that belong to none of `fields`.
pub fn reserved(fields: &[&Field], words: &Words) -> Words {
    let mut rest = *words;
    for piece in fields.iter().flat_map(|f| f.pieces) {
        rest[piece.word as usize] &= !piece.mask();
    }
    rest
}

/// The descriptor as it is in memory.
pub fn to_bytes(words: &Words) -> [u8; DESCRIPTOR_BYTES] {
    let mut bytes = [0; DESCRIPTOR_BYTES];
    for (bytes, word) in bytes.chunks_exact_mut(4).zip(words) {
        bytes.copy_from_slice(&word.to_le_bytes());
    }
    bytes
}

/// The inverse of [`to_bytes`].
pub fn from_bytes(bytes: &[u8; DESCRIPTOR_BYTES]) -> Words {
    let mut words = [0; 32];
    for (word, bytes) in words.iter_mut().zip(bytes.as_chunks::<4>().0) {
        *word = u32::from_le_bytes(*bytes);
    }
    words
}

/// Declares a descriptor: a constant per field and the slice `FIELDS`.
macro_rules! fields {
    ($(
        $name:ident ($($word:literal [$high:literal : $low:literal])+)
            $unit:ident $coding:ident $(($shift:literal))? $grade:ident $meaning:literal,
    )*) => {
        $(
            #[doc = concat!($meaning, ". Bits:", $(" W", stringify!($word), "[", stringify!($high),
                ":", stringify!($low), "]",)+ ".")]
            pub const $name: $crate::vivante::Field = $crate::vivante::Field {
                name: stringify!($name),
                pieces: &[$($crate::vivante::field::Piece {
                    word: $word,
                    high: $high,
                    low: $low,
                }),+],
                unit: $crate::vivante::field::Unit::$unit,
                coding: $crate::vivante::field::Coding::$coding $(($shift))?,
                grade: $crate::Grade::$grade,
                meaning: $meaning,
            };
        )*

        /// All fields, by their first bits.
        pub const FIELDS: &[&$crate::vivante::Field] = &[$(&$name),*];
    };
}
pub(crate) use fields;
