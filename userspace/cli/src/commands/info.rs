//! `ferrite info`

use crate::args::InfoArgs;
use crate::error::CliError;
use crate::model::{self, Coverage};
use crate::report::Report;
use crate::situation::Situations;
use crate::table::{shape, table};
use ferrite_compiler::executable::{Executable, Placement};
use ferrite_ir::{Graph, OpId, Tensor, TensorId};
use ferrite_runtime::device;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write;

pub fn run(args: &InfoArgs) -> Result<Report, CliError> {
    let graph = model::read(&args.model.model)?;
    let (name, executable) = match &args.device {
        Some(spec) => {
            let device = device::open(spec)?;
            let executable = model::compile_for(&args.model, &graph, device.as_deref(), 1)?;
            let name = device.map_or_else(|| "cpu".to_owned(), |device| device.name());
            (Some(name), executable)
        }
        None => {
            let options = model::options(&args.model, args.target.into());
            let executable = model::compile(&args.model.model, &graph, &options)?;
            (None, executable)
        }
    };
    let coverage = Coverage::of(&executable);
    let situations = Situations::of(&graph);
    let ops: Vec<Value> = graph
        .op_ids()
        .map(|op| op_json(&graph, &executable, op))
        .collect();
    let list = |ids: &[TensorId]| -> Vec<Value> {
        ids.iter()
            .map(|&id| tensor_json(graph.tensor(id)))
            .collect()
    };
    let json = json!({
        "model": args.model.model,
        "name": graph.name,
        "target": executable.target.name(),
        "device": name,
        "inputs": list(&graph.inputs),
        "outputs": list(&graph.outputs),
        "ops": ops,
        "npu_ops": coverage.npu_ops,
        "cpu_ops": coverage.cpu_ops,
        "macs": coverage.macs,
        "npu_macs": coverage.npu_macs,
        "npu_mac_fraction": coverage.npu_mac_fraction(),
        "segments": coverage.segments,
        "host_steps": coverage.host_steps,
        "evidence": coverage.evidence.map(|grade| grade.name()),
        "approximate_ops": coverage.approximate_ops,
        "situations": situations.json(),
    });
    let place = name.unwrap_or_else(|| format!("the {} NPU", executable.target.name()));
    let text = text(&graph, &executable, &coverage, &place) + &situations.text();
    Ok(Report::new(text, json))
}

/// NumPy's name of the tensor's element type.
pub fn type_name(tensor: &Tensor) -> &'static str {
    crate::arrays::element_type(tensor.dtype).name()
}

fn text(graph: &Graph, executable: &Executable, coverage: &Coverage, place: &str) -> String {
    let mut text = String::new();
    let mut line = |what: &str, ids: &[TensorId]| {
        for &id in ids {
            let tensor = graph.tensor(id);
            let _ = writeln!(text, "{what}  {}  {}", tensor.name, describe(tensor));
        }
    };
    line("input ", &graph.inputs);
    line("output", &graph.outputs);
    text.push('\n');
    let rows: Vec<Vec<String>> = graph
        .op_ids()
        .map(|op| {
            let result = graph.output(op, 0);
            vec![
                op.as_u32().to_string(),
                graph.op_name(op).to_owned(),
                result.map(describe).unwrap_or_default(),
                placement_words(&executable.placements[op]),
            ]
        })
        .collect();
    text += &table(&rows, &[0]);
    let _ = writeln!(
        text,
        "\n{} of {} operators on {place}, {} on the CPU; {:.2} % of {:.1} million multiply-accumulates on the NPU",
        coverage.npu_ops,
        graph.op_count(),
        coverage.cpu_ops,
        100.0 * coverage.npu_mac_fraction(),
        coverage.macs as f64 / 1e6,
    );
    let _ = writeln!(
        text,
        "{} segments on the NPU, {} steps of the host{}",
        coverage.segments,
        coverage.host_steps,
        coverage
            .evidence
            .map_or_else(String::new, |evidence| format!(
                "; evidence: {}",
                evidence.name()
            )),
    );
    if let Some((largest, mean)) = errors(executable) {
        let _ = writeln!(
            text,
            "{} approximate: weights with a scale per channel in other steps, for an error of {mean:.3} steps rms an operator, {largest:.3} at most (--exact leaves them to the CPU)",
            coverage.approximate_ops
        );
    }
    for (reason, count) in reasons(executable) {
        let _ = writeln!(text, "{count} on the CPU: {reason}");
    }
    text
}

