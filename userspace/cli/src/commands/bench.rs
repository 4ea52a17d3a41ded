//! `ferrite bench`

use crate::args::BenchArgs;
use crate::error::CliError;
use crate::model::{self, Coverage};
use crate::report::Report;
use crate::table::table;
use crate::timeline;
use ferrite_runtime::Session;
use ferrite_runtime::cpu::Value as Tensor;
use ferrite_runtime::device::Counters;
use ferrite_runtime::session::{Profile, RunError};
use serde_json::{Value, json};
use std::fmt::Write;
use std::path::Path;
use std::time::{Duration, Instant};

/// Time of an inference, and where it went.
type Inference = (Duration, Profile);

pub fn run(args: &BenchArgs) -> Result<Report, CliError> {
    let in_flight = args.in_flight as usize;
    let prepared = model::prepare_several(&args.model, &args.device, in_flight)?;
    let inputs = match args.input.is_empty() {
        true => model::noise(prepared.session.graph())?,
        false => model::inputs(prepared.session.graph(), &args.input)?,
    };
    let mut sessions: Vec<Session> = std::iter::once(prepared.session)
        .chain(prepared.others)
        .collect();
    // The first run touches memory for the first time; it is not timed.
    for session in &mut sessions {
        session.run(&inputs)?;
    }
    let before = counters(&sessions);
    let start = Instant::now();
    let times = all(&mut sessions, args.runs, &inputs)?;
    let elapsed = start.elapsed();
    let counters = match (counters(&sessions), before) {
        (Some(after), Some(before)) => Some(after.since(&before)),
        _ => None,
    };
    if let Some(path) = &args.trace {
        write_trace(path, &mut sessions[0], &inputs)?;
    }
    let inferences = u64::from(args.runs) * u64::from(args.in_flight);
    let rate = inferences as f64 / elapsed.as_secs_f64();
    let session = &sessions[0];

    let pick =
        |what: fn(&Inference) -> Duration| -> Times { Times::of(times.iter().map(what).collect()) };
    let total = pick(|t| t.0);
    let device = pick(|t| t.1.device);
    let host = pick(|t| t.1.cpu + t.1.convert);
    let cpu = pick(|t| t.1.cpu);
    let convert = pick(|t| t.1.convert);
    let compile = millis(prepared.compile);
    let load = millis(prepared.load);
    let coverage = Coverage::of(session.executable());

    let rows = [
        ("compile", format!("{compile:.3} ms")),
        ("load", format!("{load:.3} ms")),
        ("inference", total.words()),
        ("  device", device.words()),
        ("  host", host.words()),
        ("    CPU operators", cpu.words()),
        ("    layouts", convert.words()),
        (
            "throughput",
            format!("{rate:.1} inferences a second, {in_flight} at a time"),
        ),
    ];
    let rows = rows.map(|(what, time)| vec![what.to_owned(), time]);
    let mut text = format!(
        "{} on {}, {} runs\n{}",
        args.model.model.display(),
        session.device(),
        args.runs,
        table(&rows, &[])
    );
    let mut per_inference = Value::Null;
    let mut cores = Value::Null;
    if let Some(counters) = &counters {
        // Every inference does the same work, so the division leaves nothing.
        let runs = inferences;
        let total = counters.total();
        per_inference = total.iter().map(|(k, v)| (k.clone(), v / runs)).collect();
        cores = counters
            .cores
            .iter()
            .map(|core| {
                core.iter()
                    .map(|(k, v)| (k.clone(), v / u64::from(args.runs)))
                    .collect::<Value>()
            })
            .collect();
        let _ = writeln!(
            text,
            "{:.3} ms on the device by the cost model",
            (counters.estimated_ns / runs) as f64 / 1e6
        );
        text += "counts of an inference\n";
        let rows: Vec<Vec<String>> = total
            .iter()
            .filter(|(_, count)| **count != 0)
            .map(|(name, count)| vec![format!("  {name}"), (count / runs).to_string()])
            .collect();
        text += &table(&rows, &[1]);
    }
    let _ = writeln!(
        text,
        "{} operators on the NPU, {} on the CPU",
        coverage.npu_ops, coverage.cpu_ops
    );
    let of_inference = |name: &str| {
        let total = counters.as_ref()?.total();
        total.get(name).map(|count| count / inferences)
    };
    let estimated = counters
        .as_ref()
        .map(|counters| counters.estimated_ns / inferences);
    let json = json!({
        "device": session.device(),
        "segments": coverage.segments,
        "evidence": coverage.evidence.map(|grade| grade.name()),
        "kicks": of_inference("kicks").or(of_inference("submissions")),
        "interrupts": of_inference("interrupts").or(of_inference("submissions")),
        "estimated_ns": estimated,
        "runs": args.runs,
        "in_flight": args.in_flight,
        "inferences_per_second": rate,
        "compile_ms": compile,
        "load_ms": load,
        "inference_ms": total.json(),
        "device_ms": device.json(),
        "host_ms": host.json(),
        "host_cpu_ms": cpu.json(),
        "host_layout_ms": convert.json(),
        "counters": per_inference,
        "cores": cores,
        "npu_ops": coverage.npu_ops,
        "cpu_ops": coverage.cpu_ops,
        "npu_mac_fraction": coverage.npu_mac_fraction(),
    });
    Ok(Report::new(text, json))
}

/// Runs once more, and writes where the time went.
fn write_trace(path: &Path, session: &mut Session, inputs: &[Tensor]) -> Result<(), CliError> {
    let (_, spans) = session.run_traced(inputs)?;
    let (graph, executable) = (session.graph(), session.executable());
    let trace = timeline::trace(graph, executable, &spans, session.device());
    std::fs::write(path, trace.to_string()).map_err(CliError::io(path))
}

/// Runs all sessions side by side, each `runs` times.
fn all(sessions: &mut [Session], runs: u32, inputs: &[Tensor]) -> Result<Vec<Inference>, RunError> {
    let run = |session: &mut Session| {
        let inference = |_| {
            let start = Instant::now();
            session.run(inputs)?;
            Ok((start.elapsed(), session.profile()))
        };
        (0..runs)
            .map(inference)
            .collect::<Result<Vec<_>, RunError>>()
    };
    if let [session] = sessions {
        return run(session);
    }
    let times = std::thread::scope(|scope| {
        let threads: Vec<_> = sessions
            .iter_mut()
            .map(|session| scope.spawn(|| run(session)))
            .collect();
        let joined = threads.into_iter().map(|thread| match thread.join() {
            Ok(times) => times,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        joined.collect::<Result<Vec<_>, RunError>>()
    })?;
    Ok(times.concat())
}

/// Counts of all sessions, if their device counts.
fn counters(sessions: &[Session]) -> Option<Counters> {
    let all: Option<Vec<Counters>> = sessions.iter().map(Session::counters).collect();
    all.map(Counters::sum)
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// Times of several runs, in milliseconds.
struct Times {
    median: f64,
    min: f64,
    max: f64,
}

impl Times {
    fn of(mut times: Vec<Duration>) -> Times {
        times.sort_unstable();
        let at = |index: usize| times.get(index).copied().map_or(0.0, millis);
        Times {
            median: at(times.len() / 2),
            min: at(0),
            max: at(times.len().saturating_sub(1)),
        }
    }

    fn words(&self) -> String {
        format!("{:.3} ms ({:.3} to {:.3})", self.median, self.min, self.max)
    }

    fn json(&self) -> Value {
        json!({ "median": self.median, "min": self.min, "max": self.max })
    }
}
