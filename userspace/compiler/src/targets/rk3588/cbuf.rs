//! The convolution buffer (CBUF): banks that a task divides between feature data and weights.

use ferrite_hw::rk3588::Parameters;

/// Entries that one input row of `width` pixels takes, with `atoms` atoms per pixel.
///
/// Atoms fill entries; of those that remain, as many pixels share an entry as have room in one. Of the
/// RK3588, where four atoms are an entry, a remainder of three still costs a whole entry per pixel: vendor
/// captures and two failure windows of another stack (hardware document, 4.6).
pub fn row_entries(chip: &Parameters, width: usize, atoms: usize) -> usize {
    let entry = chip.entry_atoms();
    let whole = atoms / entry * width;
    match atoms % entry {
        0 => whole,
        rest => whole + width.div_ceil(entry / rest),
    }
}

/// Data banks that `rows` rows of `entries` entries take.
pub fn data_banks(chip: &Parameters, entries: usize, rows: usize) -> usize {
    (entries * rows).div_ceil(chip.cbuf_bank_entries()).max(1)
}

/// Rows of `entries` entries that `banks` data banks hold.
pub fn rows_in(chip: &Parameters, banks: usize, entries: usize) -> usize {
    banks * chip.cbuf_bank_entries() / entries.max(1)
}

/// Banks that `bytes` of weights take.
pub fn weight_banks(chip: &Parameters, bytes: usize) -> usize {
    bytes.div_ceil(chip.cbuf_bank_bytes).max(1)
}

/// Value of FEATURE_GRAINS: rows to buffer before computing starts (hardware document, 4.7).
pub fn grains(rows: usize, kernel: usize, stride: usize, held: usize) -> usize {
    (rows + kernel).min(held.max(kernel + stride + 1)).min(1023)
}
