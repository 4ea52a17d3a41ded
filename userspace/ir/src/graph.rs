//! The graph: tensors, nodes in execution order, inputs and outputs.

use crate::op::OpKind;
use crate::tensor::Tensor;

/// Index of a tensor in its graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TensorId(pub u32);

/// Index of a node in its graph, in execution order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OpId(pub u32);

/// One operator with its operands.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// What it computes.
    pub kind: OpKind,
    /// Operands in TFLite's order; `None` is an omitted optional operand.
    pub inputs: Vec<Option<TensorId>>,
    /// Results.
    pub outputs: Vec<TensorId>,
}

/// A model's (first) subgraph.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Graph {
    /// Name in the file.
    pub name: String,
    /// All tensors; the index is the TFLite tensor index.
    pub tensors: Vec<Tensor>,
    /// All nodes in execution order; the index is the TFLite operator index.
    pub nodes: Vec<Node>,
    /// Graph inputs, in order.
    pub inputs: Vec<TensorId>,
    /// Graph outputs, in order.
    pub outputs: Vec<TensorId>,
}

impl Graph {
    /// The tensor with this id.
    ///
    /// # Panics
    /// If the id is of another graph.
    pub fn tensor(&self, id: TensorId) -> &Tensor {
        &self.tensors[id.0 as usize]
    }

    /// The node with this id.
    ///
    /// # Panics
    /// If the id is of another graph.
    pub fn node(&self, id: OpId) -> &Node {
        &self.nodes[id.0 as usize]
    }

    /// Ids of all nodes in execution order.
    pub fn op_ids(&self) -> impl Iterator<Item = OpId> + use<> {
        (0..self.nodes.len() as u32).map(OpId)
    }
}
