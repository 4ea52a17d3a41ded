//! Changes to a graph: nodes replaced, inserted and removed, tensors added and redirected, checked
//! as a whole when they are done.
//!
//! A pass works through its changes in one [`Graph::rewrite`]. In between the graph need not hold
//! together: a fused activation is removed before the convolution writes to its result. Ids of nodes
//! and tensors stay as they are until [`Graph::compact`].

use crate::graph::{Graph, Node, OpId, TensorId};
use crate::tensor::Tensor;
use crate::verify::{self, VerifyError};
use cranelift_entity::packed_option::PackedOption;
use cranelift_entity::{EntitySet, PrimaryMap, SecondaryMap};
use smallvec::SmallVec;

/// What is wrong with a graph after a rewrite: a mistake of the pass that made it.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("a pass has left an inconsistent graph: {}", .errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
pub struct RewriteError {
    /// What the verifier found.
    pub errors: Vec<VerifyError>,
}

/// New ids of what [`Graph::compact`] has left, by old ids.
#[derive(Clone, Debug, Default)]
pub struct Renumbered {
    /// Tensors.
    pub tensors: SecondaryMap<TensorId, PackedOption<TensorId>>,
    /// Nodes.
    pub ops: SecondaryMap<OpId, PackedOption<OpId>>,
}

impl Graph {
    /// Has `edit` change the graph.
    ///
    /// # Errors
    /// If the graph is inconsistent afterwards: ids, order and numbers of operands are always
    /// checked, shapes, types and quantisation in builds with debug assertions.
    pub fn rewrite<T>(
        &mut self,
        edit: impl FnOnce(&mut Rewrite<'_>) -> T,
    ) -> Result<T, RewriteError> {
        let result = edit(&mut Rewrite::new(self));
        let check = match cfg!(debug_assertions) {
            true => verify::verify(self),
            false => verify::verify_order(self),
        };
        match check {
            Ok(()) => Ok(result),
            Err(errors) => Err(RewriteError { errors }),
        }
    }

    /// Leaves out the tensors that neither nodes nor the graph's inputs and outputs name, and numbers
    /// tensors and nodes anew, nodes in execution order.
    pub fn compact(&mut self) -> Renumbered {
        let mut new = Renumbered::default();
        let mut used = EntitySet::with_capacity(self.tensors.len());
        used.extend(self.inputs.iter().chain(&self.outputs).copied());
        for node in self.nodes() {
            used.extend(node.inputs.iter().flatten().chain(&node.outputs).copied());
        }
        let mut tensors: PrimaryMap<TensorId, _> = PrimaryMap::with_capacity(self.tensors.len());
        for (id, tensor) in std::mem::take(&mut self.tensors) {
            if used.contains(id) {
                new.tensors[id] = tensors.push(tensor).into();
            }
        }
        self.tensors = tensors;
        let old = self.renumber_ops();
        for (old, op) in old.into_iter().zip(self.op_ids()) {
            new.ops[old] = op.into();
        }
        let renumber = |id: &mut TensorId| *id = new.tensors[*id].expand().unwrap_or(*id);
        self.inputs.iter_mut().for_each(renumber);
        self.outputs.iter_mut().for_each(renumber);
        for op in new.ops.values().filter_map(|op| op.expand()) {
            let node = self.node_mut(op);
            node.inputs.iter_mut().flatten().for_each(renumber);
            node.outputs.iter_mut().for_each(renumber);
        }
        new
    }
}

/// A graph that is being changed, with the makers and readers of its tensors at any moment.
pub struct Rewrite<'g> {
    graph: &'g mut Graph,
    producers: SecondaryMap<TensorId, PackedOption<OpId>>,
    /// The nodes that read a tensor, once for each operand, in no order.
    readers: SecondaryMap<TensorId, SmallVec<[OpId; 2]>>,
}

