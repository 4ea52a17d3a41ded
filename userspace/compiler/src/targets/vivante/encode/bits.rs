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
        if self.count >= 32 {
            self.bytes.extend((self.pending as u32).to_le_bytes());
            self.pending >>= 32;
            self.count -= 32;
        }
    }

    /// The bytes, zero up to a multiple of `align`.
    pub fn finish(mut self, align: usize) -> Vec<u8> {
        let rest = self.count.div_ceil(8) as usize;
        self.bytes.extend(&self.pending.to_le_bytes()[..rest]);
        self.bytes
            .resize(self.bytes.len().next_multiple_of(align), 0);
        self.bytes
    }
}
