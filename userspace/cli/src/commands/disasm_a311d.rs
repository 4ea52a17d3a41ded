//! Command streams of the A311D as text, each with the descriptors that it starts.

use ferrite_compiler::executable::{BufferId, Executable, Relocation, Task};
use ferrite_hw::vivante::disasm::{self, Kind};
use ferrite_hw::vivante::{Command, Words, state};
use serde_json::{Value, json};
use std::fmt::Write;

/// Bytes of a descriptor.
const DESCRIPTOR: usize = size_of::<Words>();

/// Appends a task to `text`: the front end's commands, and as comments the descriptors, whose
/// addresses are relative to the buffers named behind them.
pub fn task(executable: &Executable, task: &Task, commands: &[u64], text: &mut String) -> Value {
    let words: Vec<u32> = commands
        .iter()
        .flat_map(|pair| [*pair as u32, (pair >> 32) as u32])
        .collect();
    let (mut listed, mut jobs) = (Vec::new(), Vec::new());
    let mut at = 0;
    while at < words.len() {
        let (command, len) = match Command::decode(&words[at..]) {
            Ok((command, len)) => (Some(command), len),
            Err(_) => (None, words.len() - at),
        };
        let lines = disasm::stream(&words[at..at + len]);
        text.push_str(&lines);
        listed.extend(lines.lines().map(str::to_owned));
        let kind = match command {
            Some(Command::LoadState { state, .. }) if state == state::PS_NN_INST_ADDR => {
                Some(Kind::Nn)
            }
            Some(Command::LoadState { state, .. }) if state == state::PS_TP_INST_ADDR => {
                Some(Kind::Tp)
            }
            _ => None,
        };
        let place = task.commands.offset + 4 * (at + 1);
        if let Some(kind) = kind
            && let Some(start) = relocation(executable, task.commands.buffer, place)
            && let Some(described) = descriptor(executable, kind, start)
        {
            for line in described.lines() {
                let _ = writeln!(text, ";   {line}");
            }
            jobs.push(described);
        }
        at += len;
    }
    text.push('\n');
    json!({ "commands": listed, "descriptors": jobs })
}

fn relocation(executable: &Executable, buffer: BufferId, offset: usize) -> Option<&Relocation> {
    executable
        .relocations
        .iter()
        .find(|relocation| relocation.buffer == buffer && relocation.offset == offset)
}

/// The descriptor that a stored address refers to.
fn descriptor(executable: &Executable, kind: Kind, start: &Relocation) -> Option<String> {
    let (buffer, first) = (start.target, start.addend as usize);
    let init = executable.buffers.get(buffer)?.init.bytes();
    let bytes = init.get(first..first + DESCRIPTOR)?;
    let mut words = Words::default();
    for (word, bytes) in words.iter_mut().zip(bytes.as_chunks::<4>().0) {
        *word = u32::from_le_bytes(*bytes);
    }
    let mut text = disasm::descriptor(kind, &words);
    for word in 0..words.len() {
        if let Some(to) = relocation(executable, buffer, first + 4 * word) {
            let (target, addend) = (to.target.as_u32(), to.addend);
            let _ = writeln!(
                text,
                "word {word} + address of buffer {target} at {addend:#x}"
            );
        }
    }
    Some(text)
}
