//! Bit-accurate functional models of the NPUs. They know the register tables, never the compiler.
#![deny(unsafe_code)]

pub mod memory;
