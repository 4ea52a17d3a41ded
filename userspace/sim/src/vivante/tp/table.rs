//! The ALU: what becomes of each of the 256 input bytes, and of the border.

use super::decode::Job;

/// Entries of the table.
const ENTRIES: usize = 1024;
/// Bytes of the table in memory.
pub(super) const BYTES: usize = 4 * ENTRIES;

/// A piece-wise linear function. Entry i is its value at the point whose code is sign i[9],
/// exponent i[8:4] (bias 15), mantissa i[3:0] / 16.
pub(super) struct Table([f64; ENTRIES]);

impl Table {
    pub(super) fn decode(bytes: &[u8]) -> Table {
        let words = bytes.as_chunks::<4>().0;
        Table(std::array::from_fn(|i| fp21(u32::from_le_bytes(words[i]))))
    }

    /// The value at an integer, interpolated between the entries around it.
    fn at(&self, x: i32) -> f64 {
        let half = if x < 0 { ENTRIES / 2 } else { 0 };
        let magnitude = x.unsigned_abs();
        if magnitude == 0 {
            return self.0[half];
        }
        let exponent = magnitude.ilog2();
        let sixteenths = f64::from(magnitude) / f64::from(1u32 << exponent) * 16.0 - 16.0;
        let below = sixteenths.floor();
        let index = half + ((exponent as usize + 15) << 4) + below as usize;
        let (low, high) = (
            self.0[index],
            self.0[(index + 1).min(half + ENTRIES / 2 - 1)],
        );
        low + (high - low) * (sixteenths - below)
    }
}

/// A number of 21 bits: sign 20, exponent [19:15] (bias 15, 0 = subnormal), mantissa [14:0].
fn fp21(word: u32) -> f64 {
    let exponent = (word >> 15 & 0x1f) as i32;
    let mantissa = f64::from(word & 0x7fff) / 32768.0;
    let magnitude = match exponent {
        0 => mantissa * 2f64.powi(-14),
        _ => (1.0 + mantissa) * 2f64.powi(exponent - 15),
    };
    if word >> 20 & 1 != 0 {
        -magnitude
    } else {
        magnitude
    }
}

/// Output byte of each input byte, and of the border.
pub(super) struct Values {
    pub bytes: [u8; 256],
    pub border: u8,
}

/// The outputs of a job.
pub(super) fn outputs(job: &Job, table: Option<&Table>) -> Values {
    let scale = (1.0 + f64::from(job.multiplier) / 32768.0) * 2f64.powi(-job.shift);
    let output = |x: i32| {
        let value = table.map_or(f64::from(x), |table| table.at(x));
        let rounded = (value * scale).round() + f64::from(job.out_zero_point);
        rounded.clamp(0.0, 255.0) as u8
    };
    Values {
        bytes: std::array::from_fn(|raw| output(raw as i32 - job.in_zero_point)),
        border: output(job.border),
    }
}
