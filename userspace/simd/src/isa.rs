//! What an instruction set can do, and loops made of that.

use crate::lanes::{Block, LANES, PairRow, QuadRow};
use crate::rescale::Rescale;

/// Operations on [`LANES`] accumulators. All sums wrap.
pub trait Isa: Copy {
    /// The accumulators.
    type Acc: Copy;

    /// A rescaling in registers, as far as there are enough.
    type Constants<'a>: Copy;

    /// The same in each lane.
    fn splat(self, value: i32) -> Self::Acc;

    /// One in each lane.
    fn block(self, values: &Block) -> Self::Acc;

    /// Adds `pair[0] * w[2 * j] + pair[1] * w[2 * j + 1]` to each lane `j`.
    fn add_pairs(self, acc: Self::Acc, pair: [i16; 2], w: &PairRow) -> Self::Acc;

    /// Adds `x[j] * w[2 * j]` to each lane `j`; the odd entries of `w` must be zero.
    fn add_lanes(self, acc: Self::Acc, x: &[i16; LANES], w: &PairRow) -> Self::Acc;

    /// Adds the sum of `quad[i] * w[4 * j + i]` to each lane `j`.
    fn add_quads(self, acc: Self::Acc, quad: [u8; 4], w: &QuadRow) -> Self::Acc;

    /// Adds the sum of `x[4 * j + i] * w[4 * j + i]` to each lane `j`.
    fn add_lane_quads(self, acc: Self::Acc, x: &[u8; 4 * LANES], w: &QuadRow) -> Self::Acc;

    /// The sums.
    fn lanes(self, acc: Self::Acc) -> Block;

    /// A rescaling in the form of [`Isa::store`]. Where many sums are rescaled alike, make it once.
    fn constants(self, by: &Rescale) -> Self::Constants<'_>;

    /// The sums as bytes, to where the first lanes lie: as many as there is room for.
    fn store(self, acc: Self::Acc, by: Self::Constants<'_>, to: &mut [u8]);

    /// The sums as bytes.
    #[inline(always)]
    fn rescale(self, acc: Self::Acc, by: Self::Constants<'_>) -> [u8; LANES] {
        let mut bytes = [0; LANES];
        self.store(acc, by, &mut bytes);
        bytes
    }
}

/// [`Isa::store`] for those that have nothing better.
#[inline(always)]
pub(crate) fn store(sums: &Block, by: &Rescale, to: &mut [u8]) {
    let bytes = by.apply(sums);
    match to.first_chunk_mut::<LANES>() {
        Some(whole) => *whole = bytes,
        None => to.copy_from_slice(&bytes[..to.len()]),
    }
}

/// A hot loop. `run` must be `#[inline(always)]`, so that its body takes on the instruction set of
/// its caller. `TILE` times `BLOCKS` is the number of independent accumulators that the instruction set
/// has room for.
pub trait Loop {
    /// The loop's body.
    fn run<I: Isa, const TILE: usize, const BLOCKS: usize>(self, isa: I);
}
