//! Lowering to the Rockchip RK3588 NPU.
//!
//! The pipeline: choose a lowering for each operator ([`lower`], with the tiles of [`plan_tiles`]),
//! order the work into submissions (`plan_segments`), place the cubes (`plan_memory`), then write
//! constants and commands ([`constants`], [`emit`], [`assemble`]).

pub mod assemble;
#[cfg(test)]
mod captures;
pub mod cbuf;
mod closest;
mod constants;
mod context;
mod conv;
mod emit;
mod filter;
mod lower;
mod lower_add;
mod lower_concat;
mod lower_conv;
mod lower_max_pool;
mod lower_pool;
mod lower_requant;
mod pack_weights;
mod packing;
pub mod plan_jobs;
pub mod plan_tiles;
pub mod program;
pub mod quant;
pub mod registers;
mod requant;
mod split_padding;
mod sums;
mod two_roundings;
#[cfg(test)]
mod verify;

use std::fmt::Write;

use ferrite_ir::Graph;

use crate::common::plan_segments::{self, Event};
use crate::common::{Choice, choice, dump, fold_activation};
use crate::executable::{Executable, Placement};
use crate::{CompileError, Options};
use context::{Context, Findings};
use program::Layer;

/// How a graph's operators are done: in which layers on the NPU, if there.
#[derive(Clone, Debug)]
pub struct Lowered {
    findings: Findings,
    /// By operator.
    pub choices: Vec<Choice<Layer>>,
}

/// Layers in the order of their submissions.
struct Scheduled<'g> {
    ctx: Context<'g>,
    events: Vec<Event<Layer>>,
    placements: Vec<Placement>,
}

impl Lowered {
    /// Lowers the operators of a graph; also tells where they would run.
    pub fn new(
        graph: &Graph,
        options: &Options,
    ) -> Result<(Lowered, Vec<Placement>), CompileError> {
        let mut ctx = Context::new(graph, options);
        for (tensor, activation) in fold_activation::folded(&ctx) {
            if let Ok(stored) = ctx.stored(tensor) {
                ctx.clamps.insert(tensor, stored.range(activation));
            }
        }
        let ops = graph.op_ids();
        let choices: Vec<_> = ops.map(|op| lower::choose(&mut ctx, op)).collect();
        let schedule = plan_segments::schedule(&ctx, &ctx, &choices)?;
        let placements = choice::placements(graph, &choices, &schedule);
        let findings = ctx.into_findings();
        Ok((Lowered { findings, choices }, placements))
    }

    /// Schedules the layers.
    fn schedule<'g>(
        mut self,
        graph: &'g Graph,
        options: &'g Options,
    ) -> Result<Scheduled<'g>, CompileError> {
        let ctx = Context::resume(graph, options, self.findings);
        let schedule = plan_segments::schedule(&ctx, &ctx, &self.choices)?;
        let placements = choice::placements(graph, &self.choices, &schedule);
        let events = schedule.with_layers(&mut self.choices);
        Ok(Scheduled {
            ctx,
            events,
            placements,
        })
    }

    /// Schedules the layers and writes everything out.
    pub fn write(self, graph: &Graph, options: &Options) -> Result<Executable, CompileError> {
        let scheduled = self.schedule(graph, options)?;
        assemble::assemble(&scheduled.ctx, scheduled.events, scheduled.placements)
    }
}

/// The NPU-level form of a model as text: cubes, then the steps.
pub fn dump(graph: &Graph, options: &Options) -> Result<String, CompileError> {
    let (lowered, _) = Lowered::new(graph, options)?;
    let Scheduled { ctx, events, .. } = lowered.schedule(graph, options)?;
    let mut text = String::new();
    for (i, cube) in ctx.program.cubes.iter().enumerate() {
        let [h, w, c] = cube.shape;
        let _ = writeln!(
            text,
            "%{i}: {h}x{w}x{c} {:?}, {} surfaces of {} atoms",
            cube.dtype, cube.surfaces, cube.surface_pitch
        );
    }
    dump::steps(&mut text, graph, &events, |layer| {
        format!(" // {} tasks", layer.tiles.len())
    });
    Ok(text)
}
