//! A small job whose end can be seen: an int8 convolution as our compiler emits it.

/// Words of the task's command list.
pub const WORDS: usize = 126;
/// Bytes of weights, biases and padding.
pub const CONSTANTS: u32 = 448;
/// Bytes of input (first 49152) and output.
pub const ACTIVATIONS: u32 = 102_400;
/// Offset of the output.
pub const OUTPUT: u32 = 49152;
/// Bytes of the output.
pub const OUTPUT_LEN: usize = 49152;
/// [`hash`] of the output, for what [`fill_constants`] and [`fill_input`] put in; the test below has
/// it from the simulator.
pub const OUTPUT_HASH: u64 = 0x526a_db80_a6da_6769;

/// The command list, with zeroes for the addresses.
const LIST: [u64; WORDS] = [
    0x0201_0000_0000_100c,
    0x0201_0000_0090_1010,
    0x0201_0000_0009_1014,
    0x0201_00c0_0008_1020,
    0x0201_0003_0010_1024,
    0x0201_0000_00c0_1028,
    0x0201_0000_0600_102c,
    0x0201_0000_0040_1030,
    0x0201_0000_0010_1034,
    0x0201_0101_0004_1038,
    0x0201_0000_00b1_1040,
    0x0201_0000_0030_1044,
    0x0201_0000_000b_104c,
    0x0201_0001_0000_1050,
    0x0201_0001_0000_1054,
    0x0201_0001_0000_1058,
    0x0201_0001_0000_105c,
    0x0201_0000_0000_1060,
    0x0201_0000_0000_1064,
    0x0201_0000_0000_1068,
    0x0201_0000_0000_1070,
    0x0201_0000_0000_1074,
    0x0201_000f_000f_1078,
    0x0201_0000_0300_107c,
    0x0201_0000_0300_1080,
    0x0201_00c0_0008_1084,
    0x0201_0000_0010_1088,
    0x0201_0000_0000_1100,
    0x0201_0000_0000_1104,
    0x0201_0000_0000_1110,
    0x0201_0000_0000_1140,
    0x0201_0000_0000_1144,
    0x0201_0000_0000_1148,
    0x0201_0000_0000_114c,
    0x0201_0000_0000_1150,
    0x0201_0000_0000_1154,
    0x0201_0000_0000_1158,
    0x0201_0000_0000_115c,
    0x0201_0000_0000_1160,
    0x0201_0000_0000_1164,
    0x0201_0000_0000_1168,
    0x0201_0000_0000_116c,
    0x0201_0000_0000_1170,
    0x0201_0000_0000_1174,
    0x0201_0000_0000_1178,
    0x0201_0000_0000_117c,
    0x0201_0000_0000_1180,
    0x0201_8080_8080_1184,
    0x0801_0000_0001_3010,
    0x0801_0007_00bf_3014,
    0x0801_0000_001f_3018,
    0x0801_0000_0000_301c,
    0x0801_0000_0000_3030,
    0x1001_0000_000e_4004,
    0x1001_0000_01e4_400c,
    0x1001_0000_0000_4010,
    0x1001_0000_0000_4014,
    0x1001_0000_0000_4020,
    0x1001_0000_6000_4024,
    0x1001_0000_00bf_4030,
    0x1001_0000_0007_4034,
    0x1001_0000_0000_4038,
    0x1001_0003_001f_403c,
    0x1001_0002_0150_4040,
    0x1001_0000_0000_4044,
    0x1001_0000_0000_4048,
    0x1001_0000_0000_404c,
    0x1001_0000_0124_4050,
    0x1001_0000_001a_4054,
    0x1001_0000_001f_4058,
    0x1001_0007_00bf_405c,
    0x1001_0000_0053_4060,
    0x1001_0000_0000_4064,
    0x1001_0000_0000_4068,
    0x1001_0000_0000_406c,
    0x1001_0000_0383_4070,
    0x1001_0000_0000_4074,
    0x1001_0000_0001_4078,
    0x1001_0000_0000_407c,
    0x1001_0000_0012_4080,
    0x1001_0000_7666_4084,
    0x1001_0000_0010_4088,
    0x1001_0000_0000_4090,
    0x1001_0000_0000_4094,
    0x1001_0000_0000_4098,
    0x1001_0000_0000_409c,
    0x1001_0000_0000_40a0,
    0x1001_0000_0000_40a4,
    0x1001_0000_0000_40a8,
    0x1001_0000_0000_40ac,
    0x1001_0000_c000_40c0,
    0x1001_0000_0000_40c4,
    0x1001_0000_0000_4100,
    0x1001_0000_0000_4104,
    0x1001_0000_0000_4108,
    0x1001_0000_0000_410c,
    0x1001_0000_0000_4110,
    0x1001_0000_0000_4114,
    0x1001_0000_0000_4118,
    0x1001_0000_0000_411c,
    0x1001_0000_0000_4120,
    0x1001_0000_0000_4124,
    0x1001_0000_0000_4128,
    0x1001_0000_0000_412c,
    0x2001_0000_000e_5004,
    0x2001_0000_00bf_500c,
    0x2001_0000_0007_5010,
    0x2001_0000_001f_5014,
    0x2001_0000_0000_5018,
    0x2001_0000_0002_501c,
    0x2001_0000_0000_5020,
    0x2001_0000_0000_5028,
    0x2001_0000_0000_502c,
    0x2001_0000_0001_5034,
    0x2001_0000_0000_5038,
    0x2001_0000_0000_5040,
    0x2001_0000_7810_5044,
    0x2001_0000_0000_5048,
    0x2001_0000_0000_504c,
    0x2001_0000_0000_5064,
    0x2001_0101_0101_5068,
    0x2001_0000_0000_506c,
    0x0101_0000_0000_0010,
    0x0101_0000_0000_0014,
    0x0041_0000_0000_0000,
    0x0081_0000_001d_0008,
];

