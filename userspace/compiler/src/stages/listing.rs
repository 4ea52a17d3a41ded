//! The commands of an executable as text.
//!
//! Comments begin with `;`, so that the text of an RK3588 executable assembles to the commands of
//! all tasks in order. Stored addresses are relative to their buffers; what is to be added is said
//! behind the command. Descriptors of the A311D are comments behind the command that starts them.

use std::fmt::Write;

use ferrite_hw::rk3588;
use ferrite_hw::vivante::disasm::{self, Kind};
use ferrite_hw::vivante::field::{Field, Unit};
use ferrite_hw::vivante::{Command, Words, nn, state};

use super::places::{Place, Relocations, role, step};
use crate::executable::{BufferId, Executable, Region, Step, Target, Task};

/// Bytes of a descriptor.
pub(super) const DESCRIPTOR: usize = size_of::<Words>();

/// A task whose commands are not in its executable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a task's commands {0:?} do not exist")]
pub struct NoCommands(pub Region);

/// What one task consists of.
pub struct TaskListing {
    /// The commands, one a line.
    pub commands: Vec<String>,
    /// What is to be added to the address in a command.
    addresses: Vec<Option<String>>,
    /// The descriptors that the commands start, and the command that starts each.
    descriptors: Vec<(usize, String)>,
}

impl TaskListing {
    /// The descriptors that the commands start, in order.
    pub fn descriptors(&self) -> impl Iterator<Item = &str> {
        self.descriptors.iter().map(|(_, text)| text.as_str())
    }

    fn write(&self, text: &mut String) {
        let mut descriptors = self.descriptors.iter().peekable();
        // Writing to a string cannot fail.
        for (number, (command, address)) in self.commands.iter().zip(&self.addresses).enumerate() {
            text.push_str(command);
            if let Some(address) = address {
                let _ = write!(text, " ; + {address}");
            }
            text.push('\n');
            while let Some((_, descriptor)) = descriptors.next_if(|(start, _)| *start == number) {
                for line in descriptor.lines() {
                    let _ = writeln!(text, ";   {line}");
                }
            }
        }
        text.push('\n');
    }
}

/// Prints tasks of one executable.
pub struct Printer<'e> {
    executable: &'e Executable,
    relocations: Relocations<'e>,
}

impl<'e> Printer<'e> {
    /// For the tasks of this executable.
    pub fn new(executable: &'e Executable) -> Self {
        Printer {
            executable,
            relocations: Relocations::of(executable),
        }
    }

    /// A task's commands and descriptors.
    ///
    /// # Errors
    /// If the task refers to bytes that the executable does not have.
    pub fn task(&self, task: &Task) -> Result<TaskListing, NoCommands> {
        let words = self.words(task)?;
        Ok(match self.executable.target {
            Target::Rk3588 => self.rk3588(task, &words),
            Target::A311d => self.a311d(task, &words),
        })
    }

    /// The command words of a task as they are stored.
    fn words(&self, task: &Task) -> Result<Vec<u64>, NoCommands> {
        let region = task.commands;
        let end = task
            .words
            .checked_mul(8)
            .and_then(|len| len.checked_add(region.offset));
        let init = self.bytes(region.buffer);
        let bytes = init
            .as_ref()
            .zip(end)
            .and_then(|(init, end)| init.get(region.offset..end))
            .ok_or(NoCommands(region))?;
        let words = bytes.as_chunks().0.iter();
        Ok(words.map(|&word| u64::from_le_bytes(word)).collect())
    }

