//! A task's registers: set by name, written out completely.

use ferrite_hw::rk3588::Command;
use ferrite_hw::rk3588::codes::S_POINTER_PING_PONG;
use ferrite_hw::rk3588::table::{Block, Field, FieldOverflow, Register, Seen};

use crate::executable::BufferId;

/// What a register is set to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value {
    /// A plain value.
    Word(u32),
    /// The device address of a buffer plus an offset.
    Address(BufferId, u32),
}

/// Words of a block's window that hold registers, and of the windows up to the last block's.
const WINDOW: usize = 128;
const WORDS: usize = 6 * WINDOW;

/// Where the word of the register at `offset` is kept.
fn place(offset: u16) -> usize {
    let (window, word) = (usize::from(offset >> 12), usize::from(offset & 0xfff) / 4);
    debug_assert!(
        word < WINDOW,
        "{offset:#x} is beyond the registers of its block"
    );
    window * WINDOW + word
}

/// Registers of the blocks that a task enables. They keep their values from task to task, so those
/// that are not set are zero.
#[derive(Clone, Debug)]
pub struct Registers {
    words: [u32; WORDS],
    /// Addresses with the offset of their register, in its order.
    addresses: Vec<(u16, BufferId, u32)>,
}

impl Default for Registers {
    /// Nothing is set.
    fn default() -> Self {
        Registers {
            words: [0; WORDS],
            addresses: Vec::new(),
        }
    }
}

impl Registers {
    /// Forgets what has been set.
    pub fn clear(&mut self) {
        self.words.fill(0);
        self.addresses.clear();
    }

    /// Sets all fields of a register; those not named are zero. Quantities are coded as the field
    /// says (pixels minus one, say).
    // What is known of constant fields shrinks this to a few instructions.
    #[inline(always)]
    pub fn set<const N: usize>(
        &mut self,
        register: Register,
        fields: [(Field, i64); N],
    ) -> Result<(), FieldOverflow> {
        let mut word = 0;
        for (field, value) in fields {
            word |= field.encode(value)?;
        }
        self.word(register, word);
        Ok(())
    }

    /// Sets a whole register.
    #[inline(always)]
    pub fn word(&mut self, register: Register, word: u32) {
        self.words[place(register.offset)] = word;
    }

    /// Sets a register to an address.
    pub fn address(&mut self, register: Register, buffer: BufferId, offset: usize) {
        let before = |address: &(u16, _, _)| address.0 < register.offset;
        let place = self.addresses.partition_point(before);
        self.addresses
            .insert(place, (register.offset, buffer, offset as u32));
    }

    /// What a register is set to.
    #[cfg(test)]
    pub fn value(&self, register: &Register) -> Value {
        let address = self.addresses.iter().find(|a| a.0 == register.offset);
        match address {
            Some(&(_, buffer, offset)) => Value::Address(buffer, offset),
            None => Value::Word(self.words[place(register.offset)]),
        }
    }
}

/// The commands that write every programmable register of some blocks.
#[derive(Clone, Debug)]
pub struct Body {
    /// The word of each command, with the values of registers that no task sets, and where the word
    /// of its register is kept; by ascending offset of the register.
    commands: Vec<(u64, u16)>,
}

impl Body {
    /// For `blocks`, which are in ascending order. The kernel driver writes S_POINTER of CNA and
    /// CORE; the other blocks' are armed here.
    pub fn of(blocks: &[Block]) -> Self {
        let registers = blocks.iter().flat_map(|block| block.registers());
        let commands = registers.filter_map(|register| {
            let value = match register.name {
                "S_POINTER" if matches!(register.block, Block::Cna | Block::Core) => return None,
                "S_POINTER" => S_POINTER_PING_PONG,
                _ => 0,
            };
            let programmable = matches!(register.seen, Seen::Programmed | Seen::DefaultOnly);
            let command = register.write(value).filter(|_| programmable)?;
            Some((command.encode(), place(command.offset) as u16))
        });
        Body {
            commands: commands.collect(),
        }
    }

    /// Number of words.
    pub fn words(&self) -> usize {
        self.commands.len()
    }

    /// The commands.
    #[cfg(test)]
    pub fn commands(&self) -> Vec<Command> {
        let words = self.commands.iter().map(|(word, _)| *word);
        words.map(Command::decode).collect()
    }

    /// Appends the words that set `registers` to `words`. Calls `relocate` for those that take an
    /// address, in ascending order: index in `words`, buffer and offset.
    pub fn write(
        &self,
        registers: &Registers,
        words: &mut Vec<u64>,
        mut relocate: impl FnMut(usize, BufferId, u32),
    ) {
        let start = words.len();
        words.extend(self.commands.iter().map(|&(word, place)| {
            let value = Command {
                target: 0,
                value: registers.words[usize::from(place)],
                offset: 0,
            };
            word | value.encode()
        }));
        for &(offset, buffer, addend) in &registers.addresses {
            let key = place(offset) as u16;
            let found = self.commands.binary_search_by_key(&key, |c| c.1);
            if let Ok(index) = found {
                relocate(start + index, buffer, addend);
            }
        }
    }
}
