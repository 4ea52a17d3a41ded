//! Ids, operand counts, and single assignment in execution order.

use super::fault::{MAX_ERRORS, VerifyError, VerifyFault};
use crate::arity::arity;
use crate::graph::{Graph, OpId, TensorId};
use cranelift_entity::SecondaryMap;

/// All faults of this kind.
pub(super) fn check(graph: &Graph) -> Vec<VerifyError> {
    let mut defined = SecondaryMap::new();
    defined.resize(graph.tensors.len());
    let mut state = State {
        graph,
        defined,
        errors: Vec::new(),
    };
    for (id, tensor) in &graph.tensors {
        if tensor.is_constant() || tensor.variable {
            state.defined[id] = true;
        }
        let found = tensor.data.as_ref().map(|data| data.len());
        let expected = tensor.bytes();
        if let Some(found) = found.filter(|&found| found != expected) {
            state.fault(
                None,
                VerifyFault::DataLength {
                    tensor: id.as_u32(),
                    found,
                    expected,
                },
            );
        }
    }
    for &id in &graph.inputs {
        state.define(None, id);
    }
    for op in graph.op_ids() {
        if let Err(fault) = counts(graph, op) {
            state.fault(Some(op), fault);
        }
        let node = graph.node(op);
        for &id in node.inputs.iter().flatten() {
            state.read(Some(op), id);
        }
        for &id in &node.outputs {
            state.define(Some(op), id);
        }
    }
    for &id in &graph.outputs {
        state.read(None, id);
    }
    state.errors
}

struct State<'g> {
    graph: &'g Graph,
    /// Whether a tensor has its value.
    defined: SecondaryMap<TensorId, bool>,
    errors: Vec<VerifyError>,
}

impl State<'_> {
    fn fault(&mut self, op: Option<OpId>, fault: VerifyFault) {
        if self.errors.len() < MAX_ERRORS {
            let op = op.map(|op| (op, self.graph.op_name(op).to_owned()));
            self.errors.push(VerifyError { op, fault });
        }
    }

    /// A tensor gets its value here.
    fn define(&mut self, op: Option<OpId>, id: TensorId) {
        let tensor = id.as_u32();
        let Some(t) = self.graph.tensors.get(id) else {
            return self.no_tensor(op, tensor);
        };
        if std::mem::replace(&mut self.defined[id], true) {
            self.fault(op, VerifyFault::WrittenTwice { tensor });
        } else if t.shape.contains(&0) {
            let shape = t.shape.to_vec();
            self.fault(op, VerifyFault::Empty { tensor, shape });
        }
    }

    fn read(&mut self, op: Option<OpId>, id: TensorId) {
        let tensor = id.as_u32();
        let Some(t) = self.graph.tensors.get(id) else {
            return self.no_tensor(op, tensor);
        };
        // Only a list of axes or sizes may be empty.
        let list = t.is_constant() && t.shape.len() == 1 && t.quant.is_none();
        if !self.defined[id] {
            self.fault(op, VerifyFault::NotYetProduced { tensor });
        } else if t.shape.contains(&0) && !list {
            let shape = t.shape.to_vec();
            self.fault(op, VerifyFault::Empty { tensor, shape });
        }
    }

    fn no_tensor(&mut self, op: Option<OpId>, tensor: u32) {
        let tensors = self.graph.tensors.len();
        self.fault(op, VerifyFault::NoTensor { tensor, tensors });
    }
}

fn counts(graph: &Graph, op: OpId) -> Result<(), VerifyFault> {
    let node = graph.node(op);
    let Some(arity) = arity(&node.kind) else {
        return Ok(());
    };
    let (inputs, outputs) = (node.inputs.len(), node.outputs.len());
    if !arity.inputs.contains(&inputs) {
        return Err(VerifyFault::InputCount { found: inputs });
    }
    if !arity.outputs.contains(&outputs) {
        return Err(VerifyFault::OutputCount { found: outputs });
    }
    let mut needed = node.inputs.iter().take(arity.optional_from);
    match needed.position(Option::is_none) {
        Some(operand) => Err(VerifyFault::Omitted { operand }),
        None => Ok(()),
    }
}
