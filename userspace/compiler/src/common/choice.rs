//! What becomes of each operator on a target whose layers are `L`.

use std::borrow::Cow;

use ferrite_ir::{Graph, OpId, TensorId};
use smallvec::SmallVec;

use super::MapId;
use super::plan_segments::{Event, Schedule};
use crate::Unsupported;
use crate::executable::{Evidence, HostRequant, Placement};

/// A layer, as far as planning looks at it.
pub trait Work {
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

/// An operator as layers.
#[derive(Clone, Debug)]
pub struct Lowered<L> {
    /// Name of the lowering.
    pub name: Cow<'static, str>,
    /// Weakest evidence it rests on.
    pub evidence: Evidence,
    /// The layers, in order.
    pub layers: Vec<L>,
    /// Accumulators that the host has to requantise: their cube and how.
    pub raw: Option<(MapId, HostRequant)>,
}

/// Tensors that an operator needs on the device.
pub type Reads = SmallVec<[TensorId; 4]>;

/// What becomes of an operator.
#[derive(Clone, Debug)]
pub enum Choice<L> {
    /// Layers on the NPU, reading these tensors.
    Npu {
        /// What must be on the device.
        reads: Reads,
        /// The layers.
        lowered: Lowered<L>,
    },
    /// The result has the bytes of this tensor, in the same order.
    View(TensorId),
    /// On the CPU.
    Cpu(Unsupported),
}

/// Placements as reported: one for each operator.
pub fn placements<L>(graph: &Graph, choices: &[Choice<L>], schedule: &Schedule) -> Vec<Placement> {
    let mut on_host = vec![false; choices.len()];
    for event in &schedule.events {
        if let Event::Cpu(op) = event {
            on_host[op.0 as usize] = true;
        }
    }
    graph
        .op_ids()
        .map(|op| match &choices[op.0 as usize] {
            _ if !schedule.required[op.0 as usize] => Placement::Folded,
            Choice::Npu { lowered, .. } => Placement::Npu {
                lowering: lowered.name.clone(),
                evidence: lowered.evidence,
            },
            Choice::View(_) if !on_host[op.0 as usize] => Placement::Folded,
            Choice::View(_) => Placement::Cpu {
                reason: "its operand and result are on the host".to_string(),
                remedy: None,
            },
            Choice::Cpu(why) => Placement::Cpu {
                reason: why.reason.clone(),
                remedy: why.remedy.clone(),
            },
        })
        .collect()
}
