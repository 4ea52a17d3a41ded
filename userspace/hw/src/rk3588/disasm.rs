//! Command words as text: one line a word, each field by name.
//!
//! The text is exact: [`super::asm::assemble`] turns it back into the same words, whatever they are.
//!
//! ```text
//! CNA.DATA_SIZE0 DATAIN_WIDTH=224 DATAIN_HEIGHT=31
//! DPU.DATA_CUBE_WIDTH WIDTH=112-1
//! marker
//! enable CNA|CORE|DPU|DPU_RDMA
//! ```
//!
//! Fields that are 0 are left out. A field that holds a quantity minus one prints as `112-1`;
//! bits in no field print as `reserved=`; words that address no known register print as `raw`.

use super::codes::{Precision, enable};
use super::command::{Command, ENABLE_OFFSET, TARGET_ENABLE, TARGET_MARKER};
use super::table::{Coding, Field, Register, Unit};
use std::fmt::{self, Write};

/// Names of the codes of [`Unit::ElementSize`].
pub(super) const ELEMENT_SIZES: [&str; 4] = ["4bit", "8bit", "16bit", "32bit"];

/// A command word that prints itself as one line of assembly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line(pub u64);

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let command = Command::decode(self.0);
        match command {
            Command {
                target: 0,
                value: 0,
                offset: 0,
            } => f.write_str("nop"),
            Command {
                target: TARGET_MARKER,
                value: 0,
                offset: 0,
            } => f.write_str("marker"),
            Command {
                target: TARGET_ENABLE,
                offset: ENABLE_OFFSET,
                value,
            } => write_enable(f, value),
            _ => match command.register() {
                Some(register) => write_register(f, register, command.value),
                None => write!(f, "raw {:#018x}", self.0),
            },
        }
    }
}

fn write_enable(f: &mut fmt::Formatter<'_>, mask: u32) -> fmt::Result {
    f.write_str("enable ")?;
    let mut rest = mask;
    let mut separator = "";
    for (bit, name) in enable::NAMES {
        if mask & bit != 0 {
            write!(f, "{separator}{name}")?;
            separator = "|";
            rest &= !bit;
        }
    }
    if rest != 0 || mask == 0 {
        write!(f, "{separator}{rest:#x}")?;
    }
    Ok(())
}

fn write_register(f: &mut fmt::Formatter<'_>, register: &Register, value: u32) -> fmt::Result {
    write!(f, "{}.{}", register.block.name(), register.name)?;
    for field in register.fields {
        if field.get(value) != 0 {
            write!(f, " {}={}", field.name, FieldText(*field, value))?;
        }
    }
    let reserved = value & !register.defined();
    if reserved != 0 {
        write!(f, " reserved={reserved:#x}")?;
    }
    Ok(())
}

/// A field's part of a register value, as text.
pub struct FieldText(pub Field, pub u32);

impl fmt::Display for FieldText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let FieldText(field, word) = *self;
        let bits = field.get(word);
        match (field.unit, field.coding) {
            (Unit::Precision, _) => f.write_str(Precision::from_code(bits).name()),
            (Unit::ElementSize, _) => f.write_str(ELEMENT_SIZES[(bits & 3) as usize]),
            (Unit::Raw | Unit::Address | Unit::Address16, Coding::Plain) => write!(f, "{bits:#x}"),
            (_, Coding::MinusOne) => write!(f, "{}-1", field.value(word)),
            (_, Coding::Plain | Coding::Signed) => write!(f, "{}", field.value(word)),
        }
    }
}

/// Disassembles a command list. A blank line follows each enable word: it ends a segment.
pub fn disassemble(words: &[u64]) -> String {
    let mut text = String::with_capacity(words.len() * 40);
    for &word in words {
        let gap = if Command::decode(word).target == TARGET_ENABLE {
            "\n"
        } else {
            ""
        };
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{}{gap}", Line(word));
    }
    text
}
