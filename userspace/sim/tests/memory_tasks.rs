//! Tasks without convolution: pooling and element-wise operations, against scalar loops.

mod common;

use common::{place, place_bytes};
use ferrite_hw::Grade;
use ferrite_hw::rk3588::table::Register;
use ferrite_hw::rk3588::{codes::enable, command, dpu, dpu_rdma, ppu, ppu_rdma};
use ferrite_sim::FlatMemory;
use ferrite_sim::rk3588::{Config, Core, FaultKind, Outcome, Start};
use proptest::prelude::*;

fn run(memory: &FlatMemory, list: &[(Register, u32)], mask: u32, evidence: Grade) -> Outcome {
    let words: Vec<u64> = list
        .iter()
        .map(|(register, value)| register.write(*value).unwrap())
        .chain(command::tail(None, mask))
        .map(|c| c.encode())
        .collect();
    let config = Config {
        evidence,
        ..Config::default()
    };
    Core::new(config).run(memory, Start::task(place(memory, &words), words.len()))
}

fn bytes(seed: u32, len: usize) -> Vec<u8> {
    let mut state = seed;
    (0..len)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        })
        .collect()
}

#[derive(Clone, Copy, Debug)]
struct Pool {
    size: [u32; 2],
    surfaces: u32,
    kernel: [u32; 2],
    stride: [u32; 2],
    pad: [u32; 4],
    pad_value: i8,
    method: u32,
}

impl Pool {
    fn out(&self) -> [u32; 2] {
        [0, 1].map(|i| {
            (self.size[i] + self.pad[2 * i] + self.pad[2 * i + 1] - self.kernel[i]) / self.stride[i]
                + 1
        })
    }

    fn list(&self, source: u32, destination: u32) -> Vec<(Register, u32)> {
        let ([height, width], [out_height, out_width]) = (self.size, self.out());
        let channels = self.surfaces * 16 - 1;
        let plane = out_height * out_width * 16;
        vec![
            (ppu::S_POINTER, 0xe),
            (ppu_rdma::S_POINTER, 0xe),
            (ppu::DATA_CUBE_IN_WIDTH, width - 1),
            (ppu::DATA_CUBE_IN_HEIGHT, height - 1),
            (ppu::DATA_CUBE_IN_CHANNEL, channels),
            (ppu::DATA_CUBE_OUT_WIDTH, out_width - 1),
            (ppu::DATA_CUBE_OUT_HEIGHT, out_height - 1),
            (ppu::DATA_CUBE_OUT_CHANNEL, channels),
            (ppu::OPERATION_MODE_CFG, 0x10 | self.method),
            (
                ppu::POOLING_KERNEL_CFG,
                (self.kernel[1] - 1)
                    | (self.kernel[0] - 1) << 8
                    | (self.stride[1] - 1) << 16
                    | (self.stride[0] - 1) << 20,
            ),
            (
                ppu::RECIP_KERNEL_HEIGHT,
                (65536 + self.kernel[0] / 2) / self.kernel[0],
            ),
            (
                ppu::RECIP_KERNEL_WIDTH,
                (65536 + self.kernel[1] / 2) / self.kernel[1],
            ),
            (
                ppu::POOLING_PADDING_CFG,
                self.pad[2] | self.pad[0] << 4 | self.pad[3] << 8 | self.pad[1] << 12,
            ),
            (ppu::PADDING_VALUE_1_CFG, i32::from(self.pad_value) as u32),
            (ppu::DST_BASE_ADDR, destination),
            (ppu::DST_SURF_STRIDE, plane),
            (ppu::DATA_FORMAT, plane),
            (ppu::MISC_CTRL, 3),
            (ppu_rdma::CUBE_IN_WIDTH, width - 1),
            (ppu_rdma::CUBE_IN_HEIGHT, height - 1),
            (ppu_rdma::CUBE_IN_CHANNEL, channels),
            (ppu_rdma::SRC_BASE_ADDR, source),
            (ppu_rdma::SRC_LINE_STRIDE, width * 16),
            (ppu_rdma::SRC_SURF_STRIDE, width * height * 16),
            (ppu_rdma::DATA_FORMAT, 1),
        ]
    }

