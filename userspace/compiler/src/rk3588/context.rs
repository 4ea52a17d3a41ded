//! What the lowerings look up: producers, uses, cubes of tensors.

use std::collections::HashMap;

use ferrite_ir::op::{Hw, OpKind};
use ferrite_ir::{DType, Graph, Node, OpId, Tensor, TensorId};

use super::program::{CubeId, Program, Rect, Side};
use super::quant::Stored;
use crate::executable::Evidence;
use crate::{Options, Unsupported};

/// A graph with the indices that lowering needs, and the program under construction.
pub struct Context<'g> {
    /// The model.
    pub graph: &'g Graph,
    /// What was asked for.
    pub options: &'g Options,
    /// Cubes made so far.
    pub program: Program,
    producers: HashMap<TensorId, OpId>,
    uses: HashMap<TensorId, Vec<OpId>>,
    cubes: HashMap<TensorId, CubeId>,
    /// Ranges that folded activations leave, by the tensor whose producer applies them.
    pub clamps: HashMap<TensorId, (i32, i32)>,
}

impl<'g> Context<'g> {
    /// Indexes `graph`.
    pub fn new(graph: &'g Graph, options: &'g Options) -> Self {
        let mut producers = HashMap::new();
        let mut uses: HashMap<TensorId, Vec<OpId>> = HashMap::new();
        for id in graph.op_ids() {
            let node = graph.node(id);
            for &output in &node.outputs {
                producers.insert(output, id);
            }
            for &input in node.inputs.iter().flatten() {
                uses.entry(input).or_default().push(id);
            }
        }
        Context {
            graph,
            options,
            program: Program::default(),
            producers,
            uses,
            cubes: HashMap::new(),
            clamps: HashMap::new(),
        }
    }

    /// The tensor with this id.
    pub fn tensor(&self, id: TensorId) -> &'g Tensor {
        self.graph.tensor(id)
    }

    /// The node that makes a tensor.
    pub fn producer(&self, tensor: TensorId) -> Option<(OpId, &'g Node)> {
        let id = *self.producers.get(&tensor)?;
        Some((id, self.graph.node(id)))
    }

    /// The nodes that read a tensor, once for each operand.
    pub fn uses(&self, tensor: TensorId) -> &[OpId] {
        self.uses.get(&tensor).map_or(&[], Vec::as_slice)
    }

    /// Whether the graph hands a tensor out.
    pub fn is_output(&self, tensor: TensorId) -> bool {
        self.graph.outputs.contains(&tensor)
    }

    /// Whether `evidence` is admitted.
    pub fn admits(&self, evidence: Evidence) -> bool {
        evidence <= self.options.evidence
    }

    /// Declares that `alias` has the same bytes as `tensor` in the same pixel order.
    pub fn alias(&mut self, alias: TensorId, tensor: TensorId) {
        if let Some(cube) = self.cube(tensor) {
            self.cubes.insert(alias, cube);
        }
    }

    /// The cube of a tensor; None for tensors that no cube can hold.
    pub fn cube(&mut self, tensor: TensorId) -> Option<CubeId> {
        if let Some(&cube) = self.cubes.get(&tensor) {
            return Some(cube);
        }
        let t = self.tensor(tensor);
        if !matches!(t.dtype, DType::I8 | DType::U8) || t.is_constant() {
            return None;
        }
        let shape = map_shape(t)?;
        let cube = self.program.add_cube(shape, DType::I8, Some(tensor));
        self.cubes.insert(tensor, cube);
        Some(cube)
    }

    /// The cube of a tensor if it was made already.
    pub fn known_cube(&self, tensor: TensorId) -> Option<CubeId> {
        self.cubes.get(&tensor).copied()
    }

    /// The whole of a tensor as one side of a layer.
    pub fn side(&mut self, tensor: TensorId) -> Result<Side, Unsupported> {
        let (Some(cube), Some([h, w, channels])) =
            (self.cube(tensor), map_shape(self.tensor(tensor)))
        else {
            return Err(Unsupported::new(format!(
                "{:?} tensor of shape {:?} is not an 8-bit feature map",
                self.tensor(tensor).dtype,
                self.tensor(tensor).shape
            )));
        };
        Ok(Side {
            cube,
            surface: 0,
            channels,
            grid: Hw { h, w },
            rect: Rect { y: 0, x: 0, h, w },
        })
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
        let node = self.graph.node(id);
        node.inputs
            .get(index)
            .copied()
            .flatten()
            .ok_or_else(|| Unsupported::new(format!("operand {index} is missing")))
    }

    /// Whether a tensor is the result of a node of this kind, used by nobody else.
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

    /// Follows operators that leave the bytes alone to the tensor where they come from.
    pub fn origin(&self, tensor: TensorId) -> TensorId {
        match self.producer(tensor) {
            Some((_, node)) if matches!(node.kind, OpKind::Reshape | OpKind::Squeeze) => {
                node.inputs.first().copied().flatten().unwrap_or(tensor)
            }
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
