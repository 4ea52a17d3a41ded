//! What the lowerings look up: producers, uses, cubes of tensors.

use std::collections::HashMap;
use std::ops::Deref;

use ferrite_ir::op::Hw;
use ferrite_ir::{DType, OpId, TensorId};

use super::program::{CubeId, Layer, Program, Rect, Side};
use super::{assemble, lower};
use crate::common::plan_segments::Event;
use crate::common::{Choice, Index, Lower, Maps};
use crate::executable::{Evidence, Executable, Placement};
use crate::{CompileError, Options, Unsupported};

pub use crate::common::index::{map_shape, nhwc};

/// What lowering finds out about a graph.
#[derive(Clone, Debug)]
pub struct Findings {
    program: Program,
    cubes: Vec<Option<CubeId>>,
    clamps: HashMap<TensorId, (i32, i32)>,
}

/// A graph with the indices that lowering needs, and the program under construction.
pub struct Context<'g> {
    /// The model.
    pub index: Index<'g>,
    /// What was asked for.
    pub options: &'g Options,
    /// Cubes made so far.
    pub program: Program,
    /// By tensor.
    cubes: Vec<Option<CubeId>>,
    /// Ranges that folded activations leave, by the tensor whose producer applies them.
    pub clamps: HashMap<TensorId, (i32, i32)>,
}

impl<'g> Deref for Context<'g> {
    type Target = Index<'g>;

    fn deref(&self) -> &Index<'g> {
        &self.index
    }
}

impl Maps for Context<'_> {
    fn known_map(&self, tensor: TensorId) -> Option<CubeId> {
        self.known_cube(tensor)
    }

    fn count(&self) -> usize {
        self.program.cubes.len()
    }
}

impl<'g> Lower<'g> for Context<'g> {
    type Layer = Layer;
    type Findings = Findings;

    fn new(index: Index<'g>, options: &'g Options) -> Self {
        Context {
            options,
            program: Program::default(),
            cubes: vec![None; index.graph.tensors.len()],
            clamps: HashMap::new(),
            index,
        }
    }

    fn resume(index: Index<'g>, options: &'g Options, findings: Findings) -> Self {
        Context {
            index,
            options,
            program: findings.program,
            cubes: findings.cubes,
            clamps: findings.clamps,
        }
    }

    fn into_findings(self) -> Findings {
        Findings {
            program: self.program,
            cubes: self.cubes,
            clamps: self.clamps,
        }
    }

    fn clamp(&mut self, tensor: TensorId, range: (i32, i32)) {
        self.clamps.insert(tensor, range);
    }

    fn choose(&mut self, op: OpId) -> Choice<Layer> {
        lower::choose(self, op)
    }

    fn assemble(
        &self,
        events: Vec<Event<Layer>>,
        placements: Vec<Placement>,
    ) -> Result<Executable, CompileError> {
        assemble::assemble(self, events, placements)
    }
}

impl<'g> Context<'g> {
    /// Whether `evidence` is admitted.
    pub fn admits(&self, evidence: Evidence) -> bool {
        evidence <= self.options.evidence
    }

    /// Declares that `alias` has the same bytes as `tensor` in the same pixel order.
    pub fn alias(&mut self, alias: TensorId, tensor: TensorId) {
        if let Some(cube) = self.cube(tensor) {
            self.cubes[alias.0 as usize] = Some(cube);
        }
    }

    /// The cube of a tensor; None for tensors that no cube can hold.
    pub fn cube(&mut self, tensor: TensorId) -> Option<CubeId> {
        if let Some(cube) = self.known_cube(tensor) {
            return Some(cube);
        }
        let t = self.tensor(tensor);
        if !matches!(t.dtype, DType::I8 | DType::U8) || t.is_constant() {
            return None;
        }
        let shape = map_shape(t)?;
        let cube = self.program.add_cube(shape, DType::I8, Some(tensor));
        self.cubes[tensor.0 as usize] = Some(cube);
        Some(cube)
    }

    /// The cube of a tensor if it was made already.
    pub fn known_cube(&self, tensor: TensorId) -> Option<CubeId> {
        self.cubes[tensor.0 as usize]
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
}
