//! Facts about the NPUs as data: register tables, command words, disassembly. No behaviour.
#![deny(unsafe_code)]

pub mod grade;
pub mod rk3588;
pub mod timing;
pub mod vivante;

pub use grade::Grade;
pub use timing::Timing;
