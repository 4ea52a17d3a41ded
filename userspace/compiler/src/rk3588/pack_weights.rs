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

/// Dense filter `[outputs][taps][inputs]`, given as one row `[taps][inputs]` per output channel.
///
/// `flip` is xored onto every byte (0x80 centres uint8), `zero` fills the channels up to `padded`.
pub fn direct<'a>(
    outputs: usize,
    taps: usize,
    inputs: usize,
    flip: u8,
    zero: i8,
    row: impl Fn(usize, usize) -> &'a [u8],
) -> Vec<u8> {
    let padded = inputs.next_multiple_of(16);
    let mut packed = Vec::with_capacity(outputs * taps * padded);
    for group in (0..outputs).step_by(KERNELS) {
        let kernels = group..(group + KERNELS).min(outputs);
        for block in (0..padded).step_by(BLOCK) {
            let width = BLOCK.min(padded - block);
            let real = width.min(inputs - block);
            for tap in 0..taps {
                for kernel in kernels.clone() {
                    let source = &row(kernel, tap)[block..block + real];
                    packed.extend(source.iter().map(|w| w ^ flip));
                    packed.extend(std::iter::repeat_n(zero as u8, width - real));
                }
            }
        }
    }
    packed
}

/// The same for weights computed one by one: `weight(output, tap, input)`.
pub fn computed(
    outputs: usize,
    taps: usize,
    inputs: usize,
    weight: impl Fn(usize, usize, usize) -> i8,
) -> Vec<u8> {
    let padded = inputs.next_multiple_of(16);
    let mut packed = Vec::with_capacity(outputs * taps * padded);
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
    packed
}

/// Depthwise filter, given as one row of channels per tap.
pub fn depthwise<'a>(
    taps: usize,
    channels: usize,
    flip: u8,
    zero: i8,
    row: impl Fn(usize) -> &'a [u8],
) -> Vec<u8> {
    let padded = channels.next_multiple_of(16);
    let mut packed = Vec::with_capacity(taps * padded);
    for group in (0..padded).step_by(DEPTHWISE) {
        let width = DEPTHWISE.min(padded - group);
        let real = width.min(channels - group);
        for tap in 0..taps {
            let source = &row(tap)[group..][..real];
            packed.extend(source.iter().map(|w| w ^ flip));
            packed.extend(std::iter::repeat_n(zero as u8, width - real));
        }
    }
    packed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn direct_blocks_nest_kernels_inside_taps() {
        // 33 kernels, 2 taps, 40 channels: groups of 32 and 1, blocks of 32 and 16.
        let filter: Vec<u8> = (0..33 * 2 * 40).map(|i| (i % 251) as u8).collect();
        let packed = direct(33, 2, 40, 0, -7, |oc, tap| {
            &filter[(oc * 2 + tap) * 40..][..40]
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
        let a = direct(35, 3, 20, 0x80, 9, |oc, tap| {
            &filter[(oc * 3 + tap) * 20..][..20]
        });
        let b = computed(35, 3, 20, |oc, tap, ic| {
            if ic < 20 {
                (filter[(oc * 3 + tap) * 20 + ic] ^ 0x80) as i8
            } else {
                9
            }
        });
        assert_eq!(a, b);
    }

    #[test]
    fn the_last_depthwise_group_holds_what_remains() {
        let filter: Vec<u8> = (0..4 * 72).map(|i| (i % 256) as u8).collect();
        let packed = depthwise(4, 72, 0x80, 1, |tap| &filter[tap * 72..][..72]);
        assert_eq!(packed.len(), 4 * 80);
        assert_eq!(packed[64 + 3], filter[72 + 3] ^ 0x80);
        let second = 4 * 64;
        assert_eq!(packed[second + 16], filter[72 + 64] ^ 0x80);
        assert_eq!(packed[second + 8], 1);
    }
}
