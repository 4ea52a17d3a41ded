//! From int32 accumulators to 8-bit results, a block of channels at a time.

use super::context::{Byte, GemmQuant};
use super::simd::{Block, LANES};

/// Requantisation of an operator's channels, in blocks. Channels beyond the last are zero.
pub(super) struct Requant {
    blocks: Vec<Channels>,
    zero_point: i32,
    min: i32,
    max: i32,
}

struct Channels {
    bias: Block,
    mantissa: Block,
    left: Block,
    right: Block,
}

impl Requant {
    /// `groups` groups of channels that each start a new block.
    pub fn new(quant: &GemmQuant, bias: Option<&[i32]>, groups: usize) -> Requant {
        let per_group = quant.multipliers.len() / groups;
        let mut blocks = Vec::new();
        for group in 0..groups {
            for first in (0..per_group).step_by(LANES) {
                let mut c = Channels {
                    bias: [0; LANES],
                    mantissa: [0; LANES],
                    left: [0; LANES],
                    right: [0; LANES],
                };
                for lane in 0..LANES.min(per_group - first) {
                    let channel = group * per_group + first + lane;
                    let m = quant.multipliers[channel];
                    c.bias[lane] = bias.map_or(0, |b| b[channel]);
                    c.mantissa[lane] = m.mantissa;
                    c.left[lane] = m.shift.max(0);
                    c.right[lane] = -m.shift.min(0);
                }
                blocks.push(c);
            }
        }
        Requant {
            blocks,
            zero_point: quant.output_zero_point,
            min: quant.min,
            max: quant.max,
        }
    }

    /// Adds the bias, rescales, adds the zero point and clamps. All sums wrap, as the reference's
    /// do in practice.
    #[inline(always)]
    fn apply<T: Byte>(&self, block: usize, acc: &Block) -> [T; LANES] {
        let c = &self.blocks[block];
        let mut out = [T::narrow(0); LANES];
        for j in 0..LANES {
            let x = acc[j]
                .wrapping_add(c.bias[j])
                .wrapping_shl(c.left[j] as u32);
            // Mantissas of convolutions are not negative, so this cannot overflow.
            let product = i64::from(x) * i64::from(c.mantissa[j]) + (1 << 30);
            let high = (product >> 31) as i32;
            let mask = (1i32 << (c.right[j] & 31)).wrapping_sub(1);
            let threshold = (mask >> 1) + i32::from(high < 0);
            let scaled = (high >> (c.right[j] & 31)) + i32::from((high & mask) > threshold);
            let value = scaled.wrapping_add(self.zero_point);
            out[j] = T::narrow(value.max(self.min).min(self.max));
        }
        out
    }

    /// Requantises a block to where its channels start in `to`, of which there may be fewer than a
    /// whole block.
    #[inline(always)]
    pub fn store<T: Byte>(&self, block: usize, acc: &Block, to: &mut [T]) {
        let results = self.apply(block, acc);
        match to.first_chunk_mut::<LANES>() {
            Some(whole) => *whole = results,
            None => to.copy_from_slice(&results[..to.len()]),
        }
    }
}
