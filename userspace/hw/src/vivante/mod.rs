//! The Vivante VIPNano-QI NPU (Amlogic A311D): identity, registers, front-end commands and states,
//! page tables, and the descriptors of its neural-network (NN) and tensor-processing (TP) units.
//!
//! A descriptor is 32 words; each of its fields is a constant of [`nn`] or [`tp`]:
//!
//! ```
//! use ferrite_hw::vivante::{nn, Words};
//! let mut words = Words::default();
//! nn::KERNEL_X_SIZE.set(&mut words, 3)?;
//! nn::IN_IMAGE_X_OFFSET.set(&mut words, -1)?;
//! assert_eq!(nn::IN_IMAGE_X_OFFSET.get(&words), -1);
//! # Ok::<(), ferrite_hw::vivante::FieldOverflow>(())
//! ```
// The meanings name bits as [high:low], which rustdoc takes for links.
#![allow(rustdoc::broken_intra_doc_links)]

pub mod asm;
pub mod chip;
pub mod command;
pub mod disasm;
pub mod field;
pub mod mmu;
pub mod nn;
pub mod register;
pub mod state;
pub mod tp;

pub use chip::{Identity, Parameters};
pub use command::Command;
pub use field::{Field, FieldOverflow, Words};
