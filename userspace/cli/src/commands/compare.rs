//! `ferrite compare`

use crate::args::CompareArgs;
use crate::arrays::{self, Difference};
use crate::commands::layers;
use crate::error::CliError;
use crate::model::{self, Coverage};
use crate::report::Report;
use crate::table::table;
use ferrite_ir::Graph;
use ferrite_npy::{Array, Npz};
use ferrite_runtime::cpu::Value;
use serde_json::json;
use std::path::{Path, PathBuf};

pub fn run(args: &CompareArgs) -> Result<Report, CliError> {
    if let Some(archive) = &args.layers {
        return layers::run(args, archive);
    }
    let mut prepared = model::prepare(&args.model, &args.device)?;
    let (inputs, expected) = case(args, prepared.session.graph())?;
    let outputs = prepared.session.run(&inputs)?;

    let session = &prepared.session;
    let coverage = Coverage::of(session.executable());
    let mut rows = Vec::new();
    let mut entries = Vec::new();
    let mut largest = 0.0f64;
    for ((&id, value), (path, expected)) in
        session.graph().outputs.iter().zip(&outputs).zip(&expected)
    {
        let name = &session.graph().tensor(id).name;
        let difference = arrays::difference(&arrays::from_value(value), expected)
            .map_err(|e| CliError::wrong(path, format!("output `{name}`: {e}")))?;
        largest = largest.max(difference.max_abs_diff);
        rows.push(row(name, &difference));
        entries.push(json!({
            "name": name,
            "elements": difference.elements,
            "exact_fraction": difference.exact_fraction(),
            "max_abs_diff": difference.max_abs_diff,
            "mean_abs_diff": difference.mean_abs_diff(),
        }));
    }
    let text = format!(
        "{}{} operators on the NPU of {}, {} on the CPU; {:.2} % of the multiply-accumulates on the NPU\n",
        table(&rows, &[1, 2, 3]),
        coverage.npu_ops,
        session.device(),
        coverage.cpu_ops,
        100.0 * coverage.npu_mac_fraction(),
    );
    let json = json!({
        "device": session.device(),
        "outputs": entries,
        "npu_ops": coverage.npu_ops,
        "cpu_ops": coverage.cpu_ops,
        "npu_mac_fraction": coverage.npu_mac_fraction(),
        "segments": coverage.segments,
        "evidence": coverage.evidence.map(|grade| grade.name()),
    });
    Ok(Report::new(text, json).failed(beyond(args.max_diff, largest)))
}

/// The failure that `--max-diff` asks for.
pub fn beyond(allowed: Option<f64>, found: f64) -> Option<CliError> {
    let allowed = allowed?;
    (found > allowed).then_some(CliError::Different { found, allowed })
}

fn row(name: &str, difference: &Difference) -> Vec<String> {
    vec![
        name.to_owned(),
        format!("{} elements", difference.elements),
        format!("{:.4} % exact", 100.0 * difference.exact_fraction()),
        format!("largest difference {}", difference.max_abs_diff),
    ]
}

/// Input values, and expected arrays with the files that they are from.
type Case = (Vec<Value>, Vec<(PathBuf, Array)>);

fn case(args: &CompareArgs, graph: &Graph) -> Result<Case, CliError> {
    if let Some(archive) = &args.case {
        return case_of_archive(archive, graph);
    }
    if args.input.is_empty() && args.expected.is_empty() {
        return Err(CliError::Misuse(
            "nothing to compare: give --input and --expected, --case or --layers".to_owned(),
        ));
    }
    let inputs = model::inputs(graph, &args.input)?;
    expect_outputs(graph, args.expected.len())?;
    let read = |path: &PathBuf| arrays::read(path).map(|array| (path.clone(), array));
    let expected = args.expected.iter().map(read).collect::<Result<_, _>>()?;
    Ok((inputs, expected))
}

fn case_of_archive(path: &Path, graph: &Graph) -> Result<Case, CliError> {
    let bytes = std::fs::read(path).map_err(CliError::io(path))?;
    let archive = Npz::new(&bytes).map_err(CliError::npz(path))?;
    let arrays = archive.numbered("in").map_err(CliError::npz(path))?;
    if arrays.len() != graph.inputs.len() {
        return Err(CliError::wrong(
            path,
            format!(
                "the model has {} inputs, the archive {} (in0, in1, ...)",
                graph.inputs.len(),
                arrays.len()
            ),
        ));
    }
    let value = |(array, &id): (&Array, _)| {
        arrays::to_value(array, graph.tensor(id)).map_err(|e| CliError::wrong(path, e))
    };
    let inputs = arrays
        .iter()
        .zip(&graph.inputs)
        .map(value)
        .collect::<Result<_, _>>()?;
    let expected = archive.numbered("out").map_err(CliError::npz(path))?;
    if expected.len() != graph.outputs.len() {
        return Err(CliError::wrong(
            path,
            format!(
                "the model has {} outputs, the archive {} (out0, out1, ...)",
                graph.outputs.len(),
                expected.len()
            ),
        ));
    }
    let expected = expected.into_iter().map(|a| (path.to_owned(), a)).collect();
    Ok((inputs, expected))
}

fn expect_outputs(graph: &Graph, given: usize) -> Result<(), CliError> {
    if given == graph.outputs.len() {
        return Ok(());
    }
    Err(CliError::Misuse(format!(
        "the model has {} outputs, but {given} expected arrays are given",
        graph.outputs.len()
    )))
}
