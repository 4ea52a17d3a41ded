//! Command words: what the program counter (PC) fetches and distributes to the blocks.

use super::pc;
use super::table::Register;

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

/// Target of the marker word that must precede the enable word.
pub const TARGET_MARKER: u16 = 0x0041;
/// Target of the enable word: its value is a mask of [`super::codes::enable`] bits.
pub const TARGET_ENABLE: u16 = 0x0081;
/// Offset field of the enable word.
pub const ENABLE_OFFSET: u16 = 0x0008;
/// Words of a segment's tail.
pub const TAIL_WORDS: usize = 4;

impl Register {
    /// The command that writes `value`; `None` for blocks that commands cannot reach.
    pub const fn write(&self, value: u32) -> Option<Command> {
        match self.block.target() {
            Some(target) => Some(Command {
                target,
                value,
                offset: self.offset,
            }),
            None => None,
        }
    }
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

    /// The marker word.
    pub const fn marker() -> Self {
        Command {
            target: TARGET_MARKER,
            value: 0,
            offset: 0,
        }
    }

    /// The word that starts the blocks of `mask` ([`super::codes::enable`]).
    pub const fn enable(mask: u32) -> Self {
        Command {
            target: TARGET_ENABLE,
            value: mask,
            offset: ENABLE_OFFSET,
        }
    }

    /// What the word addresses.
    pub fn register(self) -> Option<&'static Register> {
        super::table::Block::from_target(self.target)?.register(self.offset)
    }
}

/// The amount field for a segment of `words` commands, tail included: 128-bit fetches minus one.
pub const fn segment_amount(words: usize) -> u32 {
    (words.div_ceil(2) as u32).saturating_sub(1)
}

/// Where a segment's tail links to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// Address of the next segment, a multiple of 16 (64 by custom).
    pub address: u32,
    /// Commands of the next segment, tail included.
    pub words: usize,
}

/// The four words that end a segment. Without a link it is the last one of its kick.
pub const fn tail(next: Option<Link>, enable_mask: u32) -> [Command; TAIL_WORDS] {
    let (address, amount) = match next {
        Some(link) => (link.address, segment_amount(link.words)),
        None => (0, 0),
    };
    [
        Command {
            target: 0x0101,
            value: address,
            offset: pc::BASE_ADDRESS.offset,
        },
        Command {
            target: 0x0101,
            value: amount,
            offset: pc::REGISTER_AMOUNTS.offset,
        },
        Command::marker(),
        Command::enable(enable_mask),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_match_the_captured_bodies() {
        for (body, amount) in [(108, 55), (104, 53), (69, 36), (26, 14), (17, 10)] {
            assert_eq!(segment_amount(body + TAIL_WORDS), amount);
        }
    }

    #[test]
    fn tail_words_are_the_captured_ones() {
        let words: Vec<u64> = tail(None, 0x1d).iter().map(|c| c.encode()).collect();
        assert_eq!(
            words,
            [
                0x0101_0000_0000_0010,
                0x0101_0000_0000_0014,
                0x0041_0000_0000_0000,
                0x0081_0000_001d_0008
            ]
        );
    }
}
