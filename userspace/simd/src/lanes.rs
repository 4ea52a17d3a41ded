//! The numbers that vectors are made of.

/// Accumulators that are computed together.
pub const LANES: usize = 16;

/// One number for each lane.
pub type Block = [i32; LANES];

/// A pair of factors for each lane.
pub type PairRow = [i16; 2 * LANES];

/// Four factors for each lane.
pub type QuadRow = [i8; 4 * LANES];
