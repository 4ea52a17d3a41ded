//! Layers as descriptors, coefficient streams and jobs.

mod bits;
pub mod coefficients;
mod descriptor;
mod executable;
#[cfg(test)]
mod logged_jobs;
pub mod plan_tile;
mod symbols;
mod verify;

pub use executable::encode;
