//! Lowering to the Rockchip RK3588 NPU.
//!
//! The pipeline: choose a lowering for each operator ([`lower`], with the tiles of [`plan_tiles`]),
//! order the work into submissions (`plan_segments`), place the cubes (`plan_memory`), then write
//! constants and commands ([`constants`], [`emit`], [`assemble`]).

pub mod assemble;
#[cfg(test)]
mod captures;
pub mod cbuf;
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

use crate::common::plan_segments::Event;
use crate::common::{self, fold_activation, plan_segments};
use crate::executable::{Executable, Placement};
use crate::{CompileError, Options};
use context::Context;
use lower::Choice;
use program::Layer;

/// A model lowered, scheduled, not yet written out.
struct Planned<'g> {
    ctx: Context<'g>,
    choices: Vec<Choice>,
    required: Vec<bool>,
    events: Vec<Event<Layer>>,
}

fn plan<'g>(graph: &'g Graph, options: &'g Options) -> Result<Planned<'g>, CompileError> {
    let mut ctx = Context::new(graph, options);
    for (tensor, activation) in fold_activation::folded(&ctx) {
        if let Ok(stored) = ctx.stored(tensor) {
            ctx.clamps.insert(tensor, stored.range(activation));
        }
    }
    let mut choices = Vec::with_capacity(graph.nodes.len());
    for op in graph.op_ids() {
        let choice = lower::choose(&mut ctx, op);
        choices.push(choice);
    }
    let required = plan_segments::required(&ctx, &choices);
    let events = plan_segments::plan(&ctx, &ctx, &choices, &required)?;
    Ok(Planned {
        ctx,
        choices,
        required,
        events,
    })
}

/// Where each operator of a graph would run, without the work of writing constants and commands.
pub fn place(graph: &Graph, options: &Options) -> Result<Vec<Placement>, CompileError> {
    plan(graph, options).map(|planned| planned.placements())
}

/// Compiles a graph.
pub fn compile(graph: &Graph, options: &Options) -> Result<Executable, CompileError> {
    let planned = plan(graph, options)?;
    assemble::assemble(&planned.ctx, &planned.events, planned.placements())
}

/// The NPU-level form of a model as text, for reading and for tests: cubes, then the steps.
pub fn dump(graph: &Graph, options: &Options) -> Result<String, CompileError> {
    let planned = plan(graph, options)?;
    let mut text = String::new();
    for (i, cube) in planned.ctx.program.cubes.iter().enumerate() {
        let [h, w, c] = cube.shape;
        let _ = writeln!(
            text,
            "%{i}: {h}x{w}x{c} {:?}, {} surfaces of {} atoms",
            cube.dtype, cube.surfaces, cube.surface_pitch
        );
    }
    for event in &planned.events {
        let _ = match event {
            Event::Cpu(op) => writeln!(text, "cpu {} {}", op.0, graph.op_name(*op)),
            Event::Enter(cube, tensor) => writeln!(text, "enter %{} = t{}", cube.0, tensor.0),
            Event::Leave(cube, tensor) => writeln!(text, "leave t{} = %{}", tensor.0, cube.0),
            Event::Requantise(cube, tensor, _) => {
                writeln!(text, "requantise t{} = %{}", tensor.0, cube.0)
            }
            Event::Submit(layers) => {
                let _ = writeln!(text, "submit");
                for layer in layers {
                    let _ = writeln!(text, "  {layer} // {} tasks", layer.tiles.len());
                }
                Ok(())
            }
        };
    }
    Ok(text)
}

impl Planned<'_> {
    fn placements(&self) -> Vec<Placement> {
        common::choice::placements(self.ctx.graph, &self.choices, &self.required, &self.events)
    }
}