    fn bytes(&self, buffer: BufferId) -> Option<std::borrow::Cow<'_, [u8]>> {
        let buffer = self.executable.buffers.get(buffer)?;
        Some(buffer.init.bytes())
    }

    /// What is to be added to the address at a place.
    fn address(&self, buffer: BufferId, offset: usize) -> Option<String> {
        let relocation = self.relocations.at(buffer, offset)?;
        Some(Place::target(self.executable, relocation).to_string())
    }

    fn rk3588(&self, task: &Task, words: &[u64]) -> TaskListing {
        let Region { buffer, offset, .. } = task.commands;
        let line = |&word| rk3588::disasm::Line(word).to_string();
        TaskListing {
            commands: words.iter().map(line).collect(),
            addresses: (0..words.len())
                .map(|word| self.address(buffer, offset + 8 * word))
                .collect(),
            descriptors: Vec::new(),
        }
    }

    fn a311d(&self, task: &Task, pairs: &[u64]) -> TaskListing {
        let Region { buffer, offset, .. } = task.commands;
        let halves = |pair: &u64| [*pair as u32, (pair >> 32) as u32];
        let words: Vec<u32> = pairs.iter().flat_map(halves).collect();
        let mut listing = TaskListing {
            commands: Vec::new(),
            addresses: Vec::new(),
            descriptors: Vec::new(),
        };
        let mut at = 0;
        while at < words.len() {
            let (command, len) = match Command::decode(&words[at..]) {
                Ok((command, len)) => (Some(command), len),
                Err(_) => (None, words.len() - at),
            };
            let kind = match command {
                Some(Command::LoadState { state, .. }) if state == state::PS_NN_INST_ADDR => {
                    Some(Kind::Nn)
                }
                Some(Command::LoadState { state, .. }) if state == state::PS_TP_INST_ADDR => {
                    Some(Kind::Tp)
                }
                _ => None,
            };
            let operand = offset + 4 * (at + 1);
            let lines = disasm::stream(&words[at..at + len]);
            listing.commands.extend(lines.lines().map(str::to_owned));
            listing.addresses.resize(listing.commands.len(), None);
            if let Some(last) = listing.addresses.last_mut() {
                *last = self.address(buffer, operand);
            }
            if let Some(kind) = kind
                && let Some(start) = self.relocations.at(buffer, operand)
                && let Some(text) = self.descriptor(kind, start.target, start.addend as usize)
            {
                listing.descriptors.push((listing.commands.len() - 1, text));
            }
            at += len;
        }
        listing
    }

    /// The descriptor at a place, with what is to be added to its addresses.
    fn descriptor(&self, kind: Kind, buffer: BufferId, first: usize) -> Option<String> {
        let init = self.bytes(buffer)?;
        let bytes = init.get(first..first.checked_add(DESCRIPTOR)?)?;
        let mut words = Words::default();
        for (word, bytes) in words.iter_mut().zip(bytes.as_chunks::<4>().0) {
            *word = u32::from_le_bytes(*bytes);
        }
        let mut text = disasm::descriptor(kind, &words);
        for relocation in self.relocations.within(buffer, first, DESCRIPTOR) {
            let to = Place::target(self.executable, relocation);
            let _ = writeln!(text, "{} + {to}", field(relocation.offset - first));
        }
        Some(text)
    }
}

/// Name of the address at a byte of a descriptor.
pub(super) fn field(offset: usize) -> &'static str {
    let holds = |field: &&&Field| {
        field.unit == Unit::Address && usize::from(field.pieces[0].word) * 4 == offset
    };
    nn::FIELDS.iter().find(holds).map_or("unknown", |f| f.name)
}

/// The buffers and the steps of an inference, with the commands of each task.
///
/// # Errors
/// If a task refers to bytes that the executable does not have.
pub fn listing(executable: &Executable) -> Result<String, NoCommands> {
    let printer = Printer::new(executable);
    let mut text = String::new();
    for (id, buffer) in &executable.buffers {
        let (name, size, given) = (role(buffer.role), buffer.size, buffer.init.len());
        let _ = writeln!(
            text,
            "; buffer {}: {name}, {size} bytes, {given} of them given",
            id.as_u32()
        );
    }
    for (index, each) in executable.steps.iter().enumerate() {
        let _ = writeln!(text, "; step {index}: {}", step(executable, each));
        let Step::Submit(jobs) = each else { continue };
        for (number, job) in jobs.iter().enumerate() {
            let ops: Vec<u32> = job.ops.iter().map(|op| op.as_u32()).collect();
            let after = &job.after;
            let _ = writeln!(
                text,
                "\n; job {number} for operators {ops:?}, after jobs {after:?}"
            );
            for (number, task) in job.tasks.iter().enumerate() {
                let _ = writeln!(text, "; task {number}: {} words", task.words);
                printer.task(task)?.write(&mut text);
            }
        }
    }
    Ok(text)
}
