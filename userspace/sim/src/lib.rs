//! Bit-accurate functional models of the NPUs. They know the register tables, never the compiler.
#![deny(unsafe_code)]

pub mod flat;
pub mod memory;
pub mod rk3588;
pub mod trace;
pub mod vivante;

pub use flat::{Buffer, FlatMemory};
pub use memory::{Memory, MemoryFault, Refusal};
