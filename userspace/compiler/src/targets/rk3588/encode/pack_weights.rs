//! Weights in the order in which the MAC array takes them.
//!
//! Direct: `[oc / 32] [ic / 32] [ky] [kx] [oc mod 32] [ic mod 32]`, depthwise:
//! `[c / 64] [ky] [kx] [c mod 64]`; last groups are as long as what remains of kernels, and of
//! channels rounded up to an atom. What has the RK3588's numbers is copied in blocks of a known length.

use ferrite_hw::rk3588::Parameters;

/// Channels in a block of a direct convolution of the RK3588.
const BLOCK: usize = 32;
/// Channels in an atom of it, of which the last block has one or two.
const HALF_BLOCK: usize = 16;
/// Kernels that are copied together, which are neighbours in every block.
const TOGETHER: usize = 4;
/// Channels in a group of a depthwise convolution of the RK3588.
const DEPTHWISE: usize = 64;

/// Dense filter as the model has it, `[outputs][taps][inputs]`.
#[derive(Clone, Copy, Debug)]
pub struct Dense<'a> {
    /// Its bytes.
    pub data: &'a [u8],
    /// Taps of the filter.
    pub taps: usize,
    /// Input channels.
    pub inputs: usize,
    /// Xored onto every byte (0x80 centres uint8).
    pub flip: u8,
}

/// Bytes of the packed weights of `outputs` dense kernels.
pub fn direct_len(chip: &Parameters, outputs: usize, taps: usize, inputs: usize) -> usize {
    outputs * taps * inputs.next_multiple_of(chip.atom_channels(1))
}

/// Bytes of packed depthwise weights.
pub fn depthwise_len(chip: &Parameters, taps: usize, channels: usize) -> usize {
    taps * channels.next_multiple_of(chip.atom_channels(1))
}

/// Packs a dense filter for `outputs` kernels.
///
/// `taps` has the filter's tap for each of the kernel's; `zero` is the weight of those without one,
/// and fills the channels up to whole atoms.
pub fn direct(
    chip: &Parameters,
    packed: &mut [u8],
    filter: Dense,
    outputs: usize,
    taps: &[Option<usize>],
    zero: i8,
) {
    let kernel_bytes = filter.taps * filter.inputs;
    if chip.mac_lanes != BLOCK {
        computed(
            chip,
            packed,
            outputs,
            taps.len(),
            filter.inputs,
            |kernel, tap, input| match taps[tap].filter(|_| input < filter.inputs) {
                Some(tap) => {
                    let at = kernel * kernel_bytes + tap * filter.inputs + input;
                    (filter.data[at] ^ filter.flip) as i8
                }
                None => zero,
            },
        );
        return;
    }
    let packed_bytes = direct_len(chip, 1, taps.len(), filter.inputs);
    let mut left = &mut packed[..outputs * packed_bytes];
    for first in (0..outputs).step_by(chip.kernel_group) {
        let kernels = chip.kernel_group.min(outputs - first);
        let into;
        (into, left) = left.split_at_mut(kernels * packed_bytes);
        let group = Group {
            data: &filter.data[first * kernel_bytes..][..kernels * kernel_bytes],
            kernel_bytes,
            kernels,
            inputs: filter.inputs,
            atom: chip.atom_channels(1),
            flip: filter.flip,
            zero: zero as u8,
        };
        group.pack(into, taps);
    }
}

/// Kernels of a group.
struct Group<'a> {
    /// Their weights, `[kernel][tap][input]`.
    data: &'a [u8],
    kernel_bytes: usize,
    kernels: usize,
    inputs: usize,
    /// Channels in an atom.
    atom: usize,
    flip: u8,
    zero: u8,
}

