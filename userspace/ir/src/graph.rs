//! The graph: tensors, nodes in execution order, inputs and outputs.

use crate::op::OpKind;
use crate::tensor::Tensor;
use cranelift_entity::packed_option::PackedOption;
use cranelift_entity::{PrimaryMap, SecondaryMap, entity_impl};
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

/// A tensor of a graph. In a graph as it was read this is the TFLite tensor index.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TensorId(u32);
entity_impl!(TensorId, "%");

/// A node of a graph. In a graph as it was read this is the TFLite operator index, and ids are in
/// execution order; rewriting a graph leaves the ids of its nodes as they are.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct OpId(u32);
entity_impl!(OpId, "op");

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

/// A model's (first) subgraph. Graphs are equal if their tensors are, and their nodes in execution
/// order.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    /// Name in the file.
    pub name: String,
    /// All tensors.
    pub tensors: PrimaryMap<TensorId, Tensor>,
    /// Graph inputs, in order.
    pub inputs: Vec<TensorId>,
    /// Graph outputs, in order.
    pub outputs: Vec<TensorId>,
    /// All nodes that the graph ever had.
    nodes: PrimaryMap<OpId, Node>,
    /// Those that it has, in execution order.
    order: Vec<OpId>,
    /// The operators of the model that inserted nodes work for.
    origins: SecondaryMap<OpId, PackedOption<OpId>>,
}

impl PartialEq for Graph {
    fn eq(&self, other: &Graph) -> bool {
        self.name == other.name
            && self.tensors == other.tensors
            && (&self.inputs, &self.outputs) == (&other.inputs, &other.outputs)
            && self.nodes().eq(other.nodes())
    }
}

impl Graph {
    /// A graph of these nodes in execution order, with ids that count from 0.
    pub fn new(
        name: impl Into<String>,
        tensors: PrimaryMap<TensorId, Tensor>,
        nodes: PrimaryMap<OpId, Node>,
        inputs: Vec<TensorId>,
        outputs: Vec<TensorId>,
    ) -> Graph {
        Graph {
            name: name.into(),
            tensors,
            inputs,
            outputs,
            order: nodes.keys().collect(),
            nodes,
            origins: SecondaryMap::new(),
        }
    }

    /// Makes room for `additional` nodes more.
    pub fn reserve_nodes(&mut self, additional: usize) {
        self.nodes.reserve_exact(additional);
        self.order.reserve_exact(additional);
    }

    /// Adds a node that runs after all others.
    pub fn push(&mut self, node: Node) -> OpId {
        let op = self.nodes.push(node);
        self.order.push(op);
        op
    }

    /// Leaves only these nodes, which are in execution order, and numbers them anew from 0, as those
    /// of a model of their own.
    pub fn keep_ops(&mut self, ops: &[OpId]) {
        self.nodes = ops.iter().map(|&op| self.take_node(op)).collect();
        self.order = self.nodes.keys().collect();
        self.origins = SecondaryMap::new();
    }

    /// Numbers the nodes anew from 0 in execution order, and gives their old ids.
    pub(crate) fn renumber_ops(&mut self) -> Vec<OpId> {
        let order = std::mem::take(&mut self.order);
        let origins: Vec<_> = order.iter().map(|&op| self.origin(op).into()).collect();
        self.keep_ops(&order);
        self.origins = origins.into();
        order
    }

    /// Adds a node `offset` places behind where `anchor` runs, for the same operator of the model.
    pub(crate) fn insert(&mut self, anchor: OpId, offset: usize, node: Node) -> OpId {
        let op = self.nodes.push(node);
        self.origins[op] = self.origin(anchor).into();
        let place = self.order.iter().position(|&op| op == anchor);
        let place = place.map_or(self.order.len(), |place| place + offset);
        self.order.insert(place, op);
        op
    }

    /// Removes a node.
    pub(crate) fn remove(&mut self, op: OpId) -> Node {
        self.order.retain(|&other| other != op);
        self.take_node(op)
    }

    /// Leaves nothing of a node but its id.
    fn take_node(&mut self, op: OpId) -> Node {
        let nothing = Node {
            kind: OpKind::Unknown {
                name: String::new(),
            },
            inputs: SmallVec::new(),
            outputs: SmallVec::new(),
        };
        std::mem::replace(&mut self.nodes[op], nothing)
    }

    /// The tensor with this id.
    ///
    /// # Panics
    /// If the id is of another graph.
    #[inline]
    pub fn tensor(&self, id: TensorId) -> &Tensor {
        &self.tensors[id]
    }

    /// The node with this id.
    ///
    /// # Panics
    /// If the id is of another graph.
    #[inline]
    pub fn node(&self, op: OpId) -> &Node {
        &self.nodes[op]
    }

