//! Families of chips.

pub mod rk3588;
pub mod vivante;
