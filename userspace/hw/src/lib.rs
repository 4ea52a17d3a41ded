//! Facts about the NPUs as data: register tables, command words, disassembly. No behaviour.
#![deny(unsafe_code)]

pub mod facts;
pub mod grade;
pub mod rk3588;
pub mod target;
pub mod timing;
pub mod vivante;

pub use grade::Grade;
pub use target::{Chip, Target};
pub use timing::Timing;
