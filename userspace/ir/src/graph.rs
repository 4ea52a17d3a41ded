//! The graph: tensors, nodes in execution order, inputs and outputs.

use crate::op::OpKind;
use crate::tensor::Tensor;
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

/// Index of a tensor in its graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TensorId(pub u32);

/// Index of a node in its graph, in execution order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct OpId(pub u32);

/// One operator with its operands.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// What it computes.
    pub kind: OpKind,
    /// Operands in TFLite's order; `None` is an omitted optional operand.
    pub inputs: SmallVec<[Option<TensorId>; 4]>,
    /// Results.
    pub outputs: SmallVec<[TensorId; 4]>,
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

    /// The tensor at operand `index` of a node, `None` if it is omitted or there is none.
    pub fn input(&self, op: OpId, index: usize) -> Option<&Tensor> {
        let id = (*self.node(op).inputs.get(index)?)?;
        Some(self.tensor(id))
    }

    /// The tensor at result `index` of a node.
    pub fn output(&self, op: OpId, index: usize) -> Option<&Tensor> {
        self.node(op).outputs.get(index).map(|&id| self.tensor(id))
    }

    /// TFLite's name of a node's operator.
    pub fn op_name(&self, op: OpId) -> &str {
        let node = self.node(op);
        match node.kind {
            OpKind::Pad if node.inputs.len() == 3 => "PADV2",
            _ => node.kind.name(),
        }
    }

    /// The node that produces a tensor; `None` for graph inputs, constants and variables.
    pub fn producer(&self, id: TensorId) -> Option<OpId> {
        self.op_ids()
            .find(|&op| self.node(op).outputs.contains(&id))
    }

    /// The nodes that read a tensor, in execution order, each once.
    pub fn consumers(&self, id: TensorId) -> Vec<OpId> {
        self.op_ids()
            .filter(|&op| self.node(op).inputs.contains(&Some(id)))
            .collect()
    }

    /// Producers and consumers of all tensors, for passes that ask often.
    pub fn uses(&self) -> Uses {
        let mut producers = vec![None; self.tensors.len()];
        let mut ends = vec![0; self.tensors.len()];
        for op in self.op_ids() {
            let node = self.node(op);
            for &id in &node.outputs {
                producers[id.0 as usize] = Some(op);
            }
            for &id in node.inputs.iter().flatten() {
                ends[id.0 as usize] += 1;
            }
        }
        let mut start = 0;
        for end in &mut ends {
            start += std::mem::replace(end, start);
        }
        // Each entry moves from where its tensor's consumers begin to where they end.
        let mut consumers = vec![OpId(0); start];
        for op in self.op_ids() {
            for &id in self.node(op).inputs.iter().flatten() {
                let end = &mut ends[id.0 as usize];
                consumers[*end] = op;
                *end += 1;
            }
        }
        Uses {
            producers,
            consumers,
            ends,
        }
    }

    /// Tensors that nodes read and no node makes, in ascending order, but for constants and variables:
    /// the inputs that the nodes need.
    pub fn free_tensors(&self) -> Vec<TensorId> {
        let mut free = vec![false; self.tensors.len()];
        for id in self.nodes.iter().flat_map(|node| &node.inputs).flatten() {
            let tensor = self.tensor(*id);
            free[id.0 as usize] = !tensor.is_constant() && !tensor.variable;
        }
        for id in self.nodes.iter().flat_map(|node| &node.outputs) {
            free[id.0 as usize] = false;
        }
        let ids = (0..self.tensors.len() as u32).map(TensorId);
        ids.filter(|id| free[id.0 as usize]).collect()
    }

    /// Tensors that nodes make and no node reads, in ascending order.
    pub fn final_tensors(&self) -> Vec<TensorId> {
        let mut last = vec![false; self.tensors.len()];
        for id in self.nodes.iter().flat_map(|node| &node.outputs) {
            last[id.0 as usize] = true;
        }
        for id in self.nodes.iter().flat_map(|node| &node.inputs).flatten() {
            last[id.0 as usize] = false;
        }
        let ids = (0..self.tensors.len() as u32).map(TensorId);
        ids.filter(|id| last[id.0 as usize]).collect()
    }

    /// Ids of all nodes in execution order.
    pub fn op_ids(&self) -> impl Iterator<Item = OpId> + use<> {
        (0..self.nodes.len() as u32).map(OpId)
    }
}

/// Who produces and who reads each tensor of a graph (see [`Graph::uses`]).
#[derive(Clone, Debug)]
pub struct Uses {
    /// By tensor.
    producers: Vec<Option<OpId>>,
    /// The consumers of all tensors, by tensor, and where those of each end.
    consumers: Vec<OpId>,
    ends: Vec<usize>,
}

impl Uses {
    /// As [`Graph::producer`].
    pub fn producer(&self, id: TensorId) -> Option<OpId> {
        self.producers[id.0 as usize]
    }

    /// The nodes that read a tensor, in execution order, once for each operand.
    pub fn consumers(&self, id: TensorId) -> &[OpId] {
        let index = id.0 as usize;
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.consumers[start..self.ends[index]]
    }
}
