//! `ferrite run`

use crate::args::RunArgs;
use crate::arrays;
use crate::commands::info::type_name;
use crate::error::CliError;
use crate::labels::{self, best, is_classifier, real_values};
use crate::model::{self, Coverage};
use crate::picture;
use crate::report::Report;
use crate::table::{shape, table};
use ferrite_ir::{DType, Graph, Tensor};
use ferrite_runtime::cpu::Value as TensorValue;
use ferrite_runtime::session::{RunError, Session};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A run that takes longer shows its progress.
const PATIENCE: Duration = Duration::from_secs(1);

pub fn run(args: &RunArgs) -> Result<Report, CliError> {
    let mut prepared = model::prepare(&args.model, &args.device)?;
    let labels = args.labels.as_deref().map(labels::read).transpose()?;
    let inputs = inputs(args, prepared.session.graph())?;
    let start = Instant::now();
    let outputs = run_with_progress(&mut prepared.session, &inputs)?;
    let took = start.elapsed();

    let session = &prepared.session;
    let coverage = Coverage::of(session.executable());
    let mut text = format!(
        "{} on {}: {:.1} ms, {} operators on the NPU, {} on the CPU\n",
        args.model.model.display(),
        session.device(),
        took.as_secs_f64() * 1e3,
        coverage.npu_ops,
        coverage.cpu_ops,
    );
    let mut described = Vec::new();
    for (&id, value) in session.graph().outputs.iter().zip(&outputs) {
        let tensor = session.graph().tensor(id);
        described.push(describe(tensor, value, labels.as_deref(), &mut text));
    }
    let written = match &args.output {
        Some(folder) => write(folder, &outputs)?,
        None => Vec::new(),
    };
    for path in &written {
        let _ = writeln!(text, "wrote {}", path.display());
    }
    let json = json!({
        "device": session.device(),
        "time_ms": took.as_secs_f64() * 1e3,
        "outputs": described,
        "files": written,
        "npu_ops": coverage.npu_ops,
        "cpu_ops": coverage.cpu_ops,
        "npu_mac_fraction": coverage.npu_mac_fraction(),
    });
    Ok(Report::new(text, json))
}

fn inputs(args: &RunArgs, graph: &Graph) -> Result<Vec<TensorValue>, CliError> {
    match (&args.image, &graph.inputs[..]) {
        (Some(image), &[input]) => Ok(vec![picture::load(
            image,
            graph.tensor(input),
            args.float_range,
        )?]),
        (Some(_), inputs) => Err(CliError::Misuse(format!(
            "the model has {} inputs, --image fills one: give them all with --input",
            inputs.len()
        ))),
        (None, inputs) if args.input.is_empty() && !inputs.is_empty() => Err(CliError::Misuse(
            "nothing to run on: give --image FILE or --input FILE.npy".to_owned(),
        )),
        (None, _) => model::inputs(graph, &args.input),
    }
}

/// Runs, and shows a progress bar when it takes long.
fn run_with_progress(
    session: &mut Session,
    inputs: &[TensorValue],
) -> Result<Vec<TensorValue>, RunError> {
    let start = Instant::now();
    let mut bar: Option<ProgressBar> = None;
    let outputs = session.run_observed(inputs, |done, all| {
        if start.elapsed() > PATIENCE {
            let bar = bar.get_or_insert_with(|| {
                let style = ProgressStyle::with_template("{bar:40} step {pos}/{len}, {elapsed}");
                ProgressBar::new(all as u64)
                    .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
            });
            bar.set_position(done as u64);
        }
    });
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    outputs
}

/// Adds an output to the text, and returns it as JSON.
fn describe(
    tensor: &Tensor,
    value: &TensorValue,
    labels: Option<&[String]>,
    text: &mut String,
) -> Value {
    let mut json = json!({
        "name": tensor.name,
        "dtype": type_name(tensor),
        "shape": value.shape(),
    });
    let label = |class: usize| labels.and_then(|l| l.get(class));
    if is_classifier(tensor, labels) {
        let raw = arrays::from_value(value).to_f64();
        let classes = best(tensor, value, 5);
        let mut rows = Vec::new();
        let mut entries = Vec::new();
        for class in &classes {
            let name = label(class.index);
            rows.push(vec![
                format!("{:.4}", class.score),
                class.index.to_string(),
                name.cloned().unwrap_or_default(),
            ]);
            entries.push(json!({
                "index": class.index,
                "score": class.score,
                "raw": raw[class.index],
                "label": name,
            }));
        }
        *text += &table(&rows, &[0, 1]);
        json["top"] = entries.into();
        return json;
    }
    let real = real_values(tensor, value);
    let finite = || real.iter().copied().filter(|v| v.is_finite());
    let (min, max) = finite().fold((f64::INFINITY, f64::NEG_INFINITY), |(min, max), v| {
        (min.min(v), max.max(v))
    });
    let mean = finite().sum::<f64>() / (finite().count().max(1) as f64);
    let _ = writeln!(
        text,
        "{}  {} {}  min {min:.6}, mean {mean:.6}, max {max:.6}",
        tensor.name,
        type_name(tensor),
        shape(value.shape()),
    );
    json["min"] = min.into();
    json["max"] = max.into();
    json["mean"] = mean.into();
    if matches!(tensor.dtype, DType::I32 | DType::I64) && value.elements() > 1 {
        json["most_frequent"] = most_frequent(&real, &label, text);
    }
    json
}

/// The integers that appear most often: the classes of a segmentation.
fn most_frequent<'a>(
    values: &[f64],
    label: &dyn Fn(usize) -> Option<&'a String>,
    text: &mut String,
) -> Value {
    let mut counts: BTreeMap<i64, usize> = BTreeMap::new();
    for &value in values {
        *counts.entry(value as i64).or_default() += 1;
    }
    let mut counts: Vec<(i64, usize)> = counts.into_iter().collect();
    counts.sort_by_key(|&(value, count)| (std::cmp::Reverse(count), value));
    counts.truncate(5);
    let name = |value: i64| usize::try_from(value).ok().and_then(label);
    let rows: Vec<Vec<String>> = counts
        .iter()
        .map(|&(value, count)| {
            vec![
                format!("{:.2} %", 100.0 * count as f64 / values.len() as f64),
                value.to_string(),
                name(value).cloned().unwrap_or_default(),
            ]
        })
        .collect();
    *text += &table(&rows, &[0, 1]);
    let entry = |&(value, count): &(i64, usize)| json!({ "value": value, "count": count, "label": name(value) });
    counts.iter().map(entry).collect::<Vec<_>>().into()
}

/// Writes `output0.npy`, `output1.npy`, ...
fn write(folder: &Path, outputs: &[TensorValue]) -> Result<Vec<PathBuf>, CliError> {
    std::fs::create_dir_all(folder).map_err(CliError::io(folder))?;
    let mut written = Vec::new();
    for (index, value) in outputs.iter().enumerate() {
        let path = folder.join(format!("output{index}.npy"));
        std::fs::write(&path, arrays::from_value(value).to_npy()).map_err(CliError::io(&path))?;
        written.push(path);
    }
    Ok(written)
}
