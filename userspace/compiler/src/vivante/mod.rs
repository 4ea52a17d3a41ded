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

use crate::common::{self, Scheduled, dump};
use crate::{CompileError, Options};
use context::Findings;

pub use context::Context;
use program::Layer;

/// How a graph's operators are done: in which layers on the NPU, if there.
pub type Lowering = common::Lowering<Findings, Layer>;

/// The NPU-level form of a model as text: maps, then the steps.
pub fn dump(graph: &Graph, options: &Options) -> Result<String, CompileError> {
    let (lowering, _) = common::lowering::lower::<Context>(graph, options)?;
    let Scheduled { ctx, events, .. }: Scheduled<Context, _> = lowering.schedule(graph, options)?;
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
