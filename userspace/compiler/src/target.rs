//! What a family of chips brings along.

use std::fmt;
use std::ops::Deref;

use ferrite_hw::Timing;
use ferrite_ir::{OpId, PrimaryMap, TensorId};

use crate::error::{CompileError, Unsupported};
use crate::executable::{Executable, Placement};
use crate::index::Index;
use crate::lowered::{Event, Layer, Lowered, Maps};
use crate::npu::{Conv, Item, Window};
use crate::options::Options;

/// How feature maps lie in a family's memory, as far as passes over the NPU form ask.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// The chip, as messages name it.
    pub chip: &'static str,
    /// Whether maps are planes, one channel after the other, in place of atoms of some channels.
    pub planes: bool,
    /// What of the window of a convolution of a map from the host the host should lay out as the
    /// channels of pixels, if that is better: along each axis all or nothing of it.
    pub im2col: fn(&Conv, &Options) -> Option<Window>,
}

impl Rules {
    /// Whether a map of rows, columns and channels has its bytes where one of another shape, with as
    /// many elements, has them.
    pub fn same_bytes(&self, from: [usize; 3], to: [usize; 3]) -> bool {
        let linear = |[h, w, c]: [usize; 3]| h * w == 1 || c == 1;
        let pixels = |[h, w, _]: [usize; 3]| h * w;
        let same = pixels(from) == pixels(to) && from[2] == to[2];
        same || self.planes && linear(from) && linear(to)
    }

    /// Whether so many images can be flattened to one row of elements each by the layer that reads
    /// them.
    pub fn flattens(&self, images: usize) -> bool {
        images == 1 || !self.planes
    }
}

/// A family of chips.
pub trait Family: fmt::Debug + Sized + 'static {
    /// What passes over the NPU form ask.
    const RULES: Rules;
    /// A task or job.
    type Layer: Layer;
    /// Feature maps on the device.
    type Maps: Clone + fmt::Debug + Default + Send + Sync;
    /// A graph while its items become layers.
    type Builder<'g>: Builder<'g, Self>;
}

/// A graph while its items become layers on maps, and these become an executable.
pub trait Builder<'g, F: Family>: Deref<Target = Index<'g>> + Maps {
    /// A view of a graph, with the maps of an earlier one of the same tensors.
    fn new(index: Index<'g>, options: &'g Options, maps: F::Maps) -> Self;
    /// The maps.
    fn into_maps(self) -> F::Maps;
    /// Declares that `alias` has the bytes of `tensor`.
    fn alias(&mut self, alias: TensorId, tensor: TensorId);
    /// Layers for an item of work.
    fn legalise(&mut self, item: &Item) -> Result<Lowered<F::Layer>, Unsupported>;
    /// Prices of the work, with the clock that is compiled for.
    fn timing(&self) -> Timing;
    /// Estimated seconds of a layer, beside what its submission costs.
    fn seconds(&self, layer: &F::Layer) -> f64;
    /// Divides layers, when their order is known.
    fn divide(&mut self, _events: &mut [Event<F::Layer>]) {}
    /// Checks layers in their order, and what is wrong with them.
    fn verify(&self, _events: &[Event<F::Layer>]) -> Result<(), String> {
        Ok(())
    }
    /// Writes constants and commands.
    fn encode(
        &self,
        events: Vec<Event<F::Layer>>,
        placements: PrimaryMap<OpId, Placement>,
    ) -> Result<Executable, CompileError>;
    /// The maps, one a line.
    fn print_maps(&self, text: &mut String);
    /// What [`print_maps`](Self::print_maps) and the layers' own text leave out about a layer.
    fn note(&self, _layer: &F::Layer) -> String {
        String::new()
    }
}
