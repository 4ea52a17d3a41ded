//! Single operators as graphs, to compare them with a reference one by one.

use crate::graph::{Graph, Node, OpId, TensorId};
use cranelift_entity::PrimaryMap;

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
    let mut originals: PrimaryMap<TensorId, TensorId> = PrimaryMap::new();
    let mut local = |id: TensorId| {
        let known = originals.iter().find(|&(_, &known)| known == id);
        match known {
            Some((local, _)) => local,
            None => originals.push(id),
        }
    };
    let alone = Node {
        kind: node.kind.clone(),
        inputs: node.inputs.iter().map(|id| id.map(&mut local)).collect(),
        outputs: node.outputs.iter().map(|&id| local(id)).collect(),
    };
    let mut inputs = Vec::new();
    for id in alone.inputs.iter().flatten() {
        let original = originals[*id];
        if !graph.tensor(original).is_constant() && !inputs.contains(id) {
            inputs.push(*id);
        }
    }
    let original = |ids: &[TensorId]| ids.iter().map(|&id| originals[id]).collect();
    let outputs = alone.outputs.to_vec();
    let tensors = originals.values().map(|&id| graph.tensor(id).clone());
    SingleOp {
        inputs: original(&inputs),
        outputs: node.outputs.to_vec(),
        graph: Graph::new(
            format!("{} {}", graph.op_name(op), op.as_u32()),
            tensors.collect(),
            vec![alone].into(),
            inputs,
            outputs,
        ),
    }
}
