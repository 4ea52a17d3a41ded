//! A task's registers: set by name, written out completely.

use ferrite_hw::rk3588::Command;
use ferrite_hw::rk3588::codes::S_POINTER_PING_PONG;
use ferrite_hw::rk3588::table::{Block, Field, FieldOverflow, Register, Seen};

use crate::executable::BufferId;

/// What a register is set to.
#[cfg(test)]
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

/// The bits of a command that hold the register's value.
const VALUE: u64 = word(u32::MAX);

/// A value where a command has it.
const fn word(value: u32) -> u64 {
    Command {
        target: 0,
        value,
        offset: 0,
    }
    .encode()
}

/// What stands for the command of a register that is not written.
const NONE: u8 = u8::MAX;

/// Registers of the blocks that a task enables, as the commands that write all of them. They keep
/// their values from task to task, so those that are not set are zero.
#[derive(Clone, Debug)]
pub struct Registers {
    /// By ascending offset, with the values of registers that no task sets.
    unset: Vec<u64>,
    /// The same with what has been set.
    commands: Vec<u64>,
    /// Index of the command, by the place of its register.
    index: [u8; WORDS],
    /// Addresses with the index of their command, in its order.
    addresses: Vec<(u8, BufferId, u32)>,
}

impl Registers {
    /// Of `blocks`, which are in ascending order; nothing is set. The kernel driver writes S_POINTER
    /// of CNA and CORE; the other blocks' are armed here.
    pub fn of(blocks: &[Block]) -> Self {
        let (mut unset, mut index) = (Vec::new(), [NONE; WORDS]);
        for register in blocks.iter().flat_map(|block| block.registers()) {
            let value = match register.name {
                "S_POINTER" if matches!(register.block, Block::Cna | Block::Core) => continue,
                "S_POINTER" => S_POINTER_PING_PONG,
                _ => 0,
            };
            let programmable = matches!(register.seen, Seen::Programmed | Seen::DefaultOnly);
            if let Some(command) = register.write(value).filter(|_| programmable) {
                index[place(register.offset)] = unset.len() as u8;
                unset.push(command.encode());
            }
        }
        debug_assert!(unset.len() < usize::from(NONE));
        Registers {
            commands: unset.clone(),
            unset,
            index,
            addresses: Vec::new(),
        }
    }

    /// Forgets what has been set.
    pub fn clear(&mut self) {
        self.commands.copy_from_slice(&self.unset);
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
    pub fn word(&mut self, register: Register, value: u32) {
        let index = self.index[place(register.offset)];
        if let Some(command) = self.commands.get_mut(usize::from(index)) {
            *command = *command & !VALUE | word(value);
        }
    }

    /// Sets a register to an address.
    pub fn address(&mut self, register: Register, buffer: BufferId, offset: usize) {
        let index = self.index[place(register.offset)];
        if index != NONE {
            let place = self.addresses.partition_point(|address| address.0 < index);
            self.addresses.insert(place, (index, buffer, offset as u32));
        }
    }

    /// Number of commands.
    pub fn count(&self) -> usize {
        self.commands.len()
    }

    /// Appends the words that set the registers to `words`. Calls `relocate` for those that take an
    /// address, in ascending order: index in `words`, buffer and offset.
    pub fn write(&self, words: &mut Vec<u64>, mut relocate: impl FnMut(usize, BufferId, u32)) {
        let start = words.len();
        words.extend_from_slice(&self.commands);
        for &(index, buffer, offset) in &self.addresses {
            relocate(start + usize::from(index), buffer, offset);
        }
    }

    /// The commands, and what they set their registers to.
    #[cfg(test)]
    pub fn values(&self) -> impl Iterator<Item = (Command, Value)> {
        self.commands.iter().zip(0..).map(|(word, index)| {
            let command = Command::decode(*word);
            let address = self.addresses.iter().find(|address| address.0 == index);
            let value = match address {
                Some(&(_, buffer, offset)) => Value::Address(buffer, offset),
                None => Value::Word(command.value),
            };
            (command, value)
        })
    }
}
