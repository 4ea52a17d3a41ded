//! Functional model of the Vivante VIPNano-QI NPU of the Amlogic A311D, strict: what no evidence
//! covers is a fault.
//!
//! [`Npu`] executes command streams as user space submits them, on a [`crate::Memory`] at the
//! addresses that descriptors hold. [`Device`] puts the bus registers and the front end's ring
//! around the units, [`Mmu`] translates addresses. Written from the hardware document; see
//! `docs/evidence.md`. Only generation 7 is modelled: coefficient streams of generation 8 have
//! nothing in common with it and are refused.

pub mod config;
pub mod counters;
pub mod device;
pub mod fault;
mod frontend;
pub mod job;
pub mod mmu;
pub mod nn;
pub mod npu;
pub mod tp;

pub use config::Config;
pub use counters::Counters;
pub use device::{Device, Finished, Next, Started};
pub use fault::{Fault, FaultKind, Unit};
pub use job::{Done, Job};
pub use mmu::Mmu;
pub use npu::{Npu, Outcome};
