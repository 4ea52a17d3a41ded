//! The sums in loops that are left to the compiler's vectoriser.

use super::{NARROW, Reading, Sums};

/// See [`Reading::rows`].
#[cfg(any(test, not(all(target_arch = "aarch64", target_feature = "neon"))))]
pub(super) fn rows(reading: Reading, matrix: &[u8], width: usize) -> Vec<Sums> {
    let rows = matrix.chunks_exact(width);
    rows.map(|row| {
        let mut total = Sums::default();
        for block in row.chunks(NARROW) {
            // Narrow accumulators let a vector instruction add many.
            let (mut bytes, mut distances) = (0u16, 0u16);
            for byte in block {
                let value = byte ^ reading.turn;
                bytes += u16::from(value);
                distances += u16::from(value.abs_diff(reading.zero));
            }
            total.add(reading.centred(u32::from(bytes), u32::from(distances), block.len()));
        }
        total
    })
    .collect()
}

/// See [`Reading::columns`].
pub(super) fn columns(reading: Reading, matrix: &[u8], width: usize) -> Vec<Sums> {
    let mut totals = vec![Sums::default(); width];
    let mut narrow = vec![0u16; 2 * width];
    let (bytes, distances) = narrow.split_at_mut(width);
    for block in matrix.chunks(NARROW * width) {
        let rows = block.chunks_exact(width);
        let count = rows.len();
        for row in rows {
            for ((byte, distance), from) in bytes.iter_mut().zip(&mut *distances).zip(row) {
                let value = from ^ reading.turn;
                *byte += u16::from(value);
                *distance += u16::from(value.abs_diff(reading.zero));
            }
        }
        let narrow = bytes.iter_mut().zip(&mut *distances);
        for (total, (byte, distance)) in totals.iter_mut().zip(narrow) {
            let (byte, distance) = (std::mem::take(byte), std::mem::take(distance));
            total.add(reading.centred(u32::from(byte), u32::from(distance), count));
        }
    }
    totals
}
