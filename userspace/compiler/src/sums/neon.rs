//! The sums with the instructions of 64-bit Arm that widen bytes as they add them. The compiler's
//! vectoriser unpacks bytes first, which takes three times as many instructions.

#![allow(unsafe_code)]

use super::{NARROW, Reading, Sums, portable};
use std::arch::aarch64::{
    uint8x16_t, uint16x8_t, vabal_high_u8, vabal_u8, vabdq_u8, vaddlvq_u16, vaddw_high_u8,
    vaddw_u8, vdupq_n_u8, vdupq_n_u16, veorq_u8, vget_low_u8, vpadalq_u8,
};

/// Bytes of a vector.
const VECTOR: usize = 16;
/// Bytes of eight of them.
const EIGHT: usize = 8 * VECTOR;
/// Bytes of a row of which a 16-bit lane can take two of each vector.
const BLOCK: usize = 128 * VECTOR;

/// See [`Reading::rows`].
pub(super) fn rows(reading: Reading, matrix: &[u8], width: usize) -> Vec<Sums> {
    // SAFETY: this module is for targets with NEON only.
    unsafe {
        match reading.turn {
            0 => rows_turned::<false>(reading, matrix, width),
            _ => rows_turned::<true>(reading, matrix, width),
        }
    }
}

/// See [`Reading::columns`].
pub(super) fn columns(reading: Reading, matrix: &[u8], width: usize) -> Vec<Sums> {
    if !width.is_multiple_of(VECTOR) || matrix.len() > NARROW * width {
        return portable::columns(reading, matrix, width);
    }
    // SAFETY: as above.
    unsafe { columns_of_vectors(reading, matrix, width) }
}

/// The sums over rows. `TURN` is whether there is anything to be xored onto bytes.
#[target_feature(enable = "neon")]
fn rows_turned<const TURN: bool>(reading: Reading, matrix: &[u8], width: usize) -> Vec<Sums> {
    let rows = matrix.chunks_exact(width);
    // Most rows are short: what each takes beside its weights counts.
    if width <= BLOCK && width.is_multiple_of(EIGHT) {
        let sums = move |row| sums::<TURN, true>(reading, row);
        return rows.map(sums).collect();
    }
    if width <= BLOCK {
        let sums = move |row| sums::<TURN, false>(reading, row);
        return rows.map(sums).collect();
    }
    rows.map(|row| {
        let mut total = Sums::default();
        for block in row.chunks(BLOCK) {
            total.add(sums::<TURN, false>(reading, block));
        }
        total
    })
    .collect()
}

/// The sums over at most [`BLOCK`] bytes. `EIGHTS` is whether they are a multiple of eight vectors.
#[inline]
#[target_feature(enable = "neon")]
fn sums<const TURN: bool, const EIGHTS: bool>(reading: Reading, block: &[u8]) -> Sums {
    let (turn, zero) = (vdupq_n_u8(reading.turn), vdupq_n_u8(reading.zero));
    let add = |(bytes, distances): (uint16x8_t, uint16x8_t), vector: &[u8; VECTOR]| {
        let vector: uint8x16_t = bytemuck::cast(*vector);
        let values = if TURN { veorq_u8(vector, turn) } else { vector };
        let distance = vabdq_u8(values, zero);
        (vpadalq_u8(bytes, values), vpadalq_u8(distances, distance))
    };
    let (vectors, rest) = block.as_chunks::<VECTOR>();
    // The more vectors between two looks at how many are left, the better.
    let (eights, vectors) = vectors.as_chunks::<8>();
    let mut lanes = (vdupq_n_u16(0), vdupq_n_u16(0));
    for vectors in eights {
        lanes = vectors.iter().fold(lanes, add);
    }
    let (mut bytes, mut distances) = (0, 0);
    if !EIGHTS {
        let (fours, vectors) = vectors.as_chunks::<4>();
        for vectors in fours {
            lanes = vectors.iter().fold(lanes, add);
        }
        lanes = vectors.iter().fold(lanes, add);
        (bytes, distances) = reading.few(rest);
    }
    bytes += vaddlvq_u16(lanes.0);
    distances += vaddlvq_u16(lanes.1);
    reading.centred(bytes, distances, block.len())
}

/// The sums over columns of at most [`NARROW`] bytes that make whole vectors side by side.
#[target_feature(enable = "neon")]
fn columns_of_vectors(reading: Reading, matrix: &[u8], width: usize) -> Vec<Sums> {
    let (turn, zero) = (vdupq_n_u8(reading.turn), vdupq_n_u8(reading.zero));
    let none = vdupq_n_u16(0);
    let mut totals = Vec::with_capacity(width);
    for first in (0..width).step_by(VECTOR) {
        let (mut bytes, mut distances) = ([none; 2], [none; 2]);
        for row in matrix.chunks_exact(width) {
            let Some(vector) = row[first..].first_chunk::<VECTOR>() else {
                break;
            };
            let values = veorq_u8(bytemuck::cast(*vector), turn);
            let (low, low_zero) = (vget_low_u8(values), vget_low_u8(zero));
            bytes = [vaddw_u8(bytes[0], low), vaddw_high_u8(bytes[1], values)];
            distances = [
                vabal_u8(distances[0], low, low_zero),
                vabal_high_u8(distances[1], values, zero),
            ];
        }
        let bytes: [u16; VECTOR] = bytemuck::cast(bytes);
        let distances: [u16; VECTOR] = bytemuck::cast(distances);
        let count = matrix.len() / width;
        totals.extend(bytes.iter().zip(&distances).map(|(&bytes, &distances)| {
            reading.centred(u32::from(bytes), u32::from(distances), count)
        }));
    }
    totals
}