    fn expected(&self, input: &[u8], index: usize) -> i8 {
        let ([height, width], [out_height, out_width]) = (self.size, self.out());
        let (lane, pixel) = (index % 16, index / 16);
        let (x, rest) = (pixel as u32 % out_width, pixel as u32 / out_width);
        let (y, s) = (rest % out_height, rest / out_height);
        let mut values = Vec::new();
        for ky in 0..self.kernel[0] {
            for kx in 0..self.kernel[1] {
                let iy = (y * self.stride[0] + ky) as i32 - self.pad[0] as i32;
                let ix = (x * self.stride[1] + kx) as i32 - self.pad[2] as i32;
                let inside = iy >= 0 && ix >= 0 && iy < height as i32 && ix < width as i32;
                values.push(if inside {
                    let atom = (s * height + iy as u32) * width + ix as u32;
                    input[atom as usize * 16 + lane] as i8
                } else {
                    self.pad_value
                });
            }
        }
        match self.method {
            1 => *values.iter().max().unwrap(),
            2 => *values.iter().min().unwrap(),
            _ => {
                let sum: f64 = values.iter().map(|&v| f64::from(v)).sum();
                let reciprocal = |k: u32| f64::from((65536 + k / 2) / k) / 65536.0;
                (sum * reciprocal(self.kernel[0]) * reciprocal(self.kernel[1])).round_ties_even()
                    as i8
            }
        }
    }
}

fn pools() -> impl Strategy<Value = Pool> {
    (
        [1..12u32, 1..12u32],
        1..4u32,
        [1..5u32, 1..5u32],
        [1..4u32, 1..4u32],
        [0..3u32, 0..3u32, 0..3u32, 0..3u32],
        any::<i8>(),
        0..3u32,
    )
        .prop_filter_map(
            "must fit",
            |(size, surfaces, kernel, stride, pad, pad_value, method)| {
                let pad = std::array::from_fn(|i| pad[i].min(kernel[i / 2] - 1));
                let fits = (0..2).all(|i| size[i] + pad[2 * i] + pad[2 * i + 1] >= kernel[i]);
                fits.then_some(Pool {
                    size,
                    surfaces,
                    kernel,
                    stride,
                    pad,
                    pad_value,
                    method,
                })
            },
        )
}

proptest! {
    #[test]
    fn int8_pooling_is_exact(pool in pools(), seed in any::<u32>()) {
        let memory = FlatMemory::new();
        let input = bytes(seed, (pool.size[0] * pool.size[1] * pool.surfaces * 16) as usize);
        let [height, width] = pool.out();
        let (at, out) = memory.alloc((height * width * pool.surfaces * 16) as usize).unwrap();
        let list = pool.list(place_bytes(&memory, &input), at as u32);
        let outcome = run(&memory, &list, enable::POOLING, Grade::Inferred);
        prop_assert_eq!(&outcome.fault, &None);
        prop_assert_eq!(outcome.raw, 0x400);
        out.with(|got| {
            for (i, &value) in got.iter().enumerate() {
                prop_assert_eq!(value as i8, pool.expected(&input, i), "byte {} of {:?}", i, pool);
            }
            Ok(())
        })?;
    }
}

/// Registers of a task without convolution on a cube of 3x2 pixels and two surfaces.
fn flying(precision: u32, source: u32, operand: u32, destination: u32) -> Vec<(Register, u32)> {
    let channels = if precision == 4 { 7 } else { 31 };
    let size = if precision == 4 { 3 } else { 1 };
    vec![
        (dpu::S_POINTER, 0xe),
        (dpu_rdma::S_POINTER, 0xe),
        (dpu::FEATURE_MODE_CFG, 0x1e5),
        (
            dpu::DATA_FORMAT,
            precision << 29 | precision << 26 | precision,
        ),
        (dpu::DST_BASE_ADDR, destination),
        (dpu::DST_SURF_STRIDE, 6 << 4),
        (dpu::DATA_CUBE_WIDTH, 2),
        (dpu::DATA_CUBE_HEIGHT, 1),
        (dpu::DATA_CUBE_CHANNEL, channels << 16 | channels),
        (dpu::BS_CFG, 0x53),
        (dpu::BS_OW_CFG, 2),
        (dpu::WDMA_SIZE_0, channels),
        (dpu::WDMA_SIZE_1, 1 << 16 | 2),
        (dpu::BN_CFG, 0x53),
        (dpu::EW_CFG, 0x1002_03c0 | size << 22),
        (dpu::EW_CVT_SCALE_VALUE, 1),
        (dpu::OUT_CVT_SCALE, 1),
        (dpu::SURFACE_ADD, 6 << 4),
        (dpu_rdma::DATA_CUBE_WIDTH, 2),
        (dpu_rdma::DATA_CUBE_HEIGHT, 1),
        (dpu_rdma::DATA_CUBE_CHANNEL, channels),
        (dpu_rdma::SRC_BASE_ADDR, source),
        (dpu_rdma::EW_BASE_ADDR, operand),
        (dpu_rdma::EW_SURF_STRIDE, 6 << 4),
        (dpu_rdma::ERDMA_CFG, 1 << 30 | size << 2),
        (
            dpu_rdma::FEATURE_MODE_CFG,
            0x7801 | precision << 5 | precision << 15,
        ),
        (dpu_rdma::WEIGHT, 0x0101_0101),
    ]
}

