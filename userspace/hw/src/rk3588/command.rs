//! Command words: what the program counter (PC) fetches and distributes to the blocks.

/// A 64-bit command word: `target[63:48] | value[47:16] | offset[15:0]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Command {
    /// Destination code.
    pub target: u16,
    /// Register value.
    pub value: u32,
    /// Register offset from the core's base, in bytes.
    pub offset: u16,
}

impl Command {
    /// The word as the hardware fetches it.
    pub const fn encode(self) -> u64 {
        (self.target as u64) << 48 | (self.value as u64) << 16 | self.offset as u64
    }

    /// Splits a fetched word.
    pub const fn decode(word: u64) -> Self {
        Command {
            target: (word >> 48) as u16,
            value: (word >> 16) as u32,
            offset: word as u16,
        }
    }
}