/// Places of addresses in the list.
const INPUT_WORD: usize = 20;
const WEIGHTS_WORD: usize = 29;
pub const OUTPUT_WORD: usize = 57;
/// Place of the next task's address, and after it of its amount.
pub const LINK_WORD: usize = 122;
const BIAS_WORD: usize = 110;

/// The list for given device addresses.
pub fn commands(activations: u32, constants: u32) -> [u64; WORDS] {
    let mut list = LIST;
    let mut put = |word: usize, address: u32| {
        list[word] = list[word] & !(0xffff_ffff << 16) | u64::from(address) << 16;
    };
    put(INPUT_WORD, activations);
    put(WEIGHTS_WORD, constants);
    put(OUTPUT_WORD, activations + OUTPUT);
    put(BIAS_WORD, constants + 64);
    list
}

/// Pixels of the pooling's input, along each side; it has 16 channels, and its output half as many
/// pixels along each side.
pub const POOL_SIDE: usize = 8;

/// A maximum over 2x2 pixels, by the PPU alone: from the start of the buffer to [`OUTPUT`].
pub fn pool(activations: u32) -> Vec<u64> {
    let side = POOL_SIDE as u32;
    let (last, last_out) = (side - 1, side / 2 - 1);
    let plane = side / 2 * (side / 2) * 16;
    let body = [
        (0x6004, 0xe),
        (0x7004, 0xe),
        (0x600c, last),
        (0x6010, last),
        (0x6014, 15),
        (0x6018, last_out),
        (0x601c, last_out),
        (0x6020, 15),
        // From memory, the maximum.
        (0x6024, 0x10 | 1),
        // Kernel and stride, less one.
        (0x6034, 1 | 1 << 8 | 1 << 16 | 1 << 20),
        (0x6038, 0x8000),
        (0x603c, 0x8000),
        (0x6040, 0),
        (0x6044, 0x80),
        (0x6048, 0),
        (0x6070, activations + OUTPUT),
        (0x607c, plane),
        (0x6084, plane),
        (0x60dc, 3),
        (0x700c, last),
        (0x7010, last),
        (0x7014, 15),
        (0x701c, activations),
        (0x7024, side * 16),
        (0x7028, side * side * 16),
        (0x7030, 1),
    ];
    let word = |&(register, value): &(u64, u32)| {
        let block = if register < 0x7000 { 0x4001 } else { 0x8001 };
        block << 48 | u64::from(value) << 16 | register
    };
    let mut list: Vec<u64> = body.iter().map(word).collect();
    let tail = [0x0101 << 48 | 0x10, 0x0101 << 48 | 0x14, 0x0041 << 48];
    list.extend(tail);
    list.push(0x0081 << 48 | 0x60 << 16 | 8);
    list
}