/// The int32 addition of two cubes is known on silicon: it needs no weaker evidence.
#[test]
fn int32_cubes_add_with_saturation() {
    let memory = FlatMemory::new();
    let mut a = bytes(1, 192);
    let mut b = bytes(2, 192);
    a[..4].copy_from_slice(&i32::MAX.to_le_bytes());
    b[..4].copy_from_slice(&5i32.to_le_bytes());
    let (at, out) = memory.alloc(192).unwrap();
    let list = flying(
        4,
        place_bytes(&memory, &a),
        place_bytes(&memory, &b),
        at as u32,
    );
    let outcome = run(&memory, &list, enable::FLYING, Grade::Silicon);
    assert_eq!(outcome.fault, None);
    let word =
        |bytes: &[u8], i: usize| i32::from_le_bytes(bytes[4 * i..4 * i + 4].try_into().unwrap());
    out.with(|got| {
        for i in 0..48 {
            assert_eq!(word(got, i), word(&a, i).saturating_add(word(&b, i)), "{i}");
        }
    });
    assert_eq!(outcome.counters.operand_bytes, 384);
}

/// What is made of two elements.
type Function = fn(i32, i32) -> i32;

/// Words of EW_CFG by which 8-bit cubes were combined on silicon, and what came out.
const COMBINED: [(u32, Function); 5] = [
    (0x1042_02c0, |a, b| a + b),
    (0x1044_02c0, |a, b| a - b),
    (0x1060_02c0, |a, b| a.max(b)),
    (0x1061_02c0, |a, b| a.min(b)),
    (0x1040_02c4, |a, b| a * b),
];

/// A flying task with this word, and other registers; its outcome and output.
fn combined(word: u32, changes: &[(Register, u32)], evidence: Grade) -> (Outcome, Vec<i8>) {
    let memory = FlatMemory::new();
    let (a, b) = (bytes(3, 192), bytes(4, 192));
    let (at, out) = memory.alloc(192).unwrap();
    let mut list = flying(
        0,
        place_bytes(&memory, &a),
        place_bytes(&memory, &b),
        at as u32,
    );
    for &(register, value) in [(dpu::EW_CFG, word)].iter().chain(changes) {
        match list.iter_mut().find(|(known, _)| *known == register) {
            Some(entry) => entry.1 = value,
            None => list.push((register, value)),
        }
    }
    let outcome = run(&memory, &list, enable::FLYING, evidence);
    let got = out.with(|got| got.iter().map(|&byte| byte as i8).collect());
    (outcome, got)
}

/// The operands of [`combined`], byte by byte.
fn operands() -> impl Iterator<Item = (i32, i32)> {
    let signed = |byte: u8| i32::from(byte as i8);
    let both = bytes(3, 192).into_iter().zip(bytes(4, 192));
    both.map(move |(a, b)| (signed(a), signed(b)))
}

#[test]
fn int8_cubes_combine_with_saturation_as_measured() {
    for (word, function) in COMBINED {
        let (outcome, got) = combined(word, &[], Grade::Silicon);
        assert_eq!(outcome.fault, None, "{word:#x}");
        let expected: Vec<i8> = operands()
            .map(|(a, b)| function(a, b).clamp(-128, 127) as i8)
            .collect();
        assert_eq!(got, expected, "{word:#x}");
    }
}

