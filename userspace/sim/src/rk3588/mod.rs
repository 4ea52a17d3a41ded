//! Functional model of the RK3588 NPU, strict: what no evidence covers is a fault.
//!
//! [`Core`] runs command lists on a [`crate::Memory`]. [`Device`] puts the bus registers of one
//! core around it, [`Iommu`] an address translation in front of its memory. [`Simulator`] is a set
//! of cores for use in process. Written from the hardware document; see `docs/evidence.md`.

pub mod config;
pub mod conv;
pub mod core;
pub mod counters;
mod dpu;
pub mod fault;
mod flying;
pub mod iommu;
pub(crate) mod mac;
pub mod mmio;
mod pc;
mod ppu;
pub(crate) mod simd;
pub mod simulator;
mod state;

pub use config::Config;
pub use core::{Core, Outcome, Start};
pub use counters::Counters;
pub use fault::{DmaUnit, Fault, FaultKind};
pub use iommu::{Iommu, Translated};
pub use mmio::{Device, Kick};
pub use simulator::Simulator;
