//! Layers as descriptors, coefficient streams and jobs.

mod bits;
pub mod coefficients;
mod descriptor;
mod executable;
pub mod plan_tile;
mod symbols;

pub use executable::encode;
