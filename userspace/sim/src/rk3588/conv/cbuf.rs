//! The convolution buffer: banks that features and weights share.

use super::super::fault::{Check, FaultKind};
use ferrite_hw::rk3588::Parameters;

/// Entries that one row of a feature cube occupies: `atoms` atoms across the channels of each of `width`
/// pixels. Entries are filled with whole atoms of a pixel; what remains of a pixel's atoms is packed with
/// that of others if an entry holds it whole: of the RK3588's four, one or two, and not three.
pub fn row_entries(chip: &Parameters, width: u32, atoms: u32) -> u32 {
    let entry = chip.entry_atoms() as u32;
    let packed = match atoms % entry {
        0 => 0,
        rest => width.div_ceil(entry / rest),
    };
    (atoms / entry) * width + packed
}

/// Banks that `rows` rows of `entries` entries need.
pub fn data_banks(chip: &Parameters, entries: u32, rows: u32) -> u32 {
    (u64::from(entries) * u64::from(rows))
        .div_ceil(chip.cbuf_bank_entries() as u64)
        .min(u64::from(u32::MAX)) as u32
}

/// How a task divides the buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Split {
    /// Banks of features.
    pub data: u32,
    /// Banks of weights.
    pub weights: u32,
    /// Sizes of the chip.
    pub chip: &'static Parameters,
}

impl Split {
    /// Checks the division itself.
    pub(crate) fn check(self) -> Check {
        let all = self.chip.cbuf_banks as u32;
        for (what, banks) in [("data banks", self.data), ("weight banks", self.weights)] {
            if !(1..all).contains(&banks) {
                return Err(FaultKind::Cbuf {
                    what,
                    needed: 1,
                    available: u64::from(banks),
                });
            }
        }
        need("all banks", self.data + self.weights, u64::from(all))
    }

    /// Checks that the rows of the task fit.
    pub(crate) fn check_data(self, entries: u32, rows: u32) -> Check {
        need(
            "feature entries",
            u64::from(entries) * u64::from(rows),
            u64::from(self.data) * self.chip.cbuf_bank_entries() as u64,
        )
    }

    /// Bytes of the banks of weights.
    fn weight_room(self) -> u64 {
        u64::from(self.weights) * self.chip.cbuf_bank_bytes as u64
    }

    /// Checks that a group of kernels fits (weights stream group by group).
    pub(crate) fn check_weights(self, group_bytes: u64) -> Check {
        need("bytes of a kernel group", group_bytes, self.weight_room())
    }

    /// Whether all weights stay in the buffer after the task.
    pub(crate) fn holds_weights(self, bytes: u64) -> bool {
        bytes <= self.weight_room()
    }
}

fn need(what: &'static str, needed: impl Into<u64>, available: u64) -> Check {
    let needed = needed.into();
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
    use ferrite_hw::rk3588::parameters::RK3588;

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
            assert_eq!(row_entries(&RK3588, width, atoms), entries);
        }
        // Heights around which another project saw corrupt tail rows with 7 and 8 banks.
        assert_eq!(
            (data_banks(&RK3588, 19, 188), data_banks(&RK3588, 19, 189)),
            (7, 8)
        );
        assert_eq!(
            (data_banks(&RK3588, 19, 215), data_banks(&RK3588, 19, 216)),
            (8, 9)
        );
    }
}
