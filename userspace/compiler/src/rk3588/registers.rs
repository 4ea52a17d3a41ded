//! A task's registers: set by name, written out completely.

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

/// Registers of the blocks that a task enables.
#[derive(Clone, Debug, Default)]
pub struct Registers {
    /// In the order in which they were set, which is about that of their offsets. The last value of
    /// a register counts.
    values: Vec<(u16, Value)>,
}

impl Registers {
    /// Sets all fields of a register; those not named are zero. Quantities are coded as the field
    /// says (pixels minus one, say).
    pub fn set<const N: usize>(
        &mut self,
        register: Register,
        fields: [(Field, i64); N],
    ) -> Result<(), FieldOverflow> {
        let mut word = 0;
        for (field, value) in fields {
            word |= field.encode(value)?;
        }
        self.put(register, Value::Word(word));
        Ok(())
    }

    /// Sets a whole register.
    pub fn word(&mut self, register: Register, word: u32) {
        self.put(register, Value::Word(word));
    }

    /// Sets a register to an address.
    pub fn address(&mut self, register: Register, buffer: BufferId, offset: usize) {
        self.put(register, Value::Address(buffer, offset as u32));
    }

    fn put(&mut self, register: Register, value: Value) {
        self.values.push((register.offset, value));
    }

    /// Every programmable register of `blocks` in ascending order. Registers keep their values from
    /// task to task, so those not set are written as zero. The kernel driver writes S_POINTER of CNA
    /// and CORE; the other blocks' are armed here.
    pub fn body(&self, blocks: &[Block]) -> Vec<(&'static Register, Value)> {
        let mut body = Vec::with_capacity(160);
        let mut values = self.values.clone();
        values.sort_by_key(|&(offset, _)| offset);
        let value = |offset: u16| {
            let end = values.partition_point(|&(before, _)| before <= offset);
            match values[..end].last() {
                Some(&(found, value)) if found == offset => value,
                _ => Value::Word(0),
            }
        };
        for &block in blocks {
            for register in block.registers() {
                if !matches!(register.seen, Seen::Programmed | Seen::DefaultOnly) {
                    continue;
                }
                if register.name == "S_POINTER" {
                    if !matches!(block, Block::Cna | Block::Core) {
                        body.push((register, Value::Word(S_POINTER_PING_PONG)));
                    }
                    continue;
                }
                body.push((register, value(register.offset)));
            }
        }
        body
    }
}
