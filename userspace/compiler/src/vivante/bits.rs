//! A string of bits, packed from the least significant bit of little-endian 32-bit words on.

/// Writer of a bit string.
#[derive(Debug, Default)]
pub struct BitWriter {
    bytes: Vec<u8>,
    pending: u64,
    count: u32,
}

impl BitWriter {
    /// Appends the low `bits` (at most 32) of `value`.
    pub fn push(&mut self, value: u32, bits: u32) {
        debug_assert!(bits == 32 || u64::from(value) < 1 << bits);
        self.pending |= u64::from(value) << self.count;
        self.count += bits;
        while self.count >= 8 {
            self.bytes.push(self.pending as u8);
            self.pending >>= 8;
            self.count -= 8;
        }
    }

    /// The bytes, zero up to a multiple of `align`.
    pub fn finish(mut self, align: usize) -> Vec<u8> {
        if self.count > 0 {
            self.bytes.push(self.pending as u8);
        }
        self.bytes
            .resize(self.bytes.len().next_multiple_of(align), 0);
        self.bytes
    }
}
