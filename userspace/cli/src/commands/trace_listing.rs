//! Traces of the virtual board as text: what each kick was told to do, read and wrote.

use crate::error::CliError;
use ferrite_hw::rk3588::disasm;
use ferrite_sim::trace::{Event, Kick, PAGE, Replayer, TraceReader};
use serde_json::{Value, json};
use std::fmt::Write;
use std::path::Path;

/// The kicks of a trace with their commands. Comments begin with `;`, so that the text assembles
/// to the commands of all kicks in order.
pub fn listing(path: &Path, bytes: &[u8]) -> Result<(String, Value), CliError> {
    let mut text = String::new();
    let mut kicks = Vec::new();
    let mut replayer = Replayer::new();
    for event in TraceReader::new(bytes).map_err(|e| CliError::wrong(path, e))? {
        let event = event.map_err(|e| CliError::wrong(path, e))?;
        let replayed = replayer
            .event(&event)
            .map_err(|e| CliError::wrong(path, e))?;
        match (&event, replayed) {
            (Event::Reset { core }, _) => {
                let _ = writeln!(text, "; core {core} is reset");
            }
            (Event::Kick(kick), Some(replayed)) => {
                let commands = disasm::disassemble(&replayed.commands);
                let (touched, written) = (touched(kick), written(kick));
                let start = replayed.start;
                let _ = writeln!(
                    text,
                    "; kick {} on core {} at {} ns: commands at {:#x}, amount {:#x}, TASK_CON {:#x}\n\
                     ; touches {}\n; writes {}",
                    kicks.len(),
                    kick.core,
                    kick.started,
                    start.base,
                    start.amount,
                    start.task_con,
                    ranges(&touched),
                    ranges(&written),
                );
                for (when, fault) in [("then", &kick.fault), ("now", &replayed.fault)] {
                    if !fault.is_empty() {
                        let _ = writeln!(text, "; fault {when}: {fault}");
                    }
                }
                if let Some((address, now, then)) = replayed.difference {
                    let _ = writeln!(
                        text,
                        "; replayed, {address:#x} is {now:#04x} in place of {then:#04x}"
                    );
                }
                let _ = writeln!(text, "{commands}");
                kicks.push(json!({
                    "core": kick.core, "started_ns": kick.started, "commands_at": start.base,
                    "touched": touched, "written": written, "fault": kick.fault,
                    "agrees": replayed.agrees(), "commands": commands.lines().collect::<Vec<_>>(),
                }));
            }
            _ => {}
        }
    }
    Ok((text, json!({ "target": "rk3588", "kicks": kicks })))
}

/// First address and length of each stretch of pages.
fn touched(kick: &Kick) -> Vec<(u64, u64)> {
    join(kick.before.iter().map(|page| (page.address, PAGE as u64)))
}

/// First address and length of each stretch of written bytes.
fn written(kick: &Kick) -> Vec<(u64, u64)> {
    join(
        kick.written
            .iter()
            .map(|run| (run.address, run.bytes.len() as u64)),
    )
}

/// Joins what follows without a gap.
fn join(pieces: impl Iterator<Item = (u64, u64)>) -> Vec<(u64, u64)> {
    let mut joined: Vec<(u64, u64)> = Vec::new();
    for (address, length) in pieces {
        match joined.last_mut() {
            Some((start, so_far)) if *start + *so_far == address => *so_far += length,
            _ => joined.push((address, length)),
        }
    }
    joined
}

fn ranges(ranges: &[(u64, u64)]) -> String {
    if ranges.is_empty() {
        return "nothing".to_owned();
    }
    let texts: Vec<String> = ranges
        .iter()
        .map(|(start, length)| format!("{start:#x}+{length:#x}"))
        .collect();
    texts.join(" ")
}
