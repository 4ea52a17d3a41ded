//! The two forms in which convolutions multiply: pairs of words or quads of bytes.
//!
//! Bytes are four times as many products an instruction, where there is one ([`has_quads`]). It takes
//! data without a sign and weights with one, and no zero points: data is moved to where 0 is the lowest
//! byte, weights to where 128 of them is, and what the zero points add is put into the bias of each
//! channel and, for weights whose zero point is not 0, into a sum of each window's data.
//!
//! [`has_quads`]: ferrite_simd::has_quads

use super::context::Byte;
use bytemuck::Pod;
use ferrite_simd::{Isa, LANES, PairRow, QuadRow};

/// How data and weights of a convolution are multiplied.
pub(super) trait Taps: Sync {
    /// An element of the data.
    type Element: Pod + Sync + Send;
    /// Neighbouring elements that are multiplied together.
    type Word: Pod;
    /// Their weights in a block of channels.
    type Row: Copy + Send + Sync;
    /// Elements of a word.
    const SIZE: usize;
    const EMPTY: Self::Row;

    /// Stores a weight, given without its zero point.
    fn set(row: &mut Self::Row, lane: usize, part: usize, weight: i32);

    fn add<I: Isa>(isa: I, acc: I::Acc, word: Self::Word, row: &Self::Row) -> I::Acc;

    /// The sum of data that needs one; see [`super::conv`].
    fn sum(data: &[Self::Element]) -> i32;
}

/// Pairs of words, both without their zero points.
pub(super) struct Pairs;

impl Taps for Pairs {
    type Element = i16;
    type Word = [i16; 2];
    type Row = PairRow;
    const SIZE: usize = 2;
    const EMPTY: PairRow = [0; 2 * LANES];

    #[inline(always)]
    fn set(row: &mut PairRow, lane: usize, part: usize, weight: i32) {
        row[2 * lane + part] = weight as i16;
    }

    #[inline(always)]
    fn add<I: Isa>(isa: I, acc: I::Acc, word: [i16; 2], row: &PairRow) -> I::Acc {
        isa.add_pairs(acc, word, row)
    }

    #[inline(always)]
    fn sum(_: &[i16]) -> i32 {
        0
    }
}

/// Quads of bytes.
pub(super) struct Quads;

impl Taps for Quads {
    type Element = u8;
    type Word = [u8; 4];
    type Row = QuadRow;
    const SIZE: usize = 4;
    const EMPTY: QuadRow = [0; 4 * LANES];

    #[inline(always)]
    fn set(row: &mut QuadRow, lane: usize, part: usize, weight: i32) {
        row[4 * lane + part] = weight as i8;
    }

    #[inline(always)]
    fn add<I: Isa>(isa: I, acc: I::Acc, word: [u8; 4], row: &QuadRow) -> I::Acc {
        isa.add_quads(acc, word, row)
    }

    #[inline(always)]
    fn sum(data: &[u8]) -> i32 {
        data.iter().fold(0i32, |sum, &x| sum.wrapping_add(x.into()))
    }
}

/// A byte of data as quads take it, and the zero point likewise.
#[inline(always)]
pub(super) fn unsigned<T: Byte>(x: T) -> u8 {
    (x.widen() - T::LOWEST) as u8
}
