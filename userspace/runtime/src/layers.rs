//! Single operators as graphs, to compare them with a reference one by one.

use ferrite_ir::{Graph, Node, OpId, TensorId};

/// An operator by itself.
#[derive(Clone, Debug)]
pub struct SingleOp {
    /// The graph with this one operator. Its inputs are the operands that are not constant, each
    /// once.
    pub graph: Graph,
    /// For each input of the graph: the tensor of the original.
    pub inputs: Vec<TensorId>,
    /// For each output of the graph: the tensor of the original.
    pub outputs: Vec<TensorId>,
}

/// Takes an operator out of its graph.
///
/// # Panics
/// If `op` is of another graph.
pub fn single_op(graph: &Graph, op: OpId) -> SingleOp {
    let node = graph.node(op);
    let mut originals: Vec<TensorId> = Vec::new();
    let mut local = |id: TensorId| {
        let index = originals.iter().position(|&known| known == id);
        TensorId(index.unwrap_or_else(|| {
            originals.push(id);
            originals.len() - 1
        }) as u32)
    };
    let alone = Node {
        kind: node.kind.clone(),
        inputs: node.inputs.iter().map(|id| id.map(&mut local)).collect(),
        outputs: node.outputs.iter().map(|&id| local(id)).collect(),
    };
    let mut inputs = Vec::new();
    for id in alone.inputs.iter().flatten() {
        let original = originals[id.0 as usize];
        if !graph.tensor(original).is_constant() && !inputs.contains(id) {
            inputs.push(*id);
        }
    }
    let original = |ids: &[TensorId]| ids.iter().map(|id| originals[id.0 as usize]).collect();
    SingleOp {
        inputs: original(&inputs),
        outputs: node.outputs.to_vec(),
        graph: Graph {
            name: format!("{} {}", graph.op_name(op), op.0),
            tensors: originals
                .iter()
                .map(|&id| graph.tensor(id).clone())
                .collect(),
            inputs,
            outputs: alone.outputs.to_vec(),
            nodes: vec![alone],
        },
    }
}
