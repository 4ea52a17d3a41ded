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
    let mut choices: Vec<Choice> = graph
        .op_ids()
        .map(|op| lower::choose(&mut ctx, op))
        .collect();
    lower::leave_idle(&ctx, &mut choices);
    let required = plan_segments::required(&ctx, &choices);
    let mut events = plan_segments::plan(&ctx, &ctx, &choices, &required)?;
    split_channels::split(&ctx, &mut events);
    Ok(Planned {
        ctx,
        choices,
        required,
        events,
    })
}

/// Where each operator of a graph would run, without the work of encoding coefficients.
pub fn place(graph: &Graph, options: &Options) -> Result<Vec<Placement>, CompileError> {
    plan(graph, options).map(|planned| planned.placements())
}

/// Compiles a graph.
pub fn compile(graph: &Graph, options: &Options) -> Result<Executable, CompileError> {
    let planned = plan(graph, options)?;
    assemble::assemble(&planned.ctx, &planned.events, planned.placements())
}

/// The NPU-level form of a model as text, for reading and for tests.
pub fn dump(graph: &Graph, options: &Options) -> Result<String, CompileError> {
    let planned = plan(graph, options)?;
    let mut text = String::new();
    for (i, map) in planned.ctx.maps.iter().enumerate() {
        let [h, w, c] = map.shape;
        let _ = write!(text, "%{i}: {h}x{w}x{c}");
        if let Some((root, offset)) = map.part_of {
            let _ = write!(text, " in %{} at {offset}", root.0);
        }
        let _ = writeln!(text);
    }
    for event in &planned.events {
        let _ = match event {
            Event::Cpu(op) => writeln!(text, "cpu {} {}", op.0, graph.op_name(*op)),
            Event::Enter(map, tensor) => writeln!(text, "enter %{} = t{}", map.0, tensor.0),
            Event::Leave(map, tensor) => writeln!(text, "leave t{} = %{}", tensor.0, map.0),
            Event::Requantise(map, tensor, _) => {
                writeln!(text, "requantise t{} = %{}", tensor.0, map.0)
            }
            Event::Submit(layers) => {
                let _ = writeln!(text, "submit");
                for layer in layers {
                    let _ = writeln!(text, "  {layer}");
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
