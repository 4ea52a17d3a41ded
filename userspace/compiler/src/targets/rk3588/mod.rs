//! The Rockchip RK3588's NPU: three cores that convolve feature cubes.

mod bands;
#[cfg(test)]
mod calibration;
#[cfg(test)]
mod captures;
pub mod cbuf;
mod context;
mod cost;
mod encode;
mod legalise;
pub mod numbers;
pub mod program;
mod verify;

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
use context::{Context, Cubes};
use program::Layer;

/// The RK3588 and its like.
#[derive(Debug)]
pub struct Rk3588;

impl Family for Rk3588 {
    const RULES: Rules = Rules {
        chip: "the RK3588",
        planes: false,
        im2col: cost::im2col,
    };
    type Layer = Layer;
    type Maps = Cubes;
    type Builder<'g> = Context<'g>;
}

impl Maps for Context<'_> {
    fn known_map(&self, tensor: TensorId) -> Option<MapId> {
        self.known_cube(tensor)
    }

    fn count(&self) -> usize {
        self.program().cubes.len()
    }
}

impl<'g> Builder<'g, Rk3588> for Context<'g> {
    fn new(index: Index<'g>, options: &'g Options, maps: Cubes) -> Self {
        Context::new(index, options, maps)
    }

    fn into_maps(self) -> Cubes {
        self.into_cubes()
    }

    fn alias(&mut self, alias: TensorId, tensor: TensorId) {
        Context::alias(self, alias, tensor);
    }

    fn legalise(&mut self, item: &Item) -> Result<Lowered<Layer>, Unsupported> {
        legalise::legalise(self, item)
    }

    fn timing(&self) -> Timing {
        self.cost().timing
    }

    fn seconds(&self, layer: &Layer) -> f64 {
        self.cost().seconds(layer)
    }

    fn divide(&mut self, events: &mut [Event<Layer>]) {
        bands::divide(self, events);
    }

    fn encode(
        &self,
        events: Vec<Event<Layer>>,
        placements: PrimaryMap<OpId, Placement>,
    ) -> Result<Executable, CompileError> {
        encode::encode(self, events, placements)
    }

    fn verify(&self, events: &[Event<Layer>]) -> Result<(), String> {
        for event in events {
            if let Event::Submit(layers) = event {
                let wrong = verify::verify(self.program(), layers);
                if !wrong.is_empty() {
                    return Err(wrong.join("; "));
                }
            }
        }
        Ok(())
    }

    fn print_maps(&self, text: &mut String) {
        for (id, cube) in &self.program().cubes {
            let [h, w, c] = cube.shape;
            let patches = cube.patches.map(|patches| format!(", {patches}"));
            // Writing to a string cannot fail.
            let _ = writeln!(
                text,
                "{id}: {h}x{w}x{c} {:?}, {} surfaces of {} atoms{}",
                cube.dtype,
                cube.surfaces,
                cube.surface_pitch,
                patches.unwrap_or_default()
            );
        }
    }

    fn note(&self, layer: &Layer) -> String {
        format!(" // {} tasks", layer.tiles.len())
    }
}