/// What [`pool`] makes of an input.
pub fn pooled(input: &[u8]) -> Vec<u8> {
    let half = POOL_SIDE / 2;
    (0..half * half * 16)
        .map(|at| {
            let (channel, x, y) = (at % 16, at / 16 % half, at / 16 / half);
            let value = |dy: usize, dx: usize| {
                input[((2 * y + dy) * POOL_SIDE + 2 * x + dx) * 16 + channel] as i8
            };
            let most = [value(0, 0), value(0, 1), value(1, 0), value(1, 1)];
            most.into_iter().max().unwrap_or(0) as u8
        })
        .collect()
}

/// Weights from -2 to 2, less their zero point, and biases of 0.
pub fn fill_constants(bytes: &mut [u8]) {
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = if index < 64 {
            ((index * 7 % 5) as u8).wrapping_sub(2 + 26)
        } else {
            0
        };
    }
}

/// An input that begins with 3.
pub fn fill_input(bytes: &mut [u8]) {
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = (index * 29 + index / 256 * 13 + 3) as u8;
    }
}

/// FNV-1a.
pub fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// A list that enables nothing, so that its task never ends.
pub fn hang() -> [u64; 4] {
    [0, 0, 0x0041 << 48, 0x0081 << 48 | 8]
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferrite_sim::FlatMemory;
    use ferrite_sim::rk3588::{Config, Core, Start};

    #[test]
    fn pooling_is_what_the_simulator_computes() {
        let memory = FlatMemory::zeroed();
        let (activations, buffer) = memory.alloc(ACTIVATIONS as usize).unwrap();
        buffer.with_mut(0..OUTPUT as usize, fill_input);
        let list = pool(activations as u32);
        let (at, words) = memory.alloc(list.len() * 8).unwrap();
        words.with_mut(0..list.len() * 8, |bytes| {
            for (to, word) in bytes.chunks_exact_mut(8).zip(&list) {
                to.copy_from_slice(&word.to_le_bytes());
            }
        });
        let config = Config {
            evidence: ferrite_hw::Grade::Inferred,
            ..Config::default()
        };
        let outcome = Core::new(config).run(&memory, Start::task(at as u32, list.len()));
        assert!(outcome.fault.is_none(), "{:?}", outcome.fault);
        buffer.with(|bytes| {
            let expected = pooled(bytes);
            assert_eq!(bytes[OUTPUT as usize..][..expected.len()], expected);
        });
    }

    #[test]
    fn the_output_is_what_the_simulator_computes() {
        let memory = FlatMemory::zeroed();
        let (activations, buffer) = memory.alloc(ACTIVATIONS as usize).unwrap();
        buffer.with_mut(0..OUTPUT as usize, fill_input);
        let (constants, weights) = memory.alloc(CONSTANTS as usize).unwrap();
        weights.with_mut(0..CONSTANTS as usize, fill_constants);
        let list = commands(activations as u32, constants as u32);
        let (at, words) = memory.alloc(WORDS * 8).unwrap();
        words.with_mut(0..WORDS * 8, |bytes| {
            for (to, word) in bytes.chunks_exact_mut(8).zip(list) {
                to.copy_from_slice(&word.to_le_bytes());
            }
        });
        let outcome = Core::new(Config::default()).run(&memory, Start::task(at as u32, WORDS));
        assert!(outcome.fault.is_none(), "{:?}", outcome.fault);
        let output = buffer.with(|bytes| bytes[OUTPUT as usize..][..OUTPUT_LEN].to_vec());
        let mut values = output.clone();
        values.sort_unstable();
        values.dedup();
        assert!(values.len() > 50, "only {} values", values.len());
        assert_eq!(hash(&output), OUTPUT_HASH, "{:#x}", hash(&output));
    }
}
