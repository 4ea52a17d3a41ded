//! Sums over the weights of each output channel: of their distances from the zero point, with and
//! without signs. Every weight of a model passes through here, so the loops are made for vector
//! instructions.

use crate::error::Unsupported;

#[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
mod neon;
mod portable;

#[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
use neon as fastest;
#[cfg(not(all(target_arch = "aarch64", target_feature = "neon")))]
use portable as fastest;

/// How stored weights are read: as unsigned bytes.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    /// What is xored onto every byte.
    pub turn: u8,
    /// The zero point.
    pub zero: u8,
}

/// Sums over some weights, at most [`LONGEST`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// Of the weights less their zero point.
    pub signed: i32,
    /// Of the magnitudes of these.
    pub magnitude: i32,
}

/// Weights of which 32 bits surely hold the sums.
pub const LONGEST: usize = i32::MAX as usize / 255;

/// Refuses outputs with more than [`LONGEST`] weights.
pub fn check_length(weights: usize) -> Result<(), Unsupported> {
    if weights > LONGEST {
        return Err(Unsupported::new(format!(
            "{weights} weights for an output, more than {LONGEST}"
        )));
    }
    Ok(())
}

/// Elements that 16 bits can hold the sum of.
const NARROW: usize = 256;

impl Reading {
    /// The sums over each row of a matrix `width` bytes wide.
    pub fn rows(self, matrix: &[u8], width: usize) -> Vec<Sums> {
        fastest::rows(self, matrix, width)
    }

    /// The sums over each column of a matrix `width` bytes wide.
    pub fn columns(self, matrix: &[u8], width: usize) -> Vec<Sums> {
        fastest::columns(self, matrix, width)
    }

    /// The sums over `count` weights, given those over the bytes and over their distances from the
    /// zero point.
    fn centred(self, bytes: u32, distances: u32, count: usize) -> Sums {
        Sums {
            signed: bytes as i32 - count as i32 * i32::from(self.zero),
            magnitude: distances as i32,
        }
    }

    /// Sums over a few bytes and over their distances from the zero point, one by one.
    #[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
    fn few(self, bytes: &[u8]) -> (u32, u32) {
        bytes.iter().fold((0, 0), |(sum, distances), byte| {
            let value = byte ^ self.turn;
            let distance = value.abs_diff(self.zero);
            (sum + u32::from(value), distances + u32::from(distance))
        })
    }
}

impl Sums {
    /// Adds the sums over other weights.
    fn add(&mut self, more: Sums) {
        self.signed += more.signed;
        self.magnitude += more.magnitude;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const READINGS: [(u8, u8); 5] = [(0, 0), (0x80, 3), (0x80, 255), (0, 128), (0, 255)];

    /// Matrices of widths around those at which the loops change, with bytes that make the largest
    /// sums among them.
    fn matrices() -> impl Iterator<Item = (Vec<u8>, usize)> {
        let widths = [1, 15, 16, 33, 64, 100, 2047, 2048, 2049, 16 * 300 + 7];
        widths.into_iter().flat_map(|width| {
            let mixed = (0..3 * width).map(|i| (i * 37 % 251) as u8).collect();
            [mixed, vec![255; 3 * width], vec![0; 3 * width]].map(|matrix| (matrix, width))
        })
    }

    fn one_by_one<'b>(reading: Reading, bytes: impl Iterator<Item = &'b u8>) -> Sums {
        let mut sums = Sums::default();
        for byte in bytes {
            let weight = i32::from(byte ^ reading.turn) - i32::from(reading.zero);
            sums.add(Sums {
                signed: weight,
                magnitude: weight.abs(),
            });
        }
        sums
    }

    #[test]
    fn rows_are_summed() {
        for (matrix, width) in matrices() {
            for (turn, zero) in READINGS {
                let reading = Reading { turn, zero };
                let rows = matrix.chunks(width);
                let expected: Vec<Sums> = rows.map(|row| one_by_one(reading, row.iter())).collect();
                assert_eq!(
                    reading.rows(&matrix, width),
                    expected,
                    "{reading:?} {width}"
                );
                let portable = portable::rows(reading, &matrix, width);
                assert_eq!(portable, expected, "{reading:?} {width}");
            }
        }
    }

    #[test]
    fn columns_are_summed() {
        for (matrix, height) in matrices() {
            let width = matrix.len() / height;
            for (turn, zero) in READINGS {
                let reading = Reading { turn, zero };
                let column = |at| one_by_one(reading, matrix.iter().skip(at).step_by(width));
                let expected: Vec<Sums> = (0..width).map(column).collect();
                assert_eq!(reading.columns(&matrix, width), expected, "{reading:?}");
                let portable = portable::columns(reading, &matrix, width);
                assert_eq!(portable, expected, "{reading:?}");
            }
        }
    }
}
