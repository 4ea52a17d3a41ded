//! Command streams and descriptors as text.
//!
//! The text is exact: [`super::asm`] turns it back into the same words, whatever they are. A
//! stream has one line per command, a descriptor one line per field that is not 0:
//!
//! ```text
//! load PS_NN_INST_ADDR 0xdff47000
//! stall 0x701
//! nn
//!   KERNEL_X_SIZE = 2
//!   KERNEL_ADDRESS = 0xdff48000
//! end
//! ```

use super::command::Command;
use super::field::{Coding, Field, Unit, Words, reserved};
use super::{nn, state, tp};
use std::fmt::{self, Write};

/// Kinds of descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Neural network: a convolution.
    Nn,
    /// Tensor processing.
    Tp,
}

impl Kind {
    /// Word that opens the text of a descriptor.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Nn => "nn",
            Kind::Tp => "tp",
        }
    }

    /// The fields of the descriptor.
    pub const fn fields(self) -> &'static [&'static Field] {
        match self {
            Kind::Nn => nn::FIELDS,
            Kind::Tp => tp::FIELDS,
        }
    }
}

/// Disassembles a command stream.
pub fn stream(words: &[u32]) -> String {
    let mut text = String::new();
    let mut rest = words;
    while !rest.is_empty() {
        // Writing to a String cannot fail.
        match exact(rest) {
            Some((command, len)) => {
                let _ = writeln!(text, "{command}");
                rest = &rest[len..];
            }
            None => {
                let len = rest.len().min(2);
                let _ = write!(text, "raw");
                for word in &rest[..len] {
                    let _ = write!(text, " {word:#x}");
                }
                let _ = writeln!(text);
                rest = &rest[len..];
            }
        }
    }
    text
}

/// The command at the start of `words`, if its words are exactly what encoding it gives.
fn exact(words: &[u32]) -> Option<(Command, usize)> {
    let (command, len) = Command::decode(words).ok()?;
    let mut again = Vec::with_capacity(len);
    command.encode(&mut again);
    (again == words[..len]).then_some((command, len))
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Command::Empty => f.write_str("empty"),
            Command::LoadState { state, data } => {
                f.write_str("load ")?;
                match state::name(*state) {
                    Some(name) => f.write_str(name)?,
                    None => write!(f, "{state:#x}")?,
                }
                data.iter().try_for_each(|word| write!(f, " {word:#x}"))
            }
            Command::End => f.write_str("end"),
            Command::Nop => f.write_str("nop"),
            Command::Wait { cycles } => write!(f, "wait {cycles}"),
            Command::Link { prefetch, address } => write!(f, "link {prefetch} {address:#x}"),
            Command::Stall { token } => write!(f, "stall {token:#x}"),
            Command::Unknown { words } => write!(f, "raw {:#x} {:#x}", words[0], words[1]),
        }
    }
}

/// Disassembles a descriptor.
pub fn descriptor(kind: Kind, words: &Words) -> String {
    let mut text = format!("{}\n", kind.name());
    for field in kind.fields() {
        if field.bits(words) != 0 {
            let _ = writeln!(text, "  {} = {}", field.name, Value(field, words));
        }
    }
    for (index, word) in reserved(kind.fields(), words).into_iter().enumerate() {
        if word != 0 {
            let _ = writeln!(text, "  reserved {index} = {word:#x}");
        }
    }
    text.push_str("end\n");
    text
}

struct Value<'a>(&'a Field, &'a Words);

impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.0.get(self.1);
        match (self.0.unit, self.0.coding) {
            (Unit::Raw | Unit::Address, _) | (_, Coding::Granules(_)) => write!(f, "{value:#x}"),
            _ => write!(f, "{value}"),
        }
    }
}
