//! The convolution buffer (CBUF): 12 banks that a task divides between feature data and weights.

/// Banks in a core's CBUF.
pub const BANKS: usize = 12;
/// Bytes in a bank.
pub const BANK_BYTES: usize = 32 * 1024;
/// Data entries (64 bytes) in a bank.
pub const BANK_ENTRIES: usize = 512;

/// Entries that one input row of `width` pixels takes, with `atoms` atoms of 16 bytes per pixel.
///
/// Four atoms share an entry; a remainder of three still costs a whole entry per pixel. Derived from
/// vendor captures and two failure windows of another stack (hardware document, 4.6).
pub fn row_entries(width: usize, atoms: usize) -> usize {
    let whole = atoms / 4 * width;
    let rest = atoms % 4;
    whole
        + if rest == 3 {
            width
        } else {
            (rest * width).div_ceil(4)
        }
}

/// Data banks that `rows` rows of `entries` entries take.
pub fn data_banks(entries: usize, rows: usize) -> usize {
    (entries * rows).div_ceil(BANK_ENTRIES).max(1)
}

/// Rows of `entries` entries that `banks` data banks hold.
pub fn rows_in(banks: usize, entries: usize) -> usize {
    banks * BANK_ENTRIES / entries.max(1)
}

/// Banks that `bytes` of weights take.
pub fn weight_banks(bytes: usize) -> usize {
    bytes.div_ceil(BANK_BYTES).max(1)
}

/// Value of FEATURE_GRAINS: rows to buffer before computing starts (hardware document, 4.7).
pub fn grains(rows: usize, kernel: usize, stride: usize, entries: usize, banks: usize) -> usize {
    let held = rows_in(banks, entries);
    (rows + kernel).min(held.max(kernel + stride + 1)).min(1023)
}
