//! The Vivante model against the vendor's jobs, worked examples and a scalar reference.

mod common;
mod device;
mod golden;
mod nn;
mod strict;
mod tp;
