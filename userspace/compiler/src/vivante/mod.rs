//! Lowering to the Vivante VIPNano-QI of the Amlogic A311D.
//!
//! Maps lie on the device as planes, one for each channel, of unsigned bytes. Every job is a dense
//! convolution ([`lower_conv`]) or works on whole maps element by element ([`elementwise`]), on the
//! NN unit; the host converts layouts where segments begin and end, so the TP unit has nothing to
//! do.

mod assemble;
mod bits;
pub mod chip;
pub mod coefficients;
mod context;
mod diagonal;
mod elementwise;
mod emit;
pub mod kernels;
mod lower;
mod lower_add;
mod lower_concat;
mod lower_conv;
mod lower_requant;
pub mod plan_tile;
pub mod program;
mod rounding;
mod split_channels;
mod symbols;

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
        let mut choices: Vec<_> = ops.map(|op| lower::choose(&mut ctx, op)).collect();
        lower::leave_idle(&ctx, &mut choices);
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
        let mut events = schedule.with_layers(&mut self.choices);
        split_channels::split(&ctx, &mut events);
        Ok(Scheduled {
            ctx,
            events,
            placements,
        })
    }

    /// Schedules the layers and writes everything out.
    pub fn write(self, graph: &Graph, options: &Options) -> Result<Executable, CompileError> {
        let scheduled = self.schedule(graph, options)?;
        assemble::assemble(&scheduled.ctx, &scheduled.events, scheduled.placements)
    }
}

/// The NPU-level form of a model as text: maps, then the steps.
pub fn dump(graph: &Graph, options: &Options) -> Result<String, CompileError> {
    let (lowered, _) = Lowered::new(graph, options)?;
    let Scheduled { ctx, events, .. } = lowered.schedule(graph, options)?;
    let mut text = String::new();
    for (i, map) in ctx.maps.iter().enumerate() {
        let [h, w, c] = map.shape;
        let _ = write!(text, "%{i}: {h}x{w}x{c}");
        if let Some((root, offset)) = map.part_of {
            let _ = write!(text, " in %{} at {offset}", root.0);
        }
        let _ = writeln!(text);
    }
    dump::steps(&mut text, graph, &events, |_| String::new());
    Ok(text)
}
