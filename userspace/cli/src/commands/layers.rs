//! `ferrite compare --layers`: each operator by itself, fed with the reference's inputs of it.

use crate::args::CompareArgs;
use crate::arrays;
use crate::commands::compare::beyond;
use crate::error::CliError;
use crate::model::{self, Coverage};
use crate::report::Report;
use crate::table::table;
use ferrite_compiler::executable::Placement;
use ferrite_ir::single_op;
use ferrite_ir::{Graph, OpId, TensorId};
use ferrite_npy::{Array, Npz};
use serde_json::{Value, json};
use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;

pub fn run(args: &CompareArgs, path: &Path) -> Result<Report, CliError> {
    let graph = model::read(&args.model.model)?;
    let bytes = std::fs::read(path).map_err(CliError::io(path))?;
    let archive = Npz::new(&bytes).map_err(CliError::npz(path))?;
    let device = args.device.open()?.map_or("cpu".to_owned(), |d| d.name());
    let mut layers = Layers {
        rows: Vec::new(),
        entries: Vec::new(),
        skipped: Vec::new(),
        total: Coverage::default(),
        largest: 0.0,
    };
    for op in graph.op_ids() {
        layers.compare(args, path, &graph, &archive, op)?;
    }
    if layers.entries.is_empty() {
        return Err(CliError::wrong(
            path,
            "no operator has all its tensors in the archive (t<tensor index>)",
        ));
    }
    let mut text = table(&layers.rows, &[0, 4, 5]);
    if !layers.skipped.is_empty() {
        let _ = writeln!(
            text,
            "{} operators left out: the archive lacks tensors of theirs",
            layers.skipped.len()
        );
    }
    let json = json!({
        "device": device,
        "layers": layers.entries,
        "skipped": layers.skipped,
        "npu_ops": layers.total.npu_ops,
        "cpu_ops": layers.total.cpu_ops,
        "npu_mac_fraction": layers.total.npu_mac_fraction(),
    });
    Ok(Report::new(text, json).failed(beyond(args.max_diff, layers.largest)))
}

/// The archive's name of a tensor: `t` and its index, with or without leading zeros.
fn stored_name(archive: &Npz<'_>, id: TensorId) -> Option<String> {
    [format!("t{:04}", id.as_u32()), format!("t{}", id.as_u32())]
        .into_iter()
        .find(|name| archive.contains(name))
}

struct Layers {
    rows: Vec<Vec<String>>,
    entries: Vec<Value>,
    skipped: Vec<u32>,
    total: Coverage,
    largest: f64,
}

impl Layers {
    fn compare(
        &mut self,
        args: &CompareArgs,
        path: &Path,
        graph: &Graph,
        archive: &Npz<'_>,
        op: OpId,
    ) -> Result<(), CliError> {
        let alone = single_op(graph, op);
        let mut all = alone.inputs.iter().chain(&alone.outputs);
        if !all.all(|&id| stored_name(archive, id).is_some()) {
            self.skipped.push(op.as_u32());
            return Ok(());
        }
        let get = |&id: &TensorId| {
            let name = stored_name(archive, id).unwrap_or_default();
            archive.get(&name).map_err(CliError::npz(path))
        };
        let arrays: Vec<Array> = alone.inputs.iter().map(get).collect::<Result<_, _>>()?;
        let value = |(array, &id): (&Array, &TensorId)| {
            arrays::to_value(array, graph.tensor(id)).map_err(|e| CliError::wrong(path, e))
        };
        let pairs = arrays.iter().zip(&alone.inputs);
        let inputs = pairs.map(value).collect::<Result<Vec<_>, _>>()?;
        let expected: Vec<Array> = alone.outputs.iter().map(get).collect::<Result<_, _>>()?;

        let spec = &args.device;
        let graph_of_op = Arc::new(alone.graph);
        let mut prepared = model::prepare_graph(&args.model, graph_of_op, spec, 1)?;
        let outputs = prepared.session.run(&inputs)?;
        let executable = prepared.session.executable();
        let coverage = Coverage::of(executable);
        self.total.npu_ops += coverage.npu_ops;
        self.total.cpu_ops += coverage.cpu_ops;
        self.total.macs += coverage.macs;
        self.total.npu_macs += coverage.npu_macs;
        let placement = match executable.placements.values().next() {
            Some(Placement::Npu { .. } | Placement::Approximate { .. }) => "npu",
            Some(Placement::Cpu { .. }) | None => "cpu",
            Some(Placement::Folded) => "folded",
        };
        for ((id, value), expected) in alone.outputs.iter().zip(&outputs).zip(&expected) {
            let name = &graph.tensor(*id).name;
            let difference = arrays::difference(&arrays::from_value(value), expected)
                .map_err(|e| CliError::wrong(path, format!("tensor `{name}`: {e}")))?;
            self.largest = self.largest.max(difference.max_abs_diff);
            self.rows.push(vec![
                op.as_u32().to_string(),
                graph.op_name(op).to_owned(),
                placement.to_owned(),
                name.clone(),
                format!("{:.4} % exact", 100.0 * difference.exact_fraction()),
                format!("largest difference {}", difference.max_abs_diff),
            ]);
            self.entries.push(json!({
                "op": op.as_u32(),
                "kind": graph.op_name(op),
                "placement": placement,
                "name": name,
                "elements": difference.elements,
                "exact_fraction": difference.exact_fraction(),
                "max_abs_diff": difference.max_abs_diff,
            }));
        }
        Ok(())
    }
}