impl Group<'_> {
    fn pack(&self, into: &mut [u8], taps: &[Option<usize>]) {
        let blocks = self.inputs / BLOCK;
        let real = self.inputs % BLOCK;
        let width = real.next_multiple_of(self.atom);
        let tap_bytes = self.kernels * BLOCK;
        let (whole, rest) = into.split_at_mut(blocks * taps.len() * tap_bytes);
        let pitch = taps.len() * tap_bytes;
        for (place, tap) in taps.iter().enumerate() {
            let offset = place * tap_bytes;
            let last = &mut rest[place * self.kernels * width..][..self.kernels * width];
            match tap {
                Some(tap) => {
                    let first = tap * self.inputs;
                    self.copy_whole(first, whole, pitch, offset);
                    self.copy_part(first + blocks * BLOCK, real, last, width);
                }
                None => {
                    for taps in whole.chunks_exact_mut(pitch) {
                        taps[offset..][..tap_bytes].fill(self.zero);
                    }
                    last.fill(self.zero);
                }
            }
        }
    }

    /// Copies blocks of channels of each kernel, from the weight at `first` on, to the bytes at
    /// `offset` of every `pitch`.
    fn copy_whole(&self, first: usize, into: &mut [u8], pitch: usize, offset: usize) {
        let channels = into.len() / pitch * BLOCK;
        let (mut at, mut left) = (offset, self.data);
        while left.len() >= TOGETHER * self.kernel_bytes {
            let kernels;
            (kernels, left) = left.split_at(TOGETHER * self.kernel_bytes);
            let (ab, cd) = kernels.split_at(2 * self.kernel_bytes);
            let [(a, b), (c, d)] = [ab, cd].map(|pair| pair.split_at(self.kernel_bytes));
            let [a, b, c, d] =
                [a, b, c, d].map(|kernel| blocks(&kernel[first..][..channels]).iter());
            let from = a.zip(b).zip(c.zip(d));
            for (into, ((a, b), (c, d))) in into.chunks_exact_mut(pitch).zip(from) {
                let into = into[at..][..TOGETHER * BLOCK].as_chunks_mut().0;
                for (into, block) in into.iter_mut().zip([a, b, c, d]) {
                    *into = flipped(block, self.flip);
                }
            }
            at += TOGETHER * BLOCK;
        }
        for kernel in left.chunks_exact(self.kernel_bytes) {
            for (into, block) in into
                .chunks_exact_mut(pitch)
                .zip(blocks(&kernel[first..][..channels]))
            {
                into[at..][..BLOCK].copy_from_slice(&flipped(block, self.flip));
            }
            at += BLOCK;
        }
    }

    /// Copies `real` weights of each kernel, from the one at `first` on, and fills them up to
    /// `width`.
    fn copy_part(&self, first: usize, real: usize, into: &mut [u8], width: usize) {
        if width == 0 {
            return;
        }
        let kernels = self.data.chunks_exact(self.kernel_bytes);
        for (kernel, into) in kernels.zip(into.chunks_exact_mut(width)) {
            let weights = &kernel[first..][..real];
            if let (Ok(weights), Ok(into)) = (weights.try_into(), into.try_into()) {
                let into: &mut [u8; HALF_BLOCK] = into;
                *into = flipped(weights, self.flip);
                continue;
            }
            let (into, rest) = into.split_at_mut(real);
            flip_into(weights, self.flip, into);
            rest.fill(self.zero);
        }
    }
}

/// Whole blocks of channels.
fn blocks(channels: &[u8]) -> &[[u8; BLOCK]] {
    channels.as_chunks().0
}

/// `weights` with `flip` xored onto every byte. With a known length, and made before it is stored,
/// this is a few vector instructions.
fn flipped<const N: usize>(weights: &[u8; N], flip: u8) -> [u8; N] {
    let mut weights = *weights;
    weights.iter_mut().for_each(|weight| *weight ^= flip);
    weights
}

/// Writes `source` with `flip` xored onto every byte to `into`, which has the same length.
fn flip_into(source: &[u8], flip: u8, into: &mut [u8]) {
    for (to, from) in into.iter_mut().zip(source) {
        *to = from ^ flip;
    }
}

/// The same for weights computed one by one: `weight(output, tap, input)`.
pub fn computed(
    chip: &Parameters,
    packed: &mut [u8],
    outputs: usize,
    taps: usize,
    inputs: usize,
    weight: impl Fn(usize, usize, usize) -> i8,
) {
    let padded = inputs.next_multiple_of(chip.atom_channels(1));
    let mut left = packed.iter_mut();
    for group in (0..outputs).step_by(chip.kernel_group) {
        let kernels = group..(group + chip.kernel_group).min(outputs);
        for block in (0..padded).step_by(chip.mac_lanes) {
            let channels = block..(block + chip.mac_lanes).min(padded);
            for tap in 0..taps {
                for kernel in kernels.clone() {
                    for (channel, into) in channels.clone().zip(&mut left) {
                        *into = weight(kernel, tap, channel) as u8;
                    }
                }
            }
        }
    }
}