/// The largest of the errors of approximate operators, and their mean.
fn errors(executable: &Executable) -> Option<(f32, f32)> {
    let errors = executable.placements.values().filter_map(Placement::error);
    let errors: Vec<f32> = errors.collect();
    let largest = errors.iter().copied().reduce(f32::max)?;
    Some((largest, errors.iter().sum::<f32>() / errors.len() as f32))
}

/// Why operators stay on the CPU, and how many for each reason.
fn reasons(executable: &Executable) -> BTreeMap<String, usize> {
    let mut reasons = BTreeMap::new();
    for placement in executable.placements.values() {
        if let Placement::Cpu { reason, remedy } = placement {
            let remedy = remedy.iter().map(|r| format!(" ({r})")).collect::<String>();
            *reasons.entry(format!("{reason}{remedy}")).or_default() += 1;
        }
    }
    reasons
}

/// `uint8 1x224x224x3, scale 0.0078125, zero point 128`.
fn describe(tensor: &Tensor) -> String {
    let quant = match &tensor.quant {
        Some(q) if q.is_per_tensor() => {
            let zero_point = q.zero_points.first().copied().unwrap_or(0);
            format!(", scale {}, zero point {zero_point}", q.scales[0])
        }
        Some(q) => format!(", {} scales along axis {}", q.scales.len(), q.axis),
        None => String::new(),
    };
    format!("{} {}{quant}", type_name(tensor), shape(&tensor.shape))
}

fn placement_words(placement: &Placement) -> String {
    match placement {
        Placement::Npu { lowering, evidence } => {
            format!("NPU: {lowering} ({})", evidence.name())
        }
        Placement::Approximate {
            lowering,
            evidence,
            error,
        } => format!(
            "NPU: {lowering} ({}), approximate: {error:.3} steps rms",
            evidence.name()
        ),
        Placement::Cpu { reason, .. } => format!("CPU: {reason}"),
        Placement::Folded => "folded".to_owned(),
    }
}

fn tensor_json(tensor: &Tensor) -> Value {
    let quantisation = tensor.quant.as_ref().map(
        |q| json!({ "scales": q.scales[..], "zero_points": q.zero_points[..], "axis": q.axis }),
    );
    json!({
        "name": tensor.name,
        "dtype": type_name(tensor),
        "shape": tensor.shape[..],
        "quantization": quantisation,
        "constant": tensor.is_constant(),
    })
}

fn op_json(graph: &Graph, executable: &Executable, op: OpId) -> Value {
    let node = graph.node(op);
    let inputs = node
        .inputs
        .iter()
        .map(|id| id.map(|id| tensor_json(graph.tensor(id))));
    let outputs = node.outputs.iter().map(|&id| tensor_json(graph.tensor(id)));
    let mut json = json!({
        "index": op.as_u32(),
        "op": graph.op_name(op),
        "inputs": inputs.collect::<Vec<_>>(),
        "outputs": outputs.collect::<Vec<_>>(),
        "macs": executable.macs[op],
    });
    let placement = match &executable.placements[op] {
        Placement::Npu { lowering, evidence } => json!({
            "placement": "npu", "lowering": lowering, "evidence": evidence.name(),
        }),
        Placement::Approximate {
            lowering,
            evidence,
            error,
        } => json!({
            "placement": "npu", "lowering": lowering, "evidence": evidence.name(),
            "approximate": true, "error_steps": error,
        }),
        Placement::Cpu { reason, remedy } => json!({
            "placement": "cpu", "reason": reason, "remedy": remedy,
        }),
        Placement::Folded => json!({ "placement": "folded" }),
    };
    if let (Value::Object(json), Value::Object(placement)) = (&mut json, placement) {
        json.extend(placement);
    }
    json
}
