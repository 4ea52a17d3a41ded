// SPDX-License-Identifier: GPL-2.0-only
//! The decisions of the Ferrite kernel driver.
//!
//! Nothing here touches hardware, memory management or locks: the driver calls these types with its
//! own lock held, and does what they answer. The kernel module compiles the same files (see
//! `kernel/policy.rs`); only [`store`] is replaced by one on kernel allocators.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod clock;
pub mod depend;
pub mod iova;
pub mod queue;
pub mod quota;
pub mod schedule;
pub mod scrub;
mod seat;
pub mod store;
pub mod terms;
pub mod validate;
