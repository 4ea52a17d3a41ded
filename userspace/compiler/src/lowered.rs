//! Operators as a target does them.

use std::borrow::Cow;
use std::fmt;

use ferrite_ir::{OpId, TensorId};

use crate::error::Unsupported;
use crate::executable::{Evidence, HostRequant};
use crate::npu::{MapId, Operands};

/// A target's task or job, as far as planning looks at it.
pub trait Layer: Clone + fmt::Debug + fmt::Display + Send + Sync + 'static {
    /// The map that holds its result.
    fn writes(&self) -> MapId;
    /// The operator that it works for.
    fn op_mut(&mut self) -> &mut OpId;
}

/// The maps that tensors have got on the device.
pub trait Maps {
    /// The map of a tensor, if it was made.
    fn known_map(&self, tensor: TensorId) -> Option<MapId>;
    /// Maps in all: their ids are below.
    fn count(&self) -> usize;
}

/// An item of the NPU form as layers.
#[derive(Clone, Debug)]
pub struct Lowered<L> {
    /// Name of the lowering.
    pub name: Cow<'static, str>,
    /// Weakest evidence it rests on.
    pub evidence: Evidence,
    /// The layers, in order.
    pub layers: Vec<L>,
    /// What the results gain as error where the weights are not the model's: see
    /// [`Placement::Approximate`](crate::Placement::Approximate).
    pub error: Option<f32>,
    /// What the host does with the accumulators that the layers leave in a map, if they do.
    pub requantise: Option<(MapId, HostRequant)>,
}

impl<L> Lowered<L> {
    /// Layers that make the result.
    pub fn new(
        name: impl Into<Cow<'static, str>>,
        evidence: Evidence,
        layers: Vec<L>,
    ) -> Lowered<L> {
        Lowered {
            name: name.into(),
            evidence,
            layers,
            error: None,
            requantise: None,
        }
    }
}

/// One step towards the result of an operator.
#[derive(Clone, Debug)]
pub struct Legal<L> {
    /// The operator.
    pub op: OpId,
    /// The step.
    pub work: LegalWork<L>,
}

/// What is done in a step.
#[derive(Clone, Debug)]
pub enum LegalWork<L> {
    /// Layers on the NPU.
    Npu {
        /// Tensors that must be on the device.
        reads: Operands,
        /// Name of the lowering.
        name: Cow<'static, str>,
        /// Weakest evidence it rests on.
        evidence: Evidence,
        /// The layers.
        layers: Vec<L>,
        /// Error of the results where the weights are not the model's.
        error: Option<f32>,
        /// Whether they leave accumulators for the step behind this one, in place of the result.
        accumulates: bool,
    },
    /// Accumulators that the step before has left in a map, requantised by the host.
    Requantise(MapId, HostRequant),
    /// The result has the bytes of this tensor, in the same order.
    View(TensorId),
    /// The operator itself, on the host.
    Host(Unsupported),
}

/// One step of the inference, with `W` for work on the NPU.
#[derive(Clone, Debug)]
pub enum Event<W> {
    /// A host operator.
    Cpu(OpId),
    /// Host tensor into a map.
    Enter(MapId, TensorId),
    /// Work on the NPU.
    Submit(Vec<W>),
    /// Map into a host tensor.
    Leave(MapId, TensorId),
    /// Accumulators into a host tensor.
    Requantise(MapId, TensorId, HostRequant),
}