/// Packs a depthwise filter of `channels` channels, given as one row of channels per tap; taps without
/// one get `zero`.
pub fn depthwise(
    chip: &Parameters,
    packed: &mut [u8],
    channels: usize,
    flip: u8,
    zero: i8,
    rows: &[Option<&[u8]>],
) {
    let padded = channels.next_multiple_of(chip.atom_channels(1));
    let mut left = packed;
    for group in (0..padded).step_by(chip.depthwise_group) {
        let width = chip.depthwise_group.min(padded - group);
        let real = width.min(channels - group);
        let into;
        (into, left) = left.split_at_mut(rows.len() * width);
        for (into, row) in into.chunks_exact_mut(width).zip(rows) {
            let Some(row) = row else {
                into.fill(zero as u8);
                continue;
            };
            let row = &row[group..];
            if real == DEPTHWISE
                && let (Some(whole), Some(into)) = (row.first_chunk(), into.first_chunk_mut())
            {
                *into = flipped::<DEPTHWISE>(whole, flip);
                continue;
            }
            let (weights, rest) = into.split_at_mut(real);
            flip_into(&row[..real], flip, weights);
            rest.fill(zero as u8);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferrite_hw::rk3588::parameters::RK3588;

    /// What a packer makes of memory that holds something else.
    fn made(len: usize, pack: impl FnOnce(&mut [u8])) -> Vec<u8> {
        let mut packed = vec![0xa5; len];
        pack(&mut packed);
        packed
    }

    fn dense(data: &[u8], taps: usize, inputs: usize, flip: u8) -> Dense<'_> {
        Dense {
            data,
            taps,
            inputs,
            flip,
        }
    }

    #[test]
    fn direct_blocks_nest_kernels_inside_taps() {
        // 33 kernels, 2 taps, 40 channels: groups of 32 and 1, blocks of 32 and 16.
        let filter: Vec<u8> = (0..33 * 2 * 40).map(|i| (i % 251) as u8).collect();
        let packed = made(direct_len(&RK3588, 33, 2, 40), |packed| {
            direct(
                &RK3588,
                packed,
                dense(&filter, 2, 40, 0),
                33,
                &[Some(0), Some(1)],
                -7,
            );
        });
        assert_eq!(packed.len(), 33 * 2 * 48);
        let source = |oc: usize, tap: usize, ic: usize| filter[(oc * 2 + tap) * 40 + ic];
        // Group 0, block 0, tap 1, kernel 3, channel 5.
        assert_eq!(packed[(32 + 3) * 32 + 5], source(3, 1, 5));
        // Group 0, block 1 (16 wide), tap 0, kernel 2, channels 39 and 40.
        let base = 2 * 32 * 32 + 2 * 16;
        assert_eq!(packed[base + 7], source(2, 0, 39));
        assert_eq!(packed[base + 8] as i8, -7);
        // Group 1 holds a single kernel.
        assert_eq!(packed[32 * 2 * 48 + 32], source(32, 1, 0));
    }

    #[test]
    fn computed_and_direct_agree() {
        let filter: Vec<u8> = (0..35 * 3 * 20).map(|i| (i * 7 % 256) as u8).collect();
        let a = made(direct_len(&RK3588, 35, 4, 20), |packed| {
            let taps = [None, Some(2), Some(0), Some(1)];
            direct(&RK3588, packed, dense(&filter, 3, 20, 0x80), 35, &taps, 9);
        });
        let b = made(direct_len(&RK3588, 35, 4, 20), |packed| {
            computed(&RK3588, packed, 35, 4, 20, |oc, tap, ic| {
                if ic < 20 && tap > 0 {
                    (filter[(oc * 3 + [2, 0, 1][tap - 1]) * 20 + ic] ^ 0x80) as i8
                } else {
                    9
                }
            });
        });
        assert_eq!(a, b);
    }

    #[test]
    fn the_last_depthwise_group_holds_what_remains() {
        let filter: Vec<u8> = (0..4 * 72).map(|i| (i % 256) as u8).collect();
        let packed = made(depthwise_len(&RK3588, 4, 72), |packed| {
            let rows: Vec<_> = filter.chunks(72).map(Some).collect();
            depthwise(&RK3588, packed, 72, 0x80, 1, &rows);
        });
        assert_eq!(packed.len(), 4 * 80);
        assert_eq!(packed[64 + 3], filter[72 + 3] ^ 0x80);
        let second = 4 * 64;
        assert_eq!(packed[second + 16], filter[72 + 64] ^ 0x80);
        assert_eq!(packed[second + 8], 1);
    }
}
