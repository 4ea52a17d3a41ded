//! The target-neutral NPU form: what is asked of an NPU, tensor by tensor, before any chip's layers,
//! registers or memory.
//!
//! ```text
//! %3 = conv %0 weights %1 bias %2 kernel 3x3 stride 2x2 pad 0,0 from 224x224x3 to 112x112x32 // op 0
//! %7 = depthwise %3 weights %5 bias %6 kernel 3x3 pad 1,1 from 112x112x32 to 112x112x32 clamp -128..96 // op 1
//! %8 = view %7 // op 2
//! %9 = host "no lowering of SOFTMAX to the RK3588" // op 3
//! ```
//!
//! Passes rewrite the form; [`verify`] checks it against the graph after each of them; a target turns
//! its items into layers.

mod parse;
mod print;
mod stored;
mod verify;
mod work;

use ferrite_ir::entity::entity_impl;

pub use parse::parse;
pub use print::print;
pub use stored::Stored;
pub use verify::{FormError, verify};
pub use work::{
    Conv, ConvKind, Elementwise, Form, Grid, Grouping, Item, Operands, Patches, Pool, PoolKind,
    Range, Window, Work, sees_input,
};

/// Index of a feature map of a program.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MapId(u32);
entity_impl!(MapId, "%");
