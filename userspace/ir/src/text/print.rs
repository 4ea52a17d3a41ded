//! From a graph to text.

use std::fmt::Write;

use super::attributes::attributes;
use super::constants::{ContentHash, hex, list};
use super::cursor::quote;
use crate::graph::{Graph, Node, TensorId};
use crate::op::OpKind;
use crate::tensor::Tensor;

/// How the data of constants is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Constants {
    /// All bytes: the text is the whole graph.
    Inline,
    /// Up to 16 elements; the hash of longer ones.
    Hashed,
}

/// Constants with more elements than this are not written as lists.
const LIST_LIMIT: usize = 16;

/// Writes a graph as text.
pub fn print(graph: &Graph, constants: Constants) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write_graph(&mut text, graph, constants);
    text
}

fn write_graph(text: &mut String, graph: &Graph, constants: Constants) -> std::fmt::Result {
    writeln!(text, "graph {}", quote(&graph.name))?;
    writeln!(text, "inputs {}", ids(&graph.inputs))?;
    writeln!(text, "outputs {}", ids(&graph.outputs))?;
    writeln!(text)?;
    for (id, t) in &graph.tensors {
        writeln!(text, "{id} {}", tensor(t, constants))?;
    }
    writeln!(text)?;
    for n in graph.nodes() {
        writeln!(text, "{}", node(n))?;
    }
    Ok(())
}

fn ids(ids: &[TensorId]) -> String {
    let names: Vec<String> = ids.iter().map(|id| id.to_string()).collect();
    names.join(", ")
}

fn joined<T: std::fmt::Debug>(values: &[T], separator: &str) -> String {
    let texts: Vec<String> = values.iter().map(|v| format!("{v:?}")).collect();
    texts.join(separator)
}

fn tensor(t: &Tensor, constants: Constants) -> String {
    let mut text = format!("{}: {}[{}]", quote(&t.name), t.dtype, joined(&t.shape, ","));
    if let Some(q) = &t.quant {
        // Floats print with as many digits as bring back the same bits.
        text += &match (q.scales.as_slice(), q.zero_points.as_slice(), q.axis) {
            (&[scale], &[zero], 0) => format!(" scale {scale:?} zero {zero}"),
            (scales, zeros, axis) => format!(
                " axis {axis} scales [{}] zeros [{}]",
                joined(scales, ", "),
                joined(zeros, ", ")
            ),
        };
    }
    if t.variable {
        text += " variable";
    }
    if let Some(data) = &t.data {
        text += " = ";
        // Data of a wrong length cannot be a list of elements.
        let short =
            data.len() <= LIST_LIMIT * t.dtype.size() && data.len().is_multiple_of(t.dtype.size());
        text += &match constants {
            _ if short => list(t.dtype, data),
            Constants::Inline => hex(data),
            Constants::Hashed => ContentHash::of(data).to_string(),
        };
    }
    text
}

fn node(node: &Node) -> String {
    let operand = |id: &Option<TensorId>| id.map_or("none".to_owned(), |id| id.to_string());
    let operands: Vec<String> = node.inputs.iter().map(operand).collect();
    let name = match &node.kind {
        OpKind::Unknown { name } => format!("unknown {}", quote(name)),
        kind => kind.name().to_owned(),
    };
    let results = ids(&node.outputs);
    let text = format!("{results} = {name}({})", operands.join(", "));
    let mut text = text.trim_start().to_owned();
    for (key, value) in attributes(&node.kind) {
        text += &format!(" {key}={value}");
    }
    text
}
