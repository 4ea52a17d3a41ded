//! The data movements and table jobs that Mesa drives, against their definition.

use super::common::{bytes, descriptor, npu, place, read, run};
use ferrite_hw::vivante::{Field, state, tp};
use ferrite_sim::FlatMemory;
use ferrite_sim::vivante::{Config, Npu};

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 31 % 253) as u8).collect()
}

fn outcome(
    npu: &Npu,
    input: &[u8],
    len: usize,
    fields: &[(Field, i64)],
) -> Result<Vec<u8>, String> {
    let memory = FlatMemory::new();
    let output = memory.alloc(len).unwrap().0 as u32;
    let mut words = descriptor(tp::defaults(), fields);
    for (field, address) in [
        (tp::IN_IMAGE_BASE_ADDRESS, place(&memory, input)),
        (tp::OUT_IMAGE_BASE_ADDRESS, output),
    ] {
        field.set(&mut words, address.into()).unwrap();
    }
    let outcome = run(npu, &memory, state::PS_TP_INST_ADDR, &words);
    match outcome.fault {
        Some(fault) => Err(fault.to_string()),
        None => Ok(read(&memory, output, len)),
    }
}

fn window(x: i64, y: i64) -> [(Field, i64); 2] {
    [(tp::IN_WINDOW_X_END, x - 1), (tp::IN_WINDOW_Y_END, y - 1)]
}

fn input(x: i64, y: i64, z: i64) -> [(Field, i64); 5] {
    [
        (tp::IN_IMAGE_X_SIZE, x),
        (tp::IN_IMAGE_Y_SIZE, y),
        (tp::IN_IMAGE_Z_SIZE, z),
        (tp::IN_IMAGE_STRIDE, x),
        (tp::IN_IMAGE_SLICE, x * y),
    ]
}

fn tile(x: i64, y: i64) -> [(Field, i64); 4] {
    [
        (tp::IN_TILE_X_SIZE, x),
        (tp::IN_TILE_Y_SIZE, y),
        (tp::IN_TILE_X_INC, x),
        (tp::IN_TILE_Y_INC, y),
    ]
}

/// Count and increment of loops from 0 on.
fn loops(loops: &[(i64, i64)]) -> Vec<(Field, i64)> {
    loops
        .iter()
        .enumerate()
        .flat_map(|(i, &(count, inc))| {
            [(*tp::LOOP_COUNTS[i], count), (*tp::LOOP_INCREMENTS[i], inc)]
        })
        .collect()
}

#[test]
fn transpose_and_back() {
    let (h, w, c) = (5, 7, 3);
    let nhwc = pattern(h * w * c);
    let mut planar = vec![0; nhwc.len()];
    for (i, &byte) in nhwc.iter().enumerate() {
        planar[i % c * h * w + i / c] = byte;
    }
    let [h, w, c] = [h, w, c].map(|n| n as i64);
    let zero_points = [(tp::IN_ZERO_POINT, 128), (tp::OUT_ZERO_POINT, 128)];
    let fields = [
        &input(c, w, h)[..],
        &window(c, w),
        &tile(1, w),
        &loops(&[(w, 1), (c, h * w), (h, w)]),
        &zero_points,
    ]
    .concat();
    let npu = Npu::new(Config::default());
    assert_eq!(
        outcome(&npu, &nhwc, nhwc.len(), &fields),
        Ok(planar.clone())
    );
    let fields = [
        &input(h, w * c, 1)[..],
        &window(h, w * c),
        &tile(1, 1),
        &loops(&[(w, c), (1, 0), (h, w * c), (c, 1), (1, h * w * c)]),
        &zero_points,
    ]
    .concat();
    assert_eq!(outcome(&npu, &planar, nhwc.len(), &fields), Ok(nhwc));
}

