//! Layers as command lists, constants and jobs.

mod bypass;
pub mod constants;
mod executable;
mod flying;
mod load_table;
mod pack_weights;
mod packing;
mod plan_jobs;
pub mod registers;
mod table;
pub mod task;

pub use executable::encode;
