//! `ferrite disasm`

use super::trace_listing;
use crate::args::DisasmArgs;
use crate::error::CliError;
use crate::report::Report;
use ferrite_compiler::executable::{Executable, Step, Target};
use ferrite_compiler::file;
use ferrite_compiler::stages::listing::{self, Printer};
use ferrite_hw::rk3588::{asm, disasm};
use ferrite_sim::trace;
use serde_json::{Value, json};
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

/// The steps of an inference, with the commands of each task.
fn listing(path: &Path, executable: &Executable) -> Result<(String, Value), CliError> {
    let wrong = |e: listing::NoCommands| CliError::wrong(path, e);
    let text = listing::listing(executable).map_err(wrong)?;
    let printer = Printer::new(executable);
    let mut submissions = Vec::new();
    for (index, step) in executable.steps.iter().enumerate() {
        let Step::Submit(jobs) = step else { continue };
        let mut described = Vec::new();
        for job in jobs {
            let ops: Vec<u32> = job.ops.iter().map(|op| op.as_u32()).collect();
            let mut tasks = Vec::new();
            for task in &job.tasks {
                let task = printer.task(task).map_err(wrong)?;
                let mut json = json!({ "commands": task.commands });
                if executable.target == Target::A311d {
                    json["descriptors"] = task.descriptors().collect();
                }
                tasks.push(json);
            }
            described.push(json!({ "ops": ops, "after": job.after, "tasks": tasks }));
        }
        submissions.push(json!({ "step": index, "jobs": described }));
    }
    let target = executable.target.name();
    Ok((
        text,
        json!({ "target": target, "submissions": submissions }),
    ))
}
