//! The RK3588 NPU.

pub mod command;
