//! Sums over rows, left to the compiler's vectoriser.

use super::{NARROW, Reading, Sums};

/// See [`Reading::rows`].
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
