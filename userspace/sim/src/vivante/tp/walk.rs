//! The order in which a job reads elements, and where it writes them.

use super::decode::Job;
use super::table::Values;
use crate::vivante::fault::{Check, FaultKind};

/// Largest output, in bytes from its first to its last.
const MAX_OUTPUT: i64 = 1 << 28;

/// Bytes that a job writes, from its output address on.
pub(super) struct Output {
    bytes: Vec<u8>,
    /// One bit for each byte that is written.
    mask: Vec<u64>,
    /// Bytes written.
    pub written: u64,
}

impl Output {
    fn new() -> Self {
        Output {
            bytes: Vec::new(),
            mask: Vec::new(),
            written: 0,
        }
    }

    fn put(&mut self, at: i64, byte: u8) -> Check {
        if !(0..MAX_OUTPUT).contains(&at) {
            return Err(FaultKind::NotModelled(
                "TP output before its address or far beyond",
            ));
        }
        let at = at as usize;
        if at >= self.bytes.len() {
            let len = (at + 1).next_multiple_of(64).max(self.bytes.len() * 2);
            self.bytes.resize(len, 0);
            self.mask.resize(len.div_ceil(64), 0);
        }
        let bit = 1 << (at % 64);
        if self.mask[at / 64] & bit != 0 {
            return Err(FaultKind::Field {
                field: "output loops",
                value: at as i64,
                why: "this byte of the output is written twice",
            });
        }
        self.mask[at / 64] |= bit;
        self.bytes[at] = byte;
        self.written += 1;
        Ok(())
    }

    /// Contiguous parts that were written: offset and bytes.
    pub(super) fn spans(&self) -> impl Iterator<Item = (usize, &[u8])> {
        let mut at = 0;
        std::iter::from_fn(move || {
            let start = self.edge(at, true)?;
            let end = self.edge(start, false).unwrap_or(self.bytes.len());
            at = end;
            Some((start, &self.bytes[start..end]))
        })
    }

    /// First byte from `at` on that is written, or is not.
    fn edge(&self, at: usize, written: bool) -> Option<usize> {
        let mut word = at / 64;
        let mut keep = u64::MAX.checked_shl((at % 64) as u32).unwrap_or(0);
        while word < self.mask.len() {
            let bits = if written {
                self.mask[word]
            } else {
                !self.mask[word]
            };
            if bits & keep != 0 {
                return Some(word * 64 + (bits & keep).trailing_zeros() as usize);
            }
            keep = u64::MAX;
            word += 1;
        }
        None
    }
}

/// The seven output loops, as an odometer.
struct Odometer<'a> {
    job: &'a Job,
    counters: [u32; 7],
    at: i64,
    /// Counts; those of loops that run to the tile's edge change with the tile.
    counts: [u32; 7],
}

impl<'a> Odometer<'a> {
    fn new(job: &'a Job) -> Self {
        let mut counts: [u32; 7] = std::array::from_fn(|i| job.loops[i].count);
        counts[6] = u32::MAX;
        Odometer {
            job,
            counters: [0; 7],
            at: 0,
            counts,
        }
    }

    /// A tile of this size starts.
    fn tile(&mut self, columns: u32, rows: u32) -> Check {
        let fault = |field, value: u32| FaultKind::Field {
            field,
            value: value.into(),
            why: "the loop does not end with the tile; what then happens is not known",
        };
        let loops = &self.job.loops;
        for (index, l) in loops.iter().enumerate().take(4).skip(1) {
            if l.reset && self.counters[index] != 0 {
                return Err(fault("OUT_LOOP_RESET", self.counters[index]));
            }
        }
        if loops[1].count == 0 {
            if !columns.is_multiple_of(loops[0].count) {
                return Err(fault("OUT_LOOP_0_COUNT", loops[0].count));
            }
            self.counts[1] = columns / loops[0].count;
        }
        if loops[2].count == 0 {
            self.counts[2] = rows;
        }
        Ok(())
    }

    fn advance(&mut self) {
        for (index, l) in self.job.loops.iter().enumerate() {
            self.counters[index] += 1;
            self.at += l.inc;
            if self.counters[index] < self.counts[index] {
                return;
            }
            self.at -= l.inc * i64::from(self.counters[index]);
            self.counters[index] = 0;
        }
    }
}

/// Runs a job on its input.
pub(super) fn run(job: &Job, input: &[u8], values: &Values) -> Check<Output> {
    let mut output = Output::new();
    let mut odometer = Odometer::new(job);
    let (width, height) = (i64::from(job.width), i64::from(job.height));
    let before = i64::from(job.overfetch.0);
    let planes = i64::from(job.depth) + before + i64::from(job.overfetch.1);
    let (x_end, y_end) = (job.x.1, job.y.1);
    for z in -before..planes - before {
        let inside_z = (0..i64::from(job.depth)).contains(&z);
        for top in (job.y.0..=y_end).step_by(job.tile_inc.1 as usize) {
            for left in (job.x.0..=x_end).step_by(job.tile_inc.0 as usize) {
                let bottom = y_end.min(top + job.tile.1 as i32 - 1);
                let right = x_end.min(left + job.tile.0 as i32 - 1);
                odometer.tile((right - left + 1) as u32, (bottom - top + 1) as u32)?;
                for y in i64::from(top)..=i64::from(bottom) {
                    for x in i64::from(left)..=i64::from(right) {
                        let inside =
                            inside_z && (0..width).contains(&x) && (0..height).contains(&y);
                        let byte = if inside {
                            values.bytes[input[((z * height + y) * width + x) as usize] as usize]
                        } else {
                            values.border
                        };
                        output.put(odometer.at, byte)?;
                        odometer.advance();
                    }
                }
            }
        }
    }
    Ok(output)
}
