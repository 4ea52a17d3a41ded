// SPDX-License-Identifier: GPL-2.0-only
//! A task that fills the convolution buffer with zeroes.
//!
//! It is a plain int8 convolution, of 1024 channels of 32 x 11 pixels with 32 kernels of one pixel at
//! every fourth pixel: its features take eleven of the buffer's twelve banks to the last byte and its
//! weights the twelfth, so that all 384 KiB are loaded, and there is next to nothing to compute.

/// Bytes that the task reads: its features; its weights and biases may be the same.
pub const ZEROES: usize = 11 * 32768;
/// Bytes that it may write: a page, of which the results take a part.
pub const OUTPUT: usize = 4096;

/// Where the task finds its memory.
#[derive(Clone, Copy, Debug)]
pub struct Places {
    /// [`ZEROES`] bytes that are 0.
    pub zeroes: u32,
    /// [`OUTPUT`] bytes.
    pub output: u32,
}

/// Places of the addresses of features, weights and biases, and of the output.
const READS: [usize; 3] = [17, 23, 56];
const WRITES: usize = 32;

/// The commands, with zeroes for the addresses.
pub const LIST: [u64; 64] = [
    0x1001_0000_000e_4004,
    0x2001_0000_000e_5004,
    0x0201_0000_0000_100c,
    0x0201_0000_0060_1010,
    0x0201_0000_0024_1014,
    0x0201_000b_0020_1020,
    0x0201_03ff_0400_1024,
    0x0201_0000_0003_1028,
    0x0201_0000_0018_102c,
    0x0201_0000_8000_1030,
    0x0201_0000_0400_1034,
    0x0201_0101_0020_1038,
    0x0201_0000_001b_1040,
    0x0201_0000_00b0_1044,
    0x0201_0000_000b_104c,
    0x0201_0000_0000_1180,
    0x0201_0000_0000_1068,
    0x0201_0000_0000_1070,
    0x0201_000f_000f_1078,
    0x0201_0000_002c_107c,
    0x0201_0000_0134_1080,
    0x0201_000b_0020_1084,
    0x0201_0000_0400_1088,
    0x0201_0000_0000_1110,
    0x0201_0000_0000_1184,
    0x0801_0000_0001_3010,
    0x0801_0007_0002_3014,
    0x0801_0000_001f_3018,
    0x0801_0000_0000_301c,
    0x1001_0000_01e4_400c,
    0x1001_0000_0000_4010,
    0x1001_0000_0000_4014,
    0x1001_0000_0000_4020,
    0x1001_0000_0180_4024,
    0x1001_0000_0002_4030,
    0x1001_0000_0007_4034,
    0x1001_0000_0000_4038,
    0x1001_001f_001f_403c,
    0x1001_0002_0150_4040,
    0x1001_0000_0000_4048,
    0x1001_0000_0126_4050,
    0x1001_0000_0000_4054,
    0x1001_0000_001f_4058,
    0x1001_0007_0002_405c,
    0x1001_0000_0053_4060,
    0x1001_0000_0383_4070,
    0x1001_0000_0000_4074,
    0x1001_0000_0001_4078,
    0x1001_0000_0000_4080,
    0x1001_0000_4000_4084,
    0x1001_0000_000e_4088,
    0x1001_0000_0300_40c0,
    0x2001_0000_0002_500c,
    0x2001_0000_0007_5010,
    0x2001_0000_001f_5014,
    0x2001_0000_0002_501c,
    0x2001_0000_0000_5020,
    0x2001_0000_0001_5034,
    0x2001_0000_7810_5044,
    0x2001_0101_0101_5068,
    0x0101_0000_0000_0010,
    0x0101_0000_0000_0014,
    0x0041_0000_0000_0000,
    0x0081_0000_001d_0008,
];

/// The commands for given addresses.
pub fn commands(at: Places) -> [u64; LIST.len()] {
    let mut list = LIST;
    for word in READS {
        list[word] |= u64::from(at.zeroes) << 16;
    }
    list[WRITES] |= u64::from(at.output) << 16;
    list
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferrite_sim::FlatMemory;
    use ferrite_sim::rk3588::{Config, Core, Start};

    /// On what silicon has shown, and nothing else.
    #[test]
    fn the_whole_buffer_is_loaded() {
        let memory = FlatMemory::zeroed();
        let (zeroes, _) = memory.alloc(ZEROES).unwrap();
        let (output, _) = memory.alloc(OUTPUT).unwrap();
        let list = commands(Places {
            zeroes: zeroes as u32,
            output: output as u32,
        });
        let (at, words) = memory.alloc(list.len() * 8).unwrap();
        words.with_mut(0..list.len() * 8, |bytes| {
            for (to, word) in bytes.chunks_exact_mut(8).zip(list) {
                to.copy_from_slice(&word.to_le_bytes());
            }
        });
        let start = Start::task(at as u32, list.len());
        let outcome = Core::new(Config::default()).run(&memory, start);
        assert!(outcome.fault.is_none(), "{:?}", outcome.fault);
        let counters = outcome.counters;
        assert_eq!(counters.feature_bytes, 11 * 32768);
        assert_eq!(counters.weight_bytes, 32768);
        assert!(counters.output_bytes <= OUTPUT as u64);
        // Loading takes longer than computing.
        let timing = Config::default().timing;
        let transfer = counters.bytes() as f64 / timing.core_bandwidth;
        assert!(counters.mac_cycles as f64 / timing.clock_hz < transfer);
    }
}
