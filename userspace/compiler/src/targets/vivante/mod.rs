//! The Vivante VIPNano-QI of the Amlogic A311D.
//!
//! Maps lie on the device as planes, one for each channel, of unsigned bytes. Every job is a dense
//! convolution or works on whole maps element by element, on the NN unit; the host converts layouts
//! where segments begin and end, so the TP unit has nothing to do.

pub mod chip;
mod context;
mod cost;
pub mod encode;
pub mod kernels;
mod legalise;
pub mod program;
mod split_channels;

use std::fmt::Write;

use ferrite_hw::Timing;
use ferrite_ir::{OpId, PrimaryMap, TensorId};

use crate::error::{CompileError, Unsupported};
use crate::executable::{Executable, Placement};
use crate::index::Index;
use crate::lowered::{Event, Lowered, Maps};
use crate::npu::{Item, MapId};
use crate::options::Options;
use crate::target::{Builder, Family, Rules};
use context::{Context, TensorMaps};
use program::Layer;

/// The VIPNano-QI and its like.
#[derive(Debug)]
pub struct Vivante;

impl Family for Vivante {
    const RULES: Rules = Rules {
        chip: "the A311D",
        planes: true,
        im2col: cost::im2col,
    };
    type Layer = Layer;
    type Maps = TensorMaps;
    type Builder<'g> = Context<'g>;
}

impl Maps for Context<'_> {
    fn known_map(&self, tensor: TensorId) -> Option<MapId> {
        self.made_map(tensor)
    }

    fn count(&self) -> usize {
        self.maps.all.len()
    }
}

impl<'g> Builder<'g, Vivante> for Context<'g> {
    fn new(index: Index<'g>, options: &'g Options, maps: TensorMaps) -> Self {
        Context {
            index,
            options,
            maps,
        }
    }

    fn into_maps(self) -> TensorMaps {
        self.maps
    }

    fn alias(&mut self, alias: TensorId, tensor: TensorId) {
        Context::alias(self, alias, tensor);
    }

    fn legalise(&mut self, item: &Item) -> Result<Lowered<Layer>, Unsupported> {
        legalise::legalise(self, item)
    }

    fn timing(&self) -> Timing {
        Context::timing(self)
    }

    fn seconds(&self, layer: &Layer) -> f64 {
        cost::seconds(&self.timing(), layer)
    }

    fn divide(&mut self, events: &mut [Event<Layer>]) {
        split_channels::split(events);
    }

    fn encode(
        &self,
        events: Vec<Event<Layer>>,
        placements: PrimaryMap<OpId, Placement>,
    ) -> Result<Executable, CompileError> {
        encode::encode(self, &events, placements)
    }

    fn print_maps(&self, text: &mut String) {
        for (id, map) in &self.maps.all {
            let [h, w, c] = map.shape;
            // Writing to a string cannot fail.
            let _ = write!(text, "{id}: {h}x{w}x{c}");
            if let Some((root, offset)) = map.part_of {
                let _ = write!(text, " in {root} at {offset}");
            }
            let patches = map.patches.map(|patches| format!(", {patches}"));
            let _ = writeln!(text, "{}", patches.unwrap_or_default());
        }
    }
}
