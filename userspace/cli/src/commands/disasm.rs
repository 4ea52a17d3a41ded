//! `ferrite disasm`

use super::{disasm_a311d, trace_listing};
use crate::args::DisasmArgs;
use crate::error::CliError;
use crate::report::Report;
use ferrite_compiler::executable::{Executable, Step, Target, Task};
use ferrite_compiler::file;
use ferrite_hw::rk3588::{asm, disasm};
use ferrite_sim::trace;
use serde_json::{Value, json};
use std::fmt::Write;
use std::path::Path;

pub fn run(args: &DisasmArgs) -> Result<Report, CliError> {
    let bytes = std::fs::read(&args.file).map_err(CliError::io(&args.file))?;
    if args.assemble {
        return assemble(args, &bytes);
    }
    let (text, json) = if args.raw {
        let text = disasm::disassemble(&words(&args.file, &bytes)?);
        let json = json!({ "commands": text.lines().collect::<Vec<_>>() });
        (text, json)
    } else if bytes.starts_with(&trace::MAGIC) {
        trace_listing::listing(&args.file, &bytes)?
    } else {
        let executable = file::from_bytes(&bytes).map_err(CliError::file(&args.file))?;
        listing(&args.file, &executable)?
    };
    match &args.output {
        None => Ok(Report::new(text, json)),
        Some(path) => {
            std::fs::write(path, &text).map_err(CliError::io(path))?;
            Ok(Report::new(String::new(), json!({ "file": path })))
        }
    }
}

fn assemble(args: &DisasmArgs, bytes: &[u8]) -> Result<Report, CliError> {
    let text = String::from_utf8_lossy(bytes);
    let words = asm::assemble(&text).map_err(|e| CliError::wrong(&args.file, e))?;
    let Some(path) = &args.output else {
        return Err(CliError::Misuse("--assemble needs --output".to_owned()));
    };
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    std::fs::write(path, bytes).map_err(CliError::io(path))?;
    let json = json!({ "file": path, "words": words.len() });
    Ok(Report::new(String::new(), json))
}

fn words(path: &Path, bytes: &[u8]) -> Result<Vec<u64>, CliError> {
    let (words, rest) = bytes.as_chunks::<8>();
    if !rest.is_empty() {
        let cause = format!("{} bytes are no whole number of 64-bit words", bytes.len());
        return Err(CliError::wrong(path, cause));
    }
    Ok(words.iter().map(|w| u64::from_le_bytes(*w)).collect())
}

/// The steps of an inference, with the commands of each task. Comments begin with `;`, so that the
/// text assembles to the commands of all tasks in order.
fn listing(path: &Path, executable: &Executable) -> Result<(String, Value), CliError> {
    let mut text = String::new();
    let mut submissions = Vec::new();
    for (id, buffer) in &executable.buffers {
        let _ = writeln!(
            text,
            "; buffer {}: {:?}, {} bytes, {} of them given",
            id.as_u32(),
            buffer.role,
            buffer.size,
            buffer.init.len()
        );
    }
    for (index, step) in executable.steps.iter().enumerate() {
        let _ = write!(text, "; step {index}: ");
        let _ = match step {
            Step::Cpu(op) => writeln!(text, "operator {} on the CPU", op.as_u32()),
            Step::Enter(port) => {
                writeln!(
                    text,
                    "tensor {} enters {:?}",
                    port.tensor.as_u32(),
                    port.region
                )
            }
            Step::Leave(port) => {
                writeln!(
                    text,
                    "tensor {} leaves {:?}",
                    port.tensor.as_u32(),
                    port.region
                )
            }
            Step::Requantise { port, .. } => {
                writeln!(
                    text,
                    "tensor {} is requantised from {:?}",
                    port.tensor.as_u32(),
                    port.region
                )
            }
            Step::Submit(jobs) => writeln!(text, "{} jobs", jobs.len()),
        };
        let Step::Submit(jobs) = step else { continue };
        let mut described = Vec::new();
        for (number, job) in jobs.iter().enumerate() {
            let ops: Vec<u32> = job.ops.iter().map(|op| op.as_u32()).collect();
            let _ = writeln!(
                text,
                "\n; job {number} for operators {ops:?}, after jobs {:?}",
                job.after
            );
            let mut tasks = Vec::new();
            for (number, task) in job.tasks.iter().enumerate() {
                let commands = task_words(path, executable, task)?;
                let _ = writeln!(text, "; task {number}: {} words", task.words);
                tasks.push(match executable.target {
                    Target::Rk3588 => {
                        let commands = disasm::disassemble(&commands);
                        let _ = writeln!(text, "{commands}");
                        json!({ "commands": commands.lines().collect::<Vec<_>>() })
                    }
                    Target::A311d => disasm_a311d::task(executable, task, &commands, &mut text),
                });
            }
            described.push(json!({ "ops": ops, "after": job.after, "tasks": tasks }));
        }
        submissions.push(json!({ "step": index, "jobs": described }));
    }
    let target = match executable.target {
        Target::Rk3588 => "rk3588",
        Target::A311d => "a311d",
    };
    Ok((
        text,
        json!({ "target": target, "submissions": submissions }),
    ))
}

/// The command words of a task as they are stored: addresses are relative to their buffers.
fn task_words(path: &Path, executable: &Executable, task: &Task) -> Result<Vec<u64>, CliError> {
    let region = task.commands;
    let end = task
        .words
        .checked_mul(8)
        .and_then(|len| len.checked_add(region.offset));
    let buffer = executable.buffers.get(region.buffer);
    let init = buffer.map(|buffer| buffer.init.bytes());
    let bytes = init
        .as_ref()
        .zip(end)
        .and_then(|(init, end)| init.get(region.offset..end))
        .ok_or_else(|| {
            CliError::wrong(path, format!("a task's commands {region:?} do not exist"))
        })?;
    words(path, bytes)
}
