//! `ferrite run`

use super::answer::{self, Names};
use super::outputs;
use crate::args::RunArgs;
use crate::arrays;
use crate::draw;
use crate::error::CliError;
use crate::labels::Labels;
use crate::model::{self, Coverage};
use crate::picture;
use crate::ranking;
use crate::report::Report;
use crate::vision::Head;
use ferrite_ir::Graph;
use ferrite_runtime::cpu::Value as TensorValue;
use ferrite_runtime::session::{RunError, Session};
use image::RgbImage;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A run that takes longer shows its progress.
const PATIENCE: Duration = Duration::from_secs(1);

pub fn run(args: &RunArgs) -> Result<Report, CliError> {
    let mut prepared = model::prepare(&args.model, &args.device)?;
    let labels = Labels::find(args.labels.as_deref(), &args.model.model)?;
    let head = Head::of(prepared.session.graph(), &|classes| labels.are(classes));
    let (inputs, shown) = inputs(args, prepared.session.graph())?;
    if args.picture.is_some() {
        let graph = prepared.session.graph();
        expect_something_to_draw(graph, head.as_ref(), &labels, shown.is_some())?;
    }
    let start = Instant::now();
    let outputs = run_with_progress(&mut prepared.session, &inputs)?;
    let took = start.elapsed();

    let session = &prepared.session;
    let graph = session.graph();
    let coverage = Coverage::of(session.executable());
    let mut text = format!(
        "{} on {}: {:.1} ms, {} operators on the NPU, {} on the CPU\n",
        args.model.model.display(),
        session.device(),
        took.as_secs_f64() * 1e3,
        coverage.npu_ops,
        coverage.cpu_ops,
    );
    let mut plain = String::new();
    let described: Vec<Value> = graph
        .outputs
        .iter()
        .zip(&outputs)
        .map(|(&id, value)| {
            outputs::describe(graph, id, value, &labels, head.is_none(), &mut plain)
        })
        .collect();
    let mut json = json!({
        "device": session.device(),
        "time_ms": took.as_secs_f64() * 1e3,
        "npu_ops": coverage.npu_ops,
        "cpu_ops": coverage.cpu_ops,
        "npu_mac_fraction": coverage.npu_mac_fraction(),
    });
    let wanted = |shown: Option<RgbImage>| shown.filter(|_| args.picture.is_some());
    let drawn = match &head {
        Some(head) => {
            let names = Names(labels.of(head.classes()));
            let answer = head.read(graph, &outputs, args.threshold);
            let (words, key, value) = answer::describe(&answer, &names, shown.as_ref());
            text += &words;
            json["head"] = head.name().into();
            json[key] = value;
            wanted(shown).map(|shown| draw::draw(shown, &answer, &|class| names.word(class)))
        }
        None => {
            text += &plain;
            wanted(shown).map(|shown| draw::caption(shown, &captions(&described)))
        }
    };
    json["outputs"] = described.into();
    let mut written = match &args.output {
        Some(folder) => write(folder, &outputs)?,
        None => Vec::new(),
    };
    if let (Some(path), Some(drawn)) = (&args.picture, drawn) {
        drawn.save(path).map_err(|e| CliError::wrong(path, e))?;
        written.push(path.clone());
    }
    for path in &written {
        let _ = writeln!(text, "wrote {}", path.display());
    }
    json["files"] = json!(written);
    Ok(Report::new(text, json))
}

/// Refuses a picture of an answer that cannot be drawn, before it is computed.
fn expect_something_to_draw(
    graph: &Graph,
    head: Option<&Head>,
    labels: &Labels,
    shown: bool,
) -> Result<(), CliError> {
    if !shown {
        return Err(CliError::Misuse(
            "--picture: the model's first input is no picture to draw in".to_owned(),
        ));
    }
    let ranked = |&id| ranking::is_classifier(graph, id, &|classes| labels.are(classes));
    if head.is_some() || graph.outputs.iter().any(ranked) {
        return Ok(());
    }
    Err(CliError::Misuse(
        "--picture: the outputs are not those of a detector, classifier, segmentation or pose \
         network that is known here; write them as arrays with --output FOLDER"
            .to_owned(),
    ))
}

/// The best classes of classifiers, in words.
fn captions(outputs: &[Value]) -> Vec<String> {
    let best = outputs.iter().filter_map(|output| output["top"].get(0));
    best.map(|class| {
        let name = match class["label"].as_str() {
            Some(name) => name.to_owned(),
            None => format!("class {}", class["index"]),
        };
        let score = class["score"].as_f64().unwrap_or_default();
        format!("{name} {score:.2}")
    })
    .collect()
}

/// The input tensors, and the picture that the first one shows.
fn inputs(args: &RunArgs, graph: &Graph) -> Result<(Vec<TensorValue>, Option<RgbImage>), CliError> {
    match (&args.image, &graph.inputs[..]) {
        (Some(image), &[input]) => {
            let picture = picture::read(image)?;
            let value = picture::to_value(&picture, graph.tensor(input), args.float_range)?;
            Ok((vec![value], Some(picture)))
        }
        (Some(_), inputs) => Err(CliError::Misuse(format!(
            "the model has {} inputs, --image fills one: give them all with --input",
            inputs.len()
        ))),
        (None, inputs) if args.input.is_empty() && !inputs.is_empty() => Err(CliError::Misuse(
            "nothing to run on: give --image FILE or --input FILE.npy".to_owned(),
        )),
        (None, _) => {
            let values = model::inputs(graph, &args.input)?;
            let shown = values.first().and_then(picture::from_value);
            Ok((values, shown))
        }
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
