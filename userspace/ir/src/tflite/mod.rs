//! Reader for TFLite model files.
//!
//! Everything in the file is checked before it is used: a truncated, corrupt or hostile file gives
//! a [`ReadError`] that says what is wrong where. Time and memory are bounded by a small multiple
//! of the file's size, also when tables refer to shared parts (see `budget`).

mod budget;
mod error;
mod names;
mod operators;
mod options;
mod quantization;
mod schema;
mod tensors;

use crate::flatbuffer::Table;
use crate::graph::{Graph, TensorId};
use budget::Budget;
use cranelift_entity::PrimaryMap;
pub use error::{OpFault, ReadError, TensorFault};
pub use names::builtin_name;

/// Reads the first subgraph of a `.tflite` file.
///
/// Operators that Ferrite does not know become [`crate::OpKind::Unknown`].
///
/// # Errors
/// If the file is damaged, inconsistent, or uses what the graph cannot hold (control flow, sparse
/// tensors, element types outside [`crate::DType`]).
pub fn read(file: &[u8]) -> Result<Graph, ReadError> {
    let identifier = file
        .get(4..8)
        .ok_or(ReadError::TooShort { bytes: file.len() })?;
    if identifier != b"TFL3" {
        let mut found = [0; 4];
        found.copy_from_slice(identifier);
        return Err(ReadError::Identifier { found });
    }
    let model = Table::root(file, "Model")?;
    let version = model.get(schema::model::VERSION, 0u32)?;
    if version != 3 {
        return Err(ReadError::Version { found: version });
    }
    let subgraphs = model.tables(schema::model::SUBGRAPHS, "SubGraph")?;
    let subgraph = subgraphs.get(0).ok_or(ReadError::NoSubgraph)??;

    let mut budget = Budget::new(file.len());
    let tensors = tensors::read(file, &model, &subgraph, &mut budget)?;
    let list = |field, name| graph_operands(&subgraph, field, name, tensors.len());
    let inputs = list(schema::subgraph::INPUTS, "inputs")?;
    let outputs = list(schema::subgraph::OUTPUTS, "outputs")?;
    let name = subgraph.string(schema::subgraph::NAME)?;
    let mut graph = Graph::new(name, tensors, PrimaryMap::new(), inputs, outputs);
    operators::read(&model, &subgraph, subgraphs.len(), &mut graph, &mut budget)?;
    match crate::verify::verify(&graph) {
        Ok(()) => Ok(graph),
        Err(errors) => Err(ReadError::Inconsistent { errors }),
    }
}

fn graph_operands(
    subgraph: &Table<'_>,
    field: crate::flatbuffer::Field,
    list: &'static str,
    tensors: usize,
) -> Result<Vec<TensorId>, ReadError> {
    let operands = subgraph.vector::<i32>(field)?;
    let check = |(index, tensor)| match usize::try_from(tensor) {
        Ok(t) if t < tensors => Ok(TensorId::from_u32(tensor as u32)),
        _ => Err(ReadError::GraphOperand {
            list,
            index,
            tensor,
            tensors,
        }),
    };
    operands.iter().enumerate().map(check).collect()
}
