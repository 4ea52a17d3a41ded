//! Sums over rows with the instructions of 64-bit Arm that add pairs of bytes to 16-bit lanes. The
//! compiler's vectoriser does not find them, and takes three times as many instructions.

#![allow(unsafe_code)]

use super::{Reading, Sums};
use std::arch::aarch64::{
    uint8x16_t, uint16x8_t, vabdq_u8, vaddlvq_u16, vdupq_n_u8, vdupq_n_u16, veorq_u8, vpadalq_u8,
};

/// Bytes of a vector.
const VECTOR: usize = 16;
/// Bytes of which a 16-bit lane can take two of each vector.
const BLOCK: usize = 128 * VECTOR;
/// Vectors between two looks at how many are left.
const UNROLLED: usize = 4;

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

/// The same. `TURN` is whether there is anything to be xored onto bytes.
#[target_feature(enable = "neon")]
fn rows_turned<const TURN: bool>(reading: Reading, matrix: &[u8], width: usize) -> Vec<Sums> {
    let rows = matrix.chunks_exact(width);
    if width <= BLOCK {
        return rows.map(|row| sums::<TURN>(reading, row)).collect();
    }
    rows.map(|row| {
        let mut total = Sums::default();
        for block in row.chunks(BLOCK) {
            total.add(sums::<TURN>(reading, block));
        }
        total
    })
    .collect()
}

/// The sums over at most [`BLOCK`] bytes.
#[inline]
#[target_feature(enable = "neon")]
fn sums<const TURN: bool>(reading: Reading, block: &[u8]) -> Sums {
    let (turn, zero) = (vdupq_n_u8(reading.turn), vdupq_n_u8(reading.zero));
    let add = |(bytes, distances): (uint16x8_t, uint16x8_t), vector: &[u8; VECTOR]| {
        let vector: uint8x16_t = bytemuck::cast(*vector);
        let values = if TURN { veorq_u8(vector, turn) } else { vector };
        let distance = vabdq_u8(values, zero);
        (vpadalq_u8(bytes, values), vpadalq_u8(distances, distance))
    };
    let (vectors, rest) = block.as_chunks::<VECTOR>();
    let (groups, vectors) = vectors.as_chunks::<UNROLLED>();
    let mut lanes = (vdupq_n_u16(0), vdupq_n_u16(0));
    for group in groups {
        lanes = group.iter().fold(lanes, add);
    }
    lanes = vectors.iter().fold(lanes, add);
    let rest = reading.few(rest);
    let (bytes, distances) = (vaddlvq_u16(lanes.0), vaddlvq_u16(lanes.1));
    reading.centred(bytes + rest.0, distances + rest.1, block.len())
}
