//! Weights in the order in which the MAC array takes them.
//!
//! Direct: `[oc / 32] [ic / 32] [ky] [kx] [oc mod 32] [ic mod 32]`, depthwise:
//! `[c / 64] [ky] [kx] [c mod 64]`; last groups are as long as what remains of kernels, and of
//! channels rounded up to 16.

/// Kernels in a group.
const KERNELS: usize = 32;
/// Channels in a block of a direct convolution.
const BLOCK: usize = 32;
/// Channels in a group of a depthwise convolution.
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

/// A dense filter for `outputs` kernels, appended to `packed`.
///
/// `taps` has the filter's tap for each of the kernel's; `zero` is the weight of those without one,
/// and fills the channels up to a multiple of 16.
pub fn direct(
    packed: &mut Vec<u8>,
    filter: Dense,
    outputs: usize,
    taps: &[Option<usize>],
    zero: i8,
) {
    let padded = filter.inputs.next_multiple_of(16);
    let start = packed.len();
    packed.resize(start + outputs * taps.len() * padded, zero as u8);
    let mut left = &mut packed[start..];
    let kernel_bytes = filter.taps * filter.inputs;
    for group in (0..outputs).step_by(KERNELS) {
        let kernels = KERNELS.min(outputs - group);
        for block in (0..padded).step_by(BLOCK) {
            let width = BLOCK.min(padded - block);
            let real = width.min(filter.inputs - block);
            for tap in taps {
                let (into, rest) = left.split_at_mut(kernels * width);
                left = rest;
                let Some(tap) = tap else { continue };
                let from = group * kernel_bytes + tap * filter.inputs + block;
                block_of_kernels(filter, from, real, into, width);
            }
        }
    }
}

/// Copies a block of `real` channels for each of consecutive kernels, the first of which is at byte
/// `from` of the filter, to every `width` bytes of `into`.
fn block_of_kernels(filter: Dense, mut from: usize, real: usize, into: &mut [u8], width: usize) {
    let kernel_bytes = filter.taps * filter.inputs;
    if real == BLOCK {
        // A copy of known length, made before it is stored, is a few vector instructions.
        for into in into.as_chunks_mut::<BLOCK>().0 {
            let Some(source) = filter.data[from..].first_chunk::<BLOCK>() else {
                return;
            };
            let mut block = *source;
            block.iter_mut().for_each(|weight| *weight ^= filter.flip);
            *into = block;
            from += kernel_bytes;
        }
        return;
    }
    for into in into.chunks_exact_mut(width) {
        flipped(&filter.data[from..][..real], filter.flip, into);
        from += kernel_bytes;
    }
}

/// Writes `source` with `flip` xored onto every byte to the beginning of `into`.
fn flipped(source: &[u8], flip: u8, into: &mut [u8]) {
    for (to, from) in into.iter_mut().zip(source) {
        *to = from ^ flip;
    }
}

/// The same for weights computed one by one: `weight(output, tap, input)`.
pub fn computed(
    packed: &mut Vec<u8>,
    outputs: usize,
    taps: usize,
    inputs: usize,
    weight: impl Fn(usize, usize, usize) -> i8,
) {
    let padded = inputs.next_multiple_of(16);
    packed.reserve(outputs * taps * padded);
    for group in (0..outputs).step_by(KERNELS) {
        let kernels = group..(group + KERNELS).min(outputs);
        for block in (0..padded).step_by(BLOCK) {
            let channels = block..(block + BLOCK).min(padded);
            for tap in 0..taps {
                for kernel in kernels.clone() {
                    packed.extend(channels.clone().map(|c| weight(kernel, tap, c) as u8));
                }
            }
        }
    }
}

/// Depthwise filter, given as one row of channels per tap, appended to `packed`.
pub fn depthwise<'a>(
    packed: &mut Vec<u8>,
    taps: usize,
    channels: usize,
    flip: u8,
    zero: i8,
    row: impl Fn(usize) -> &'a [u8],
) {
    let padded = channels.next_multiple_of(16);
    let start = packed.len();
    packed.resize(start + taps * padded, zero as u8);
    let mut left = &mut packed[start..];
    for group in (0..padded).step_by(DEPTHWISE) {
        let width = DEPTHWISE.min(padded - group);
        let real = width.min(channels - group);
        for tap in 0..taps {
            let (into, rest) = left.split_at_mut(width);
            left = rest;
            flipped(&row(tap)[group..][..real], flip, into);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a packer appends.
    fn appended(pack: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut packed = vec![1, 2, 3];
        pack(&mut packed);
        assert_eq!(packed[..3], [1, 2, 3]);
        packed.split_off(3)
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
        let packed = appended(|packed| {
            direct(
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
        let a = appended(|packed| {
            let taps = [None, Some(2), Some(0), Some(1)];
            direct(packed, dense(&filter, 3, 20, 0x80), 35, &taps, 9);
        });
        let b = appended(|packed| {
            computed(packed, 35, 4, 20, |oc, tap, ic| {
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
        let packed = appended(|packed| {
            depthwise(packed, 4, 72, 0x80, 1, |tap| &filter[tap * 72..][..72]);
        });
        assert_eq!(packed.len(), 4 * 80);
        assert_eq!(packed[64 + 3], filter[72 + 3] ^ 0x80);
        let second = 4 * 64;
        assert_eq!(packed[second + 16], filter[72 + 64] ^ 0x80);
        assert_eq!(packed[second + 8], 1);
    }
}
