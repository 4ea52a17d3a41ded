//! The families of chips that there are.

use crate::error::CompileError;
use crate::executable::Target;
use crate::index::Index;
use crate::lowering::{Lowering, Plannable};
use crate::npu::Form;
use crate::options::Options;
use crate::pipeline;
use crate::target::Family;
use crate::targets::{rk3588::Rk3588, vivante::Vivante};

/// Lowers a graph for the target of `options`.
pub fn lower(index: &Index, options: &Options) -> Result<Box<dyn Plannable>, CompileError> {
    match options.target {
        Target::Rk3588 => Lowering::<Rk3588>::boxed(index, options),
        Target::A311d => Lowering::<Vivante>::boxed(index, options),
    }
}

/// The NPU form of a graph for a target.
pub fn form(index: &Index, options: &Options) -> Form {
    let rules = match options.target {
        Target::Rk3588 => Rk3588::RULES,
        Target::A311d => Vivante::RULES,
    };
    pipeline::form(index, &rules, options)
}
