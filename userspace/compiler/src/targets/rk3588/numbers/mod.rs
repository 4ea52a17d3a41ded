//! Scales, shifts, clamps and roundings as the chip has them.

pub mod clamp;
mod integer_factor;
pub mod output_stage;
mod per_channel;
pub mod quant;
mod two_roundings;
pub mod weights;
