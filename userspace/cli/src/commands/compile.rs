//! `ferrite compile`

use crate::args::CompileArgs;
use crate::error::CliError;
use crate::model::{self, Coverage};
use crate::report::Report;
use ferrite_compiler::executable::{Executable, Step};
use ferrite_compiler::{Options, file};
use ferrite_ir::Graph;
use serde_json::{Value, json};
use std::path::Path;
use std::time::Instant;

pub fn run(args: &CompileArgs) -> Result<Report, CliError> {
    let graph = model::read(&args.model.model)?;
    let options = model::options(&args.model, args.target.into());
    let (mut text, mut json) = match &args.output {
        Some(output) => write(args, &graph, &options, output)?,
        None => (String::new(), json!({})),
    };
    if let Some(stage) = args.emit {
        let emitted = ferrite_compiler::emit(&graph, &options, stage.into())
            .map_err(CliError::compile(&args.model.model))?;
        log::info!("{}", text.trim_end());
        json["emitted"] = emitted.as_str().into();
        text = emitted;
    }
    Ok(Report::new(text, json))
}

/// Compiles into a file.
fn write(
    args: &CompileArgs,
    graph: &Graph,
    options: &Options,
    output: &Path,
) -> Result<(String, Value), CliError> {
    let start = Instant::now();
    let executable = model::compile(&args.model.model, graph, options)?;
    let took = start.elapsed().as_secs_f64() * 1e3;
    let bytes = file::to_bytes(&executable).map_err(CliError::file(output))?;
    std::fs::write(output, &bytes).map_err(CliError::io(output))?;

    let coverage = Coverage::of(&executable);
    let (jobs, tasks) = jobs_and_tasks(&executable);
    let device_bytes: usize = executable.buffers.values().map(|b| b.size).sum();
    let text = format!(
        "{}: {} bytes for {}, {} operators in {jobs} jobs of {tasks} tasks, {} on the CPU; compiled in {took:.1} ms\n",
        output.display(),
        bytes.len(),
        executable.target.name(),
        coverage.npu_ops,
        coverage.cpu_ops,
    );
    let json = json!({
        "target": executable.target.name(),
        "file": output,
        "bytes": bytes.len(),
        "device_bytes": device_bytes,
        "jobs": jobs,
        "tasks": tasks,
        "compile_ms": took,
        "npu_ops": coverage.npu_ops,
        "cpu_ops": coverage.cpu_ops,
        "npu_mac_fraction": coverage.npu_mac_fraction(),
    });
    Ok((text, json))
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