/// Space to depth for a stride of 2, with one pixel of padding before: the border must come out
/// as the zero point.
#[test]
fn reshuffle() {
    let (w, h, c, pad, zero) = (6i64, 5i64, 2i64, 1i64, 77u8);
    let (ow, oh) = (w / 2 + 1, h / 2 + 1);
    let image = pattern((w * h * c) as usize);
    let mut expected = Vec::new();
    for plane in 0..4 * c {
        for pixel in 0..ow * oh {
            let x = pixel % ow * 2 + plane % 2 - pad;
            let y = pixel / ow * 2 + plane / 2 % 2 - pad;
            let inside = (0..w).contains(&x) && (0..h).contains(&y);
            let at = (plane / 4 * h + y) * w + x;
            expected.push(if inside { image[at as usize] } else { zero });
        }
    }
    let fields = [
        &input(w, h, c)[..],
        &[
            (tp::IN_WINDOW_X_START, -pad),
            (tp::IN_WINDOW_Y_START, -pad),
            (tp::IN_WINDOW_X_END, 2 * ow - 1 - pad),
            (tp::IN_WINDOW_Y_END, 2 * oh - 1 - pad),
            (tp::OUT_LOOP_1_RESET, 1),
            (tp::OUT_LOOP_3_RESET, 1),
            (tp::OUT_LOOP_6_INC, 4 * ow * oh),
            (tp::IN_ZERO_POINT, zero.into()),
            (tp::OUT_ZERO_POINT, zero.into()),
        ],
        &tile(2 * ow, 2 * oh),
        &loops(&[(2, ow * oh), (ow, 1), (2, 2 * ow * oh), (oh, ow)]),
    ]
    .concat();
    let npu = Npu::new(Config::default());
    assert_eq!(outcome(&npu, &image, expected.len(), &fields), Ok(expected));
}

/// Loops that run to the tile's edge, and a table: ReLU of an image wider than a tile.
#[test]
fn relu_by_table() {
    let (x, y, z) = (70i64, 20i64, 2i64);
    let image = pattern((x * y * z) as usize);
    let table: Vec<u32> = (0..1024u32)
        .map(|i| match i {
            0..16 => 0,
            16..496 => 0x8000 + (i - 16) * 0x800,
            496..512 => 0xf_7fff,
            _ => 0x10_0000,
        })
        .collect();
    let npu = npu();
    let memory = FlatMemory::new();
    let output = memory.alloc(image.len()).unwrap().0 as u32;
    let fields = [
        &input(x, y, z)[..],
        &window(x, y),
        &tile(64, 16),
        &loops(&[(1, 0), (0, 1), (0, x), (2, 64), (2, 16 * x)]),
        &[
            (tp::OUT_LOOP_1_RESET, 1),
            (tp::OUT_LOOP_2_RESET, 1),
            (tp::OUT_LOOP_6_INC, x * y),
            (tp::ALU_PWL_ENABLE, 1),
            (tp::ALU_LOAD_PWL_LUT, 1),
            (tp::ALU_LOAD_PWL_LUT_GLOBAL_MEM, 1),
            (tp::ALU_PWL_SIGN_SUPPORT, 1),
            (tp::IN_ZERO_POINT, 100),
            (tp::OUT_ZERO_POINT, 10),
            (tp::IN_IMAGE_BASE_ADDRESS, place(&memory, &image).into()),
            (tp::OUT_IMAGE_BASE_ADDRESS, output.into()),
            (
                tp::ALU_PWL_LUT_ADDRESS,
                place(&memory, &bytes(&table)).into(),
            ),
        ],
    ]
    .concat();
    let words = descriptor(tp::defaults(), &fields);
    let outcome = run(&npu, &memory, state::PS_TP_INST_ADDR, &words);
    assert_eq!(outcome.fault, None);
    let expected: Vec<u8> = image.iter().map(|&b| b.max(100) - 90).collect();
    assert_eq!(read(&memory, output, image.len()), expected);
    let strict = Npu::new(Config::default());
    let refused = run(&strict, &memory, state::PS_TP_INST_ADDR, &words);
    assert!(
        refused
            .fault
            .unwrap()
            .to_string()
            .contains("inferred evidence")
    );
}

#[test]
fn bytes_written_twice_are_a_fault() {
    let fields = [
        &input(4, 1, 1)[..],
        &window(4, 1),
        &tile(4, 1),
        &loops(&[(4, 0), (1, 0), (1, 0)]),
    ]
    .concat();
    let fault = outcome(&npu(), &pattern(4), 4, &fields).unwrap_err();
    assert!(fault.contains("written twice"), "{fault}");
}
