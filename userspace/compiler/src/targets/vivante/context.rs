//! A graph while its items become layers: the maps of its tensors.

use std::collections::HashMap;
use std::ops::Deref;

use ferrite_hw::{Timing, timing};
use ferrite_ir::{DType, PrimaryMap, TensorId};

use super::encode::coefficients::planes_written;
use super::program::{Map, Side};
use crate::error::Unsupported;
use crate::executable::{Evidence, Patches};
use crate::index::{Index, map_shape};
use crate::npu::MapId;
use crate::options::Options;

/// The maps of a graph's tensors.
#[derive(Clone, Debug, Default)]
pub struct TensorMaps {
    /// All maps, those between the layers of an item too.
    pub all: PrimaryMap<MapId, Map>,
    /// Of maps that jobs read in so many parts: where these lie.
    pub parts: HashMap<(MapId, usize), MapId>,
    of_tensor: HashMap<TensorId, MapId>,
}

/// A graph with its index, and the maps made so far.
pub struct Context<'g> {
    /// The model.
    pub index: Index<'g>,
    /// What was asked for.
    pub options: &'g Options,
    /// The maps.
    pub maps: TensorMaps,
}

impl<'g> Deref for Context<'g> {
    type Target = Index<'g>;

    fn deref(&self) -> &Index<'g> {
        &self.index
    }
}

impl<'g> Context<'g> {
    /// Prices of the work.
    pub fn timing(&self) -> Timing {
        timing::A311D.at(self.options.clock_mhz)
    }

    /// Whether `evidence` is admitted.
    pub fn admits(&self, evidence: Evidence) -> bool {
        evidence <= self.options.evidence
    }

    /// Adds a map of rows, columns and channels.
    pub fn add_map(&mut self, shape: [usize; 3], tensor: Option<TensorId>) -> MapId {
        self.maps.all.push(Map {
            shape,
            bytes: shape[0] * shape[1] * planes_written(shape[2]),
            part_of: None,
            tensor,
            patches: None,
        })
    }

    /// The map with this id.
    pub fn at(&self, id: MapId) -> &Map {
        &self.maps.all[id]
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
            self.maps.of_tensor.insert(alias, map);
        }
    }

    /// The map of a tensor, if it was made already.
    pub fn made_map(&self, tensor: TensorId) -> Option<MapId> {
        self.maps.of_tensor.get(&tensor).copied()
    }

    /// The map of a tensor.
    pub fn map(&mut self, tensor: TensorId) -> Result<MapId, Unsupported> {
        if let Some(&map) = self.maps.of_tensor.get(&tensor) {
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
        self.maps.of_tensor.insert(tensor, map);
        Ok(map)
    }

    /// A map of this shape for a tensor that the host lays out in windows.
    pub fn patches(&mut self, tensor: TensorId, patches: Patches, shape: [usize; 3]) -> Side {
        let map = self.add_map(shape, Some(tensor));
        self.maps.all[map].patches = Some(patches);
        let [y, x, z] = shape;
        Side {
            map,
            offset: 0,
            x,
            y,
            z,
        }
    }

    /// Has a tensor enter the device in this map.
    pub fn enter_in(&mut self, tensor: TensorId, map: MapId) {
        self.maps.of_tensor.insert(tensor, map);
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
