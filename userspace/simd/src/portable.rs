//! What every machine has.

use crate::isa::{Isa, store};
use crate::lanes::{Block, LANES, PairRow, QuadRow};
use crate::rescale::Rescale;

#[derive(Clone, Copy)]
pub(crate) struct Portable;

impl Isa for Portable {
    type Acc = Block;
    type Constants<'a> = &'a Rescale;

    #[inline(always)]
    fn splat(self, value: i32) -> Block {
        [value; LANES]
    }

    #[inline(always)]
    fn block(self, values: &Block) -> Block {
        *values
    }

    #[inline(always)]
    fn add_pairs(self, mut acc: Block, [a, b]: [i16; 2], w: &PairRow) -> Block {
        for (j, acc) in acc.iter_mut().enumerate() {
            let (wa, wb) = (i32::from(w[2 * j]), i32::from(w[2 * j + 1]));
            let sum = (i32::from(a) * wa).wrapping_add(i32::from(b) * wb);
            *acc = acc.wrapping_add(sum);
        }
        acc
    }

    #[inline(always)]
    fn add_lanes(self, mut acc: Block, x: &[i16; LANES], w: &PairRow) -> Block {
        for (j, acc) in acc.iter_mut().enumerate() {
            *acc = acc.wrapping_add(i32::from(x[j]) * i32::from(w[2 * j]));
        }
        acc
    }

    #[inline(always)]
    fn add_quads(self, acc: Block, quad: [u8; 4], w: &QuadRow) -> Block {
        let x = std::array::from_fn(|i| quad[i % 4]);
        self.add_lane_quads(acc, &x, w)
    }

    #[inline(always)]
    fn add_lane_quads(self, mut acc: Block, x: &[u8; 4 * LANES], w: &QuadRow) -> Block {
        let (x, w) = (x.as_chunks::<4>().0, w.as_chunks::<4>().0);
        for ((acc, x), w) in acc.iter_mut().zip(x).zip(w) {
            for (&x, &w) in x.iter().zip(w) {
                *acc = acc.wrapping_add(i32::from(x) * i32::from(w));
            }
        }
        acc
    }

    #[inline(always)]
    fn lanes(self, acc: Block) -> Block {
        acc
    }

    #[inline(always)]
    fn constants(self, by: &Rescale) -> &Rescale {
        by
    }

    #[inline(always)]
    fn store(self, acc: Block, by: &Rescale, to: &mut [u8]) {
        store(&acc, by, to);
    }
}