impl<'g> Rewrite<'g> {
    fn new(graph: &'g mut Graph) -> Rewrite<'g> {
        let mut rewrite = Rewrite {
            producers: SecondaryMap::with_capacity(graph.tensors.len()),
            readers: SecondaryMap::with_capacity(graph.tensors.len()),
            graph,
        };
        for op in rewrite.ops() {
            rewrite.link(op);
        }
        rewrite
    }

    /// The graph as it is now.
    pub fn graph(&self) -> &Graph {
        self.graph
    }

    /// The nodes that there are now, in execution order.
    pub fn ops(&self) -> Vec<OpId> {
        self.graph.op_ids().collect()
    }

    /// The node that makes a tensor.
    pub fn producer(&self, tensor: TensorId) -> Option<OpId> {
        self.producers[tensor].expand()
    }

    /// The nodes that read a tensor, once for each operand, in no particular order.
    pub fn readers(&self, tensor: TensorId) -> &[OpId] {
        &self.readers[tensor]
    }

    /// Whether the graph hands a tensor out.
    pub fn is_output(&self, tensor: TensorId) -> bool {
        self.graph.outputs.contains(&tensor)
    }

    /// The node that alone needs a tensor: it is the only reader, with one operand, and the graph does
    /// not hand the tensor out.
    pub fn only_reader(&self, tensor: TensorId) -> Option<OpId> {
        match self.readers(tensor) {
            &[op] if !self.is_output(tensor) => Some(op),
            _ => None,
        }
    }

    /// Adds a tensor.
    pub fn add_tensor(&mut self, tensor: Tensor) -> TensorId {
        self.graph.tensors.push(tensor)
    }

    /// Puts another node in the place of `op`, with the same id.
    pub fn replace(&mut self, op: OpId, node: Node) {
        self.unlink(op);
        *self.graph.node_mut(op) = node;
        self.link(op);
    }

    /// Changes a node.
    pub fn change(&mut self, op: OpId, change: impl FnOnce(&mut Node)) {
        self.unlink(op);
        change(self.graph.node_mut(op));
        self.link(op);
    }

    /// Adds a node that runs just before `anchor`, for the same operator of the model.
    pub fn insert_before(&mut self, anchor: OpId, node: Node) -> OpId {
        let op = self.graph.insert(anchor, 0, node);
        self.link(op);
        op
    }

    /// Adds a node that runs just after `anchor`, for the same operator of the model.
    pub fn insert_after(&mut self, anchor: OpId, node: Node) -> OpId {
        let op = self.graph.insert(anchor, 1, node);
        self.link(op);
        op
    }

    /// Takes a node away, and gives it back. Nothing makes its results then.
    pub fn remove(&mut self, op: OpId) -> Node {
        self.unlink(op);
        self.graph.remove(op)
    }

    /// Lets all that reads `from`, also the graph's outputs, have `to` instead.
    pub fn replace_uses(&mut self, from: TensorId, to: TensorId) {
        for op in std::mem::take(&mut self.readers[from]) {
            let inputs = &mut self.graph.node_mut(op).inputs;
            inputs
                .iter_mut()
                .filter(|id| **id == Some(from))
                .for_each(|id| *id = Some(to));
            self.readers[to].push(op);
        }
        let outputs = self.graph.outputs.iter_mut();
        outputs.filter(|id| **id == from).for_each(|id| *id = to);
    }

    /// Lets a node write its result at `index` to another tensor. With it a node can take over the
    /// result of one that is removed, so that an output of the graph keeps its name.
    pub fn redirect(&mut self, op: OpId, index: usize, tensor: TensorId) {
        self.change(op, |node| node.outputs[index] = tensor);
    }

    /// Removes the nodes whose results nothing needs; nodes without results stay.
    pub fn remove_dead(&mut self) {
        for op in self.ops().into_iter().rev() {
            let results = &self.graph.node(op).outputs;
            let unused = |id: &TensorId| self.readers[*id].is_empty() && !self.is_output(*id);
            if !results.is_empty() && results.iter().all(unused) {
                self.remove(op);
            }
        }
    }

    /// Notes what a node makes and reads.
    fn link(&mut self, op: OpId) {
        let node = self.graph.node(op);
        for &id in &node.outputs {
            self.producers[id] = op.into();
        }
        for &id in node.inputs.iter().flatten() {
            self.readers[id].push(op);
        }
    }

    /// Forgets what a node makes and reads.
    fn unlink(&mut self, op: OpId) {
        let node = self.graph.node(op);
        for &id in &node.outputs {
            // Another node may have taken it over.
            if self.producers[id].expand() == Some(op) {
                self.producers[id] = None.into();
            }
        }
        for &id in node.inputs.iter().flatten() {
            self.readers[id].retain(|reader| *reader != op);
        }
    }
}
