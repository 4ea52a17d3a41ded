//! Sums over a row of weights.

/// Bytes of which 16 bits hold the sum: narrow accumulators let a vector instruction add many.
const BLOCK: usize = 256;

/// The sum of `row` with `turn` xored onto every byte, and the sum of its distances from `zero`.
pub fn of(row: &[u8], turn: u8, zero: u8) -> (u64, u64) {
    let mut total = (0, 0);
    for block in row.chunks(BLOCK) {
        let (mut sum, mut distance) = (0u16, 0u16);
        for &byte in block {
            let value = byte ^ turn;
            sum += u16::from(value);
            distance += u16::from(value.abs_diff(zero));
        }
        total = (total.0 + u64::from(sum), total.1 + u64::from(distance));
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_those_of_the_bytes() {
        for len in [0, 1, 15, 16, 33, 16 * 300 + 7] {
            let row: Vec<u8> = (0..len).map(|i| (i * 37 % 251) as u8).collect();
            for (turn, zero) in [(0, 0), (0x80, 3), (0x80, 255), (0, 128)] {
                let values = || row.iter().map(|b| b ^ turn);
                let sum = values().map(u64::from).sum();
                let distances = values().map(|v| u64::from(v.abs_diff(zero))).sum();
                assert_eq!(
                    of(&row, turn, zero),
                    (sum, distances),
                    "{len} {turn} {zero}"
                );
            }
        }
    }

    #[test]
    fn full_blocks_do_not_overflow() {
        let row = vec![255; 2 * BLOCK + 3];
        let sum = 255 * row.len() as u64;
        assert_eq!(of(&row, 0, 0), (sum, sum));
    }
}
