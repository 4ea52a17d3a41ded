//! What the lowerings look up and build: the graph's index and the maps of tensors.

use std::collections::HashMap;
use std::ops::Deref;

use ferrite_ir::{DType, OpId, TensorId};

use super::coefficients::planes_written;
use super::program::{Layer, Map, Side};
use super::{assemble, lower, split_channels};
use crate::common::index::map_shape;
use crate::common::plan_segments::Event;
use crate::common::{Choice, Index, Lower, MapId, Maps};
use crate::executable::{Evidence, Executable, Placement};
use crate::{CompileError, Options, Unsupported};

/// What lowering finds out about a graph.
#[derive(Clone, Debug)]
pub struct Findings {
    maps: Vec<Map>,
    of_tensor: HashMap<TensorId, MapId>,
    clamps: HashMap<TensorId, (i32, i32)>,
}

/// A graph with its index, and the maps made so far.
pub struct Context<'g> {
    /// The model.
    pub index: Index<'g>,
    /// What was asked for.
    pub options: &'g Options,
    /// All maps.
    pub maps: Vec<Map>,
    of_tensor: HashMap<TensorId, MapId>,
    /// Ranges that folded activations leave, by the tensor whose producer applies them; in signed
    /// form.
    pub clamps: HashMap<TensorId, (i32, i32)>,
}

impl<'g> Deref for Context<'g> {
    type Target = Index<'g>;

    fn deref(&self) -> &Index<'g> {
        &self.index
    }
}

impl Maps for Context<'_> {
    fn known_map(&self, tensor: TensorId) -> Option<MapId> {
        self.of_tensor.get(&tensor).copied()
    }

    fn count(&self) -> usize {
        self.maps.len()
    }
}

impl<'g> Lower<'g> for Context<'g> {
    type Layer = Layer;
    type Findings = Findings;

    fn new(index: Index<'g>, options: &'g Options) -> Self {
        Context {
            options,
            maps: Vec::new(),
            of_tensor: HashMap::new(),
            clamps: HashMap::new(),
            index,
        }
    }

    fn resume(index: Index<'g>, options: &'g Options, findings: Findings) -> Self {
        Context {
            index,
            options,
            maps: findings.maps,
            of_tensor: findings.of_tensor,
            clamps: findings.clamps,
        }
    }

    fn into_findings(self) -> Findings {
        Findings {
            maps: self.maps,
            of_tensor: self.of_tensor,
            clamps: self.clamps,
        }
    }

    fn clamp(&mut self, tensor: TensorId, range: (i32, i32)) {
        self.clamps.insert(tensor, range);
    }

    fn choose(&mut self, op: OpId) -> Choice<Layer> {
        lower::choose(self, op)
    }

    fn reconsider(&self, choices: &mut [Choice<Layer>]) {
        lower::leave_idle(self, choices);
    }

    fn divide(&self, events: &mut [Event<Layer>]) {
        split_channels::split(events);
    }

    fn assemble(
        &self,
        events: Vec<Event<Layer>>,
        placements: Vec<Placement>,
    ) -> Result<Executable, CompileError> {
        assemble::assemble(self, &events, placements)
    }
}

impl<'g> Context<'g> {
    /// Whether `evidence` is admitted.
    pub fn admits(&self, evidence: Evidence) -> bool {
        evidence <= self.options.evidence
    }

    /// Adds a map of rows, columns and channels.
    pub fn add_map(&mut self, shape: [usize; 3], tensor: Option<TensorId>) -> MapId {
        let id = MapId(self.maps.len() as u32);
        self.maps.push(Map {
            shape,
            bytes: shape[0] * shape[1] * planes_written(shape[2]),
            part_of: None,
            tensor,
        });
        id
    }

    /// The map with this id.
    pub fn at(&self, id: MapId) -> &Map {
        &self.maps[id.0 as usize]
    }

    /// The outermost map that a map lies in, and at which byte.
    pub fn root(&self, id: MapId) -> (MapId, usize) {
        let mut root = (id, 0);
        while let Some((parent, offset)) = self.at(root.0).part_of {
            root = (parent, root.1 + offset);
        }
        root
    }

    /// Declares that `alias` has the bytes of `tensor`.
    pub fn alias(&mut self, alias: TensorId, tensor: TensorId) {
        if let Ok(map) = self.map(tensor) {
            self.of_tensor.insert(alias, map);
        }
    }

    /// The map of a tensor.
    pub fn map(&mut self, tensor: TensorId) -> Result<MapId, Unsupported> {
        if let Some(&map) = self.of_tensor.get(&tensor) {
            return Ok(map);
        }
        let t = self.tensor(tensor);
        let shape = match map_shape(t) {
            Some(shape) if matches!(t.dtype, DType::I8 | DType::U8) && !t.is_constant() => shape,
            _ => {
                return Err(Unsupported::new(format!(
                    "{:?} tensor of shape {:?} is not an 8-bit feature map",
                    t.dtype, t.shape
                )));
            }
        };
        let map = self.add_map(shape, Some(tensor));
        self.of_tensor.insert(tensor, map);
        Ok(map)
    }

    /// A tensor as an image of these rows, columns and planes, which it must fill.
    pub fn side(&mut self, tensor: TensorId, [y, x, z]: [usize; 3]) -> Result<Side, Unsupported> {
        let map = self.map(tensor)?;
        debug_assert_eq!(self.at(map).real_bytes(), x * y * z);
        Ok(Side {
            map,
            offset: 0,
            x,
            y,
            z,
        })
    }

    /// Zero point of an activation tensor on the device, and its scale.
    pub fn quantisation(&self, tensor: TensorId) -> Result<(u8, f64), Unsupported> {
        let stored = self.stored(tensor)?;
        Ok(((stored.zero + 128) as u8, stored.scale))
    }
}