    /// The node with this id, to be changed.
    ///
    /// # Panics
    /// If the id is of another graph.
    pub fn node_mut(&mut self, op: OpId) -> &mut Node {
        &mut self.nodes[op]
    }

    /// The node with this id, if there is one.
    pub fn get_node(&self, op: OpId) -> Option<&Node> {
        self.nodes.get(op)
    }

    /// The operator of the model, by the id that it had when the model was read, that a node works
    /// for.
    pub fn origin(&self, op: OpId) -> OpId {
        self.origins[op].expand().unwrap_or(op)
    }

    /// Ids of all nodes in execution order.
    pub fn op_ids(&self) -> impl DoubleEndedIterator<Item = OpId> + ExactSizeIterator {
        self.order.iter().copied()
    }

    /// All nodes in execution order.
    pub fn nodes(&self) -> impl DoubleEndedIterator<Item = &Node> + ExactSizeIterator {
        self.order.iter().map(|&op| &self.nodes[op])
    }

    /// Ids of nodes, also of those that a rewritten graph had, are below this number.
    pub fn op_bound(&self) -> usize {
        self.nodes.len()
    }

    /// Number of nodes.
    pub fn op_count(&self) -> usize {
        self.order.len()
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

    /// Producers and consumers of all tensors.
    pub fn uses(&self) -> Uses {
        let tensors = self.tensors.len();
        let mut producers = SecondaryMap::with_capacity(tensors);
        producers.resize(tensors);
        let mut spans: SecondaryMap<TensorId, Span> = SecondaryMap::with_capacity(tensors);
        spans.resize(tensors);
        for op in self.op_ids() {
            let node = self.node(op);
            for &id in &node.outputs {
                producers[id] = op.into();
            }
            for &id in node.inputs.iter().flatten() {
                spans[id].end += 1;
            }
        }
        let mut start = 0;
        for span in spans.values_mut() {
            let count = span.end;
            *span = Span { start, end: start };
            start += count;
        }
        // The end of each span moves from where its tensor's consumers begin to where they end.
        let mut consumers = vec![OpId(0); start];
        for op in self.op_ids() {
            for &id in self.node(op).inputs.iter().flatten() {
                let end = &mut spans[id].end;
                consumers[*end] = op;
                *end += 1;
            }
        }
        Uses {
            producers,
            consumers,
            spans,
        }
    }

    /// Tensors that nodes read and no node makes, in ascending order, but for constants and variables:
    /// the inputs that the nodes need.
    pub fn free_tensors(&self) -> Vec<TensorId> {
        let mut free = self.marks();
        for &id in self.nodes().flat_map(|node| &node.inputs).flatten() {
            let tensor = self.tensor(id);
            free[id] = !tensor.is_constant() && !tensor.variable;
        }
        for &id in self.nodes().flat_map(|node| &node.outputs) {
            free[id] = false;
        }
        self.tensors.keys().filter(|&id| free[id]).collect()
    }

    /// Tensors that nodes make and no node reads, in ascending order.
    pub fn final_tensors(&self) -> Vec<TensorId> {
        let mut last = self.marks();
        for &id in self.nodes().flat_map(|node| &node.outputs) {
            last[id] = true;
        }
        for &id in self.nodes().flat_map(|node| &node.inputs).flatten() {
            last[id] = false;
        }
        self.tensors.keys().filter(|&id| last[id]).collect()
    }

    /// A mark for each tensor, not set.
    fn marks(&self) -> SecondaryMap<TensorId, bool> {
        let mut marks = SecondaryMap::with_capacity(self.tensors.len());
        marks.resize(self.tensors.len());
        marks
    }
}

/// Where the consumers of a tensor lie in the list of all.
#[derive(Clone, Copy, Debug, Default)]
struct Span {
    start: usize,
    end: usize,
}

/// The nodes that make and that read each tensor of a graph (see [`Graph::uses`]).
#[derive(Clone, Debug)]
pub struct Uses {
    producers: SecondaryMap<TensorId, PackedOption<OpId>>,
    consumers: Vec<OpId>,
    spans: SecondaryMap<TensorId, Span>,
}

impl Uses {
    /// The node that makes a tensor; `None` for graph inputs, constants and variables.
    #[inline]
    pub fn producer(&self, id: TensorId) -> Option<OpId> {
        self.producers[id].expand()
    }

    /// The nodes that read a tensor, in execution order, once for each operand.
    #[inline]
    pub fn consumers(&self, id: TensorId) -> &[OpId] {
        let Span { start, end } = self.spans[id];
        &self.consumers[start..end]
    }
}