/// A product of values around their zero points, brought to the scale of the result: stage by stage
/// what the vendor programs for sums.
#[test]
fn int8_products_are_centred_and_rescaled() {
    let changes = [
        (dpu::BS_CFG, 0x2_0050),
        (dpu::BS_ALU_CFG, 17),
        (dpu::EW_CVT_OFFSET_VALUE, (-90_i32) as u32),
        (dpu::EW_CVT_SCALE_VALUE, 97),
        (dpu::OUT_CVT_OFFSET, (-5_i32) as u32),
        (dpu::OUT_CVT_SCALE, 20_001),
        (dpu::OUT_CVT_SHIFT, 29),
    ];
    let (outcome, got) = combined(0x9040_02c4, &changes, Grade::Silicon);
    assert_eq!(outcome.fault, None);
    let expected: Vec<i8> = operands()
        .map(|(a, b)| {
            let product = i64::from((a + 17) * ((b - 90) * 97)) * 20_001;
            let rounded = (product as f64 / f64::from(1 << 29)).round_ties_even();
            (rounded as i32 - 5).clamp(-128, 127) as i8
        })
        .collect();
    assert_eq!(got, expected);
}

#[test]
fn what_was_not_measured_of_element_wise_tasks_is_refused() {
    let refused = |word, changes: &[(Register, u32)]| {
        combined(word, changes, Grade::Inferred).0.fault.is_some()
    };
    let [_, _, (larger, _), _, (product, _)] = COMBINED;
    assert!(!refused(larger, &[]));
    assert!(refused(larger & !(1 << 21), &[]), "EW_EQUAL_EN missing");
    assert!(refused(product | 1 << 21, &[]), "EW_EQUAL_EN of a product");
    assert!(refused(product | 2 << 16, &[]), "a product with a function");
    let channels = [(dpu::DATA_CUBE_CHANNEL, 31)];
    assert!(refused(larger, &channels), "ORIG_CHANNEL 0");
    let shifted = [(dpu::EW_CVT_SCALE_VALUE, 1 << 22 | 1)];
    assert!(refused(product, &shifted), "a product that is shifted");
    let wide = [(dpu::EW_CVT_SCALE_VALUE, 256)];
    assert!(refused(product, &wide), "a factor of 17 bits");
    let comb = [(dpu_rdma::FEATURE_MODE_CFG, 0x7d01)];
    assert!(refused(product, &comb), "COMB_USE 5");
    // Past the converter, 8-bit operands are an inference.
    let bypassed = 0x1042_03c0;
    assert_eq!(combined(bypassed, &[], Grade::Inferred).0.fault, None);
    let fault = combined(bypassed, &[], Grade::Sibling).0.fault.unwrap();
    let weak = matches!(
        fault.kind,
        FaultKind::Evidence {
            grade: Grade::Inferred,
            ..
        }
    );
    assert!(weak, "{fault}");
}

/// As on silicon: the second factor counts with its low 16 bits.
#[test]
fn int32_products_take_16_bits_of_the_second_factor() {
    let memory = FlatMemory::new();
    let (a, b) = (bytes(5, 192), bytes(6, 192));
    let (at, out) = memory.alloc(192).unwrap();
    let (source, operand) = (place_bytes(&memory, &a), place_bytes(&memory, &b));
    let mut list = flying(4, source, operand, at as u32);
    for entry in &mut list {
        if entry.0 == dpu::EW_CFG {
            entry.1 = 0x10c0_03c4;
        }
    }
    let outcome = run(&memory, &list, enable::FLYING, Grade::Silicon);
    assert_eq!(outcome.fault, None);
    let word = |bytes: &[u8], i: usize| i32::from_le_bytes(bytes[4 * i..][..4].try_into().unwrap());
    out.with(|got| {
        for i in 0..48 {
            let product = i64::from(word(&a, i)) * i64::from(word(&b, i) as i16);
            let expected = product.clamp(i32::MIN.into(), i32::MAX.into());
            assert_eq!(i64::from(word(got, i)), expected, "{i}");
        }
    });
}
