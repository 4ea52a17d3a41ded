//! `ferrite compile`

use crate::args::CompileArgs;
use crate::commands::info::target_name;
use crate::error::CliError;
use crate::model::{self, CORES, Coverage};
use crate::report::Report;
use ferrite_compiler::executable::{Executable, Step};
use ferrite_compiler::file;
use serde_json::json;
use std::time::Instant;

pub fn run(args: &CompileArgs) -> Result<Report, CliError> {
    let graph = model::read(&args.model.model)?;
    let start = Instant::now();
    let executable = model::compile(
        &args.model.model,
        &graph,
        args.target.into(),
        args.model.evidence.unwrap_or_default().into(),
        CORES,
    )?;
    let took = start.elapsed().as_secs_f64() * 1e3;
    let bytes = file::to_bytes(&executable).map_err(CliError::file(&args.output))?;
    std::fs::write(&args.output, &bytes).map_err(CliError::io(&args.output))?;

    let coverage = Coverage::of(&executable);
    let (jobs, tasks) = jobs_and_tasks(&executable);
    let device_bytes: usize = executable.buffers.values().map(|b| b.size).sum();
    let text = format!(
        "{}: {} bytes for {}, {} operators in {jobs} jobs of {tasks} tasks, {} on the CPU; compiled in {took:.1} ms\n",
        args.output.display(),
        bytes.len(),
        target_name(&executable),
        coverage.npu_ops,
        coverage.cpu_ops,
    );
    let json = json!({
        "target": target_name(&executable),
        "file": args.output,
        "bytes": bytes.len(),
        "device_bytes": device_bytes,
        "jobs": jobs,
        "tasks": tasks,
        "compile_ms": took,
        "npu_ops": coverage.npu_ops,
        "cpu_ops": coverage.cpu_ops,
        "npu_mac_fraction": coverage.npu_mac_fraction(),
    });
    Ok(Report::new(text, json))
}

/// Number of jobs of an inference, and of their tasks.
fn jobs_and_tasks(executable: &Executable) -> (usize, usize) {
    let submissions = executable.steps.iter().filter_map(|step| match step {
        Step::Submit(jobs) => Some(jobs),
        _ => None,
    });
    submissions.flatten().fold((0, 0), |(jobs, tasks), job| {
        (jobs + 1, tasks + job.tasks.len())
    })
}
