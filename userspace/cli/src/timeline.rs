//! A run as a time line: JSON in Chrome's trace event format, which Perfetto (ui.perfetto.dev) and
//! chrome://tracing show.
//!
//! The host's steps are as they were timed. Below them is what each core of the device did in a
//! submission: with the time that the cost model estimates where the device is a model of an NPU,
//! else as long as the host waited.

use ferrite_compiler::executable::{Executable, Job, Step};
use ferrite_ir::{Graph, TensorId};
use ferrite_runtime::trace::Span;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// Numbers of the rows' groups.
const HOST: u32 = 1;
const NPU: u32 = 2;

/// The trace of a run of `executable` on `device`.
pub fn trace(graph: &Graph, executable: &Executable, spans: &[Span], device: &str) -> Value {
    let mut events = vec![
        name("process_name", HOST, 0, "host"),
        name("thread_name", HOST, 0, "steps"),
    ];
    let mut cores = 0;
    for span in spans {
        let Some(step) = executable.steps.get(span.step) else {
            continue;
        };
        let (words, kind) = describe(graph, step);
        events.push(event(
            &words,
            kind,
            HOST,
            0,
            span.start,
            span.length,
            json!({}),
        ));
        if let Step::Submit(jobs) = step {
            let busy = on_cores(span, jobs);
            let rows = span.counters.as_ref().map_or(1, |c| c.cores.len());
            cores = cores.max(rows);
            events.extend(busy);
        }
    }
    if cores > 0 {
        events.push(name("process_name", NPU, 0, device));
        let core = |core| name("thread_name", NPU, core as u32, &format!("core {core}"));
        events.extend((0..cores).map(core));
    }
    json!({ "displayTimeUnit": "ms", "traceEvents": events })
}

/// What the cores did in a submission.
fn on_cores(span: &Span, jobs: &[Job]) -> Vec<Value> {
    let tasks: usize = jobs.iter().map(|job| job.tasks.len()).sum();
    let words = format!("{}, {}", count(jobs.len(), "job"), count(tasks, "task"));
    let unknown = vec![BTreeMap::new()];
    let cores = span.counters.as_ref().map(|counters| &counters.cores);
    let cores = cores.filter(|cores| !cores.is_empty()).unwrap_or(&unknown);
    cores
        .iter()
        .enumerate()
        // Cores that have nothing to do in a submission are idle.
        .filter(|(_, counts)| counts.get("estimated_ns") != Some(&0))
        .map(|(core, counts)| {
            let (length, kind) = match counts.get("estimated_ns") {
                Some(&ns) => (Duration::from_nanos(ns), "estimated"),
                None => (span.length, "waited for"),
            };
            event(
                &words,
                kind,
                NPU,
                core as u32,
                span.start,
                length,
                json!(counts),
            )
        })
        .collect()
}

/// `1 job`, `2 jobs`.
fn count(number: usize, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {what}{plural}")
}

/// What a step does, and of what kind it is.
fn describe(graph: &Graph, step: &Step) -> (String, &'static str) {
    // Converters join the names of operators that they have fused.
    let tensor = |id: TensorId| {
        let name = &graph.tensor(id).name;
        name.split(';').next().unwrap_or(name)
    };
    match step {
        Step::Cpu(op) => (
            format!("{} (operator {})", graph.op_name(*op), op.as_u32()),
            "CPU operator",
        ),
        Step::Enter(port) => (format!("to the device: {}", tensor(port.tensor)), "layout"),
        Step::Leave(port) => (
            format!("from the device: {}", tensor(port.tensor)),
            "layout",
        ),
        Step::Requantise { port, .. } => (format!("requantise {}", tensor(port.tensor)), "layout"),
        Step::Submit(jobs) => (
            format!("submission of {}", count(jobs.len(), "job")),
            "submission",
        ),
    }
}

/// An event with a beginning and a length, both in microseconds.
fn event(
    words: &str,
    kind: &str,
    group: u32,
    row: u32,
    start: Duration,
    length: Duration,
    more: Value,
) -> Value {
    json!({
        "name": words, "cat": kind, "ph": "X", "pid": group, "tid": row,
        "ts": start.as_nanos() as f64 / 1e3, "dur": length.as_nanos() as f64 / 1e3, "args": more,
    })
}

/// Names a group of rows or a row.
fn name(what: &str, group: u32, row: u32, words: &str) -> Value {
    json!({ "name": what, "ph": "M", "pid": group, "tid": row, "args": { "name": words } })
}
