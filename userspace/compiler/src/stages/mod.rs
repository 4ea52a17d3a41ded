//! A graph on its way to commands, as text at each stage.

mod jobs;
pub mod listing;
mod places;

use std::sync::Arc;

use ferrite_ir::Graph;
use ferrite_ir::text::{self, Constants};

use crate::error::CompileError;
use crate::executable::Executable;
use crate::index::Index;
use crate::options::Options;
use crate::plan::Plan;
use crate::{npu, registry};

/// A form that a graph takes on its way to commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// The graph. Constants of more than 16 elements are their hashes.
    Graph,
    /// The target-neutral NPU form, after the passes that rewrite it.
    Npu,
    /// The maps on the device, and the layers that make them, in order.
    Layers,
    /// Jobs and tasks: what each waits for, and where its data lie.
    Jobs,
    /// The commands of all tasks, with their relocations.
    Asm,
}

/// Brings `graph` to `stage` and writes it as text.
///
/// # Errors
/// As [`compile`].
pub fn emit(graph: &Graph, options: &Options, stage: Stage) -> Result<String, CompileError> {
    match stage {
        Stage::Graph => Ok(text::print(graph, Constants::Hashed)),
        Stage::Npu => {
            let index = Index::new(graph, Arc::new(graph.uses()));
            let form = registry::form(&index, options);
            Ok(npu::print(&index, &form))
        }
        Stage::Layers => Plan::new(graph, options)?.print(),
        Stage::Jobs => Ok(jobs::jobs(graph, &compile(graph, options)?)),
        Stage::Asm => {
            let listed = listing::listing(&compile(graph, options)?);
            Ok(listed.expect("the tasks that are assembled are in the buffers"))
        }
    }
}

fn compile(graph: &Graph, options: &Options) -> Result<Executable, CompileError> {
    Plan::new(graph, options)?.compile()
}
