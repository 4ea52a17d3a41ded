//! From a graph to NPU jobs: placement, lowering, memory planning, register commands.
#![deny(unsafe_code)]

pub mod executable;
pub mod file;
