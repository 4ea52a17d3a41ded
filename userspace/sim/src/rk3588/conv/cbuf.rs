//! The convolution buffer: 12 banks of 32 KiB that features and weights share.

use super::super::fault::{Check, FaultKind};
use ferrite_hw::rk3588::codes::{CBUF_BANK_BYTES, CBUF_BANK_ENTRIES, CBUF_BANKS};

/// Entries of 64 bytes that one row of a feature cube occupies: `atoms` atoms across the channels
/// of each of `width` pixels. Four atoms share an entry; a remainder of three is not packed.
pub fn row_entries(width: u32, atoms: u32) -> u32 {
    let rest = match atoms % 4 {
        3 => width,
        rest => (rest * width).div_ceil(4),
    };
    (atoms / 4) * width + rest
}

/// Banks that `rows` rows of `entries` entries need.
pub fn data_banks(entries: u32, rows: u32) -> u32 {
    (u64::from(entries) * u64::from(rows))
        .div_ceil(u64::from(CBUF_BANK_ENTRIES))
        .min(u64::from(u32::MAX)) as u32
}

/// How a task divides the buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Split {
    /// Banks of features.
    pub data: u32,
    /// Banks of weights.
    pub weights: u32,
}

impl Split {
    /// Checks the division itself.
    pub(crate) fn check(self) -> Check {
        for (what, banks) in [("data banks", self.data), ("weight banks", self.weights)] {
            if !(1..CBUF_BANKS).contains(&banks) {
                return Err(FaultKind::Cbuf {
                    what,
                    needed: 1,
                    available: u64::from(banks),
                });
            }
        }
        need("all banks", self.data + self.weights, CBUF_BANKS)
    }

    /// Checks that the rows of the task fit.
    pub(crate) fn check_data(self, entries: u32, rows: u32) -> Check {
        need(
            "feature entries of 64 bytes",
            u64::from(entries) * u64::from(rows),
            self.data * CBUF_BANK_ENTRIES,
        )
    }

    /// Checks that a group of 32 kernels fits (weights stream group by group).
    pub(crate) fn check_weights(self, group_bytes: u64) -> Check {
        need(
            "bytes of a kernel group",
            group_bytes,
            self.weights * CBUF_BANK_BYTES,
        )
    }

    /// Whether all weights stay in the buffer after the task.
    pub(crate) fn holds_weights(self, bytes: u64) -> bool {
        bytes <= u64::from(self.weights * CBUF_BANK_BYTES)
    }
}

fn need(what: &'static str, needed: impl Into<u64>, available: u32) -> Check {
    let (needed, available) = (needed.into(), u64::from(available));
    if needed <= available {
        return Ok(());
    }
    Err(FaultKind::Cbuf {
        what,
        needed,
        available,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_of_documented_rows() {
        // (width, atoms, entries) of streams that run on silicon.
        for (width, atoms, entries) in [
            (40, 3, 40),
            (224, 1, 56),
            (56, 9, 126),
            (40, 20, 200),
            (1, 74, 19),
            (14, 32, 112),
        ] {
            assert_eq!(row_entries(width, atoms), entries);
        }
        // Heights around which another project saw corrupt tail rows with 7 and 8 banks.
        assert_eq!((data_banks(19, 188), data_banks(19, 189)), (7, 8));
        assert_eq!((data_banks(19, 215), data_banks(19, 216)), (8, 9));
    }
}
