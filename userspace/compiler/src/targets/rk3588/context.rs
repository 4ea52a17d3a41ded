//! A graph while its items become layers: the cubes of its tensors.

use std::ops::Deref;

use ferrite_hw::rk3588::Parameters;
use ferrite_ir::op::Hw;
use ferrite_ir::{DType, SecondaryMap, TensorId};

use super::cost::Cost;
use super::program::{CubeId, Program, Rect, Side};
use crate::error::Unsupported;
use crate::executable::{Evidence, Patches};
use crate::index::{Index, map_shape};
use crate::options::Options;

/// The cubes of a graph's tensors.
#[derive(Clone, Debug, Default)]
pub struct Cubes {
    /// All cubes, those between the layers of an item too.
    pub program: Program,
    /// By tensor.
    of_tensor: SecondaryMap<TensorId, Option<CubeId>>,
}

/// A graph with the indices that lowering needs, and the cubes made so far.
pub struct Context<'g> {
    /// The model.
    pub index: Index<'g>,
    /// What was asked for.
    pub options: &'g Options,
    cubes: Cubes,
}

impl<'g> Deref for Context<'g> {
    type Target = Index<'g>;

    fn deref(&self) -> &Index<'g> {
        &self.index
    }
}

impl<'g> Context<'g> {
    /// A view of a graph, with the cubes of an earlier one.
    pub fn new(index: Index<'g>, options: &'g Options, mut cubes: Cubes) -> Self {
        cubes.program.chip = options.rk3588;
        cubes.of_tensor.resize(index.graph.tensors.len());
        Context {
            index,
            options,
            cubes,
        }
    }

    /// Sizes and limits of the chip.
    pub fn chip(&self) -> &'static Parameters {
        self.cubes.program.chip
    }

    /// The cubes.
    pub fn into_cubes(self) -> Cubes {
        self.cubes
    }

    /// All cubes.
    pub fn program(&self) -> &Program {
        &self.cubes.program
    }

    /// All cubes.
    pub fn program_mut(&mut self) -> &mut Program {
        &mut self.cubes.program
    }

    /// Prices of the work.
    pub fn cost(&self) -> Cost {
        Cost::of(self.options)
    }

    /// Whether `evidence` is admitted.
    pub fn admits(&self, evidence: Evidence) -> bool {
        evidence <= self.options.evidence
    }

    /// Declares that `alias` has the same bytes as `tensor` in the same pixel order.
    pub fn alias(&mut self, alias: TensorId, tensor: TensorId) {
        if let Some(cube) = self.cube(tensor) {
            self.cubes.of_tensor[alias] = Some(cube);
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
        let program = &mut self.cubes.program;
        let cube = program.add_cube(shape, DType::I8, Some(tensor));
        self.cubes.of_tensor[tensor] = Some(cube);
        Some(cube)
    }

    /// The cube of a tensor if it was made already.
    pub fn known_cube(&self, tensor: TensorId) -> Option<CubeId> {
        self.cubes.of_tensor[tensor]
    }

    /// A cube of this shape for a tensor that the host lays out in windows.
    pub fn patches(&mut self, tensor: TensorId, patches: Patches, shape: [usize; 3]) -> Side {
        let program = &mut self.cubes.program;
        let cube = program.add_cube(shape, DType::I8, Some(tensor));
        program.cubes[cube].patches = Some(patches);
        let [h, w, channels] = shape;
        Side {
            cube,
            surface: 0,
            channels,
            grid: Hw { h, w },
            rect: Rect { y: 0, x: 0, h, w },
        }
    }

    /// Has a tensor enter the device in this cube.
    pub fn enter_in(&mut self, tensor: TensorId, cube: CubeId) {
        self.cubes.of_tensor[tensor] = Some(cube);
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
