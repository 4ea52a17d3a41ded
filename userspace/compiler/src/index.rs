//! What passes and targets look up in a graph: producers, uses, constants, shapes.

use std::sync::Arc;

use ferrite_ir::op::OpKind;
use ferrite_ir::{DType, Graph, Node, OpId, Tensor, TensorId, Uses};

use crate::error::Unsupported;
use crate::npu::Stored;

/// A graph with the indices that lowering needs.
#[derive(Clone)]
pub struct Index<'g> {
    /// The model.
    pub graph: &'g Graph,
    uses: Arc<Uses>,
}

impl<'g> Index<'g> {
    /// An index of `graph`, of which these are the uses.
    pub fn new(graph: &'g Graph, uses: Arc<Uses>) -> Self {
        Index { graph, uses }
    }

    /// The tensor with this id.
    pub fn tensor(&self, id: TensorId) -> &'g Tensor {
        self.graph.tensor(id)
    }

    /// The node that makes a tensor.
    pub fn producer(&self, tensor: TensorId) -> Option<(OpId, &'g Node)> {
        let id = self.uses.producer(tensor)?;
        Some((id, self.graph.node(id)))
    }

    /// The nodes that read a tensor, once for each operand.
    pub fn uses(&self, tensor: TensorId) -> &[OpId] {
        self.uses.consumers(tensor)
    }

    /// Whether the graph hands a tensor out.
    pub fn is_output(&self, tensor: TensorId) -> bool {
        self.graph.outputs.contains(&tensor)
    }

    /// Quantisation of an activation tensor.
    pub fn stored(&self, tensor: TensorId) -> Result<Stored, Unsupported> {
        let t = self.tensor(tensor);
        Stored::of(t).ok_or_else(|| {
            Unsupported::new(format!(
                "{:?} tensor without a usable 8-bit per-tensor quantisation",
                t.dtype
            ))
        })
    }

    /// Node `id`'s operand `index`.
    pub fn operand(&self, id: OpId, index: usize) -> Result<TensorId, Unsupported> {
        self.optional(id, index)
            .ok_or_else(|| Unsupported::new(format!("operand {index} is missing")))
    }

    /// Node `id`'s operand `index`, if it has one.
    pub fn optional(&self, id: OpId, index: usize) -> Option<TensorId> {
        self.graph.node(id).inputs.get(index).copied().flatten()
    }

    /// Node `id`'s first result, of a node that has one.
    pub fn result(&self, id: OpId) -> TensorId {
        self.graph.node(id).outputs[0]
    }

    /// Whether a tensor is read by one operator only, once, and is no output of the graph.
    pub fn only_use(&self, tensor: TensorId) -> bool {
        self.uses(tensor).len() == 1 && !self.is_output(tensor)
    }

    /// Little-endian 32-bit integers of a constant.
    pub fn ints(&self, tensor: TensorId) -> Option<Vec<i64>> {
        let t = self.tensor(tensor);
        let data = t.data.as_ref()?;
        Some(match t.dtype {
            DType::I32 => data
                .chunks_exact(4)
                .map(|b| i64::from(i32::from_le_bytes([b[0], b[1], b[2], b[3]])))
                .collect(),
            DType::I64 => data
                .chunks_exact(8)
                .map(|b| i64::from_le_bytes(b.try_into().unwrap_or_default()))
                .collect(),
            DType::I8 => data.iter().map(|&b| i64::from(b as i8)).collect(),
            DType::U8 => data.iter().map(|&b| i64::from(b)).collect(),
            _ => return None,
        })
    }

    /// Follows operators that leave bytes and quantisation alone to the tensor where they come from.
    pub fn origin(&self, tensor: TensorId) -> TensorId {
        let Some((_, node)) = self.producer(tensor) else {
            return tensor;
        };
        let source = node.inputs.first().copied().flatten().unwrap_or(tensor);
        let stored = |tensor| Stored::of(self.tensor(tensor));
        match node.kind {
            OpKind::Reshape | OpKind::Squeeze if stored(source) == stored(tensor) => source,
            _ => tensor,
        }
    }
}

/// A tensor's shape as rows, columns, channels: leading dimensions become rows.
pub fn map_shape(tensor: &Tensor) -> Option<[usize; 3]> {
    let shape = match tensor.shape.as_slice() {
        [] => return None,
        [c] => [1, 1, *c],
        [b, c] => [*b, 1, *c],
        [rest @ .., w, c] => [rest.iter().product(), *w, *c],
    };
    (shape.iter().all(|&n| n > 0)).then_some(shape)
}

/// Batch, rows, columns, channels of a rank-4 tensor.
pub fn nhwc(tensor: &Tensor) -> Result<[usize; 4], Unsupported> {
    tensor.shape.as_slice().try_into().map_err(|_| {
        Unsupported::new(format!(
            "shape {:?} is not batch x height x width x channels",
            tensor.shape
        ))
    })
}
