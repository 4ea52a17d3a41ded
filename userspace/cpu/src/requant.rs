//! From int32 accumulators to 8-bit results, a block of channels at a time.

use super::context::{Byte, GemmQuant};
use ferrite_simd::{Isa, LANES, Rescale};

/// Requantisation of an operator's channels, in blocks.
pub(super) struct Requant {
    blocks: Vec<Rescale>,
}

impl Requant {
    /// `groups` groups of channels that each start a new block. `bias` is that of a channel.
    pub fn new(quant: &GemmQuant, bias: impl Fn(usize) -> i32, groups: usize) -> Requant {
        let per_group = quant.multipliers.len() / groups;
        let mut blocks = Vec::new();
        for group in 0..groups {
            for first in (0..per_group).step_by(LANES) {
                let channels = group * per_group + first..(group + 1) * per_group;
                let channels = channels.map(|channel| {
                    let m = quant.multipliers[channel];
                    (bias(channel), m.mantissa, m.shift)
                });
                let range = (quant.min, quant.max);
                blocks.push(Rescale::new(channels, quant.output_zero_point, range));
            }
        }
        Requant { blocks }
    }

    /// How a block of channels is requantised.
    #[inline(always)]
    pub fn block(&self, block: usize) -> &Rescale {
        &self.blocks[block]
    }
}

/// Requantises a block to where its channels start in `to`, of which there may be fewer than a whole
/// block.
#[inline(always)]
pub(super) fn store<T: Byte, I: Isa>(isa: I, acc: I::Acc, by: I::Constants<'_>, to: &mut [T]) {
    isa.store(acc, by, bytemuck::cast_slice_mut(to));
}
