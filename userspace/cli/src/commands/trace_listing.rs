//! Traces of the virtual board as text: what each kick or job was told to do, read and wrote.

use crate::error::CliError;
use ferrite_hw::rk3588::disasm;
use ferrite_hw::vivante::Words;
use ferrite_hw::vivante::disasm::{Kind, descriptor};
use ferrite_sim::rk3588::Start;
use ferrite_sim::trace::{Event, Job, Kick, PAGE, Replayed, Replayer, TraceReader, Work};
use ferrite_sim::vivante::Counters;
use serde_json::{Value, json};
use std::fmt::Write;
use std::path::Path;

/// The kicks of a trace with their commands, or the jobs with their descriptors. Comments begin
/// with `;`, so that the text of kicks assembles to the commands of all of them in order.
pub fn listing(path: &Path, bytes: &[u8]) -> Result<(String, Value), CliError> {
    let mut text = String::new();
    let (mut kicks, mut jobs) = (Vec::new(), Vec::new());
    let mut replayer = Replayer::new();
    for event in TraceReader::new(bytes).map_err(|e| CliError::wrong(path, e))? {
        let event = event.map_err(|e| CliError::wrong(path, e))?;
        let replayed = replayer
            .event(&event)
            .map_err(|e| CliError::wrong(path, e))?;
        if let Event::Reset { core } = event {
            let _ = writeln!(text, "; core {core} is reset");
        }
        let Some(replayed) = replayed else { continue };
        match (&event, &replayed.work) {
            (
                Event::Kick(kick),
                Work::Kick {
                    start, commands, ..
                },
            ) => {
                let head = format!(
                    "; kick {} on core {} at {} ns: commands at {:#x}, amount {:#x}, TASK_CON {:#x}",
                    kicks.len(),
                    kick.core,
                    kick.started,
                    start.base,
                    start.amount,
                    start.task_con,
                );
                let _ = writeln!(text, "{head}\n{}", effects(kick, &replayed));
                let commands = disasm::disassemble(commands);
                let _ = writeln!(text, "{commands}");
                kicks.push(kick_json(kick, &replayed, start, &commands));
            }
            (
                Event::Job(job),
                Work::Job {
                    descriptor,
                    counters,
                    ..
                },
            ) => {
                let head = format!(
                    "; job {} at {} ns: descriptor at {:#x}, id {}; {}",
                    jobs.len(),
                    job.did.started,
                    job.descriptor,
                    job.id,
                    counts(job.kind, counters),
                );
                let fields = fields(job.kind, descriptor.as_ref());
                let _ = writeln!(text, "{head}\n{}\n{fields}", effects(&job.did, &replayed));
                jobs.push(job_json(job, &replayed, counters, &fields));
            }
            _ => {}
        }
    }
    if jobs.is_empty() {
        return Ok((text, json!({ "target": "rk3588", "kicks": kicks })));
    }
    Ok((text, json!({ "target": "a311d", "jobs": jobs })))
}

fn fields(kind: Kind, words: Option<&Words>) -> String {
    words.map_or_else(
        || "; the descriptor could not be read\n".to_owned(),
        |words| descriptor(kind, words),
    )
}

/// What was touched, written and went wrong, as comments.
fn effects(kick: &Kick, replayed: &Replayed) -> String {
    let mut text = format!(
        "; touches {}\n; writes {}",
        ranges(&touched(kick)),
        ranges(&written(kick))
    );
    for (when, fault) in [("then", &kick.fault), ("now", &replayed.fault)] {
        if !fault.is_empty() {
            let _ = write!(text, "\n; fault {when}: {fault}");
        }
    }
    if let Some((address, now, then)) = replayed.difference {
        let _ = write!(
            text,
            "\n; replayed, {address:#x} is {now:#04x} in place of {then:#04x}"
        );
    }
    text
}

fn kick_json(kick: &Kick, replayed: &Replayed, start: &Start, commands: &str) -> Value {
    json!({
        "core": kick.core, "started_ns": kick.started, "commands_at": start.base,
        "touched": touched(kick), "written": written(kick), "fault": kick.fault,
        "agrees": replayed.agrees(), "commands": commands.lines().collect::<Vec<_>>(),
    })
}

fn counts(kind: Kind, counters: &Counters) -> String {
    match kind {
        Kind::Nn => format!(
            "reads {} bytes of coefficients and {} of images, writes {}",
            counters.coefficient_bytes, counters.image_bytes, counters.output_bytes
        ),
        Kind::Tp => format!(
            "reads {} bytes, writes {}",
            counters.tp_read_bytes, counters.tp_write_bytes
        ),
    }
}

fn job_json(job: &Job, replayed: &Replayed, counters: &Counters, fields: &str) -> Value {
    let did = &job.did;
    json!({
        "kind": match job.kind { Kind::Nn => "nn", Kind::Tp => "tp" },
        "started_ns": did.started, "descriptor_at": job.descriptor, "id": job.id,
        "touched": touched(did), "written": written(did), "fault": did.fault,
        "agrees": replayed.agrees(), "descriptor": fields.lines().collect::<Vec<_>>(),
        "bytes": {
            "descriptors": counters.descriptor_bytes,
            "coefficients": counters.coefficient_bytes,
            "images": counters.image_bytes,
            "output": counters.output_bytes,
            "tp_read": counters.tp_read_bytes,
            "tp_write": counters.tp_write_bytes,
        },
        "macs": counters.macs,
        "estimated_ns": counters.estimated_ns,
    })
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
    /// A job that writes every other row has thousands.
    const SHOWN: usize = 12;
    if ranges.is_empty() {
        return "nothing".to_owned();
    }
    let mut texts: Vec<String> = ranges
        .iter()
        .take(SHOWN)
        .map(|(start, length)| format!("{start:#x}+{length:#x}"))
        .collect();
    if ranges.len() > SHOWN {
        texts.push(format!("and {} more", ranges.len() - SHOWN));
    }
    texts.join(" ")
}
