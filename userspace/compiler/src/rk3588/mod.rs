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
mod two_roundings;
#[cfg(test)]
mod verify;

use std::fmt::Write;

use ferrite_ir::Graph;

use crate::common::{self, Scheduled, dump};
use crate::{CompileError, Options};
use context::Findings;

pub use context::Context;
use program::Layer;

/// How a graph's operators are done: in which layers on the NPU, if there.
pub type Lowering = common::Lowering<Findings, Layer>;

/// The NPU-level form of a model as text: cubes, then the steps.
pub fn dump(graph: &Graph, options: &Options) -> Result<String, CompileError> {
    let (lowering, _) = common::lowering::lower::<Context>(graph, options)?;
    let Scheduled { ctx, events, .. }: Scheduled<Context, _> = lowering.schedule(graph, options)?;
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
