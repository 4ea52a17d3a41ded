//! From a graph to NPU jobs: placement, lowering, memory planning, register commands.
#![deny(unsafe_code)]

pub mod content;
mod debug;
pub mod error;
pub mod executable;
pub mod file;
pub mod index;
pub mod lowered;
mod lowering;
pub mod npu;
pub mod options;
pub mod passes;
pub mod pipeline;
mod plan;
mod registry;
pub mod stages;
pub mod sums;
pub mod tabulate;
pub mod target;
pub mod targets;

use ferrite_ir::{Graph, OpId, PrimaryMap};

pub use error::{CompileError, Unsupported};
pub use executable::{Evidence, Executable, Placement, Target};
pub use options::Options;
pub use plan::Plan;
pub use stages::{Stage, emit};

/// Where each operator of `graph` would run: [`Executable::placements`] without the rest.
pub fn place(
    graph: &Graph,
    options: &Options,
) -> Result<PrimaryMap<OpId, Placement>, CompileError> {
    Plan::new(graph, options).map(|plan| plan.placements)
}

/// Compiles `graph`.
pub fn compile(graph: &Graph, options: &Options) -> Result<Executable, CompileError> {
    Plan::new(graph, options)?.compile()
}
