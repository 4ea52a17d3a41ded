//! The commands: each turns its arguments into a [`crate::report::Report`].

mod answer;
pub mod bench;
pub mod compare;
pub mod compile;
pub mod devices;
pub mod disasm;
pub mod graph;
pub mod info;
pub mod layers;
pub mod manual;
mod outputs;
pub mod run;
pub mod selftest;
mod trace_listing;
