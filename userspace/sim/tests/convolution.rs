//! Convolutions against a scalar reference that knows nothing of tiles, panels or vectors.

mod common;

use common::recipe::{Layer, Places};
use common::{place, place_bytes};
use ferrite_hw::Grade;
use ferrite_sim::FlatMemory;
use ferrite_sim::rk3588::{Config, Core, Start};
use proptest::prelude::*;

/// Operands of a layer in logical order.
#[derive(Clone, Debug)]
struct Tensors {
    /// `[y][x][stored channel]`
    input: Vec<i8>,
    /// `[kernel][ky][kx][stored channel]`, depthwise `[ky][kx][channel]`
    weights: Vec<i8>,
    bias: Vec<i32>,
    multiplier: Vec<i16>,
    cpend: Vec<i16>,
    /// `[y][x][written channel]`
    operand: Vec<i8>,
}

fn random_bytes(seed: u64) -> impl FnMut() -> i8 {
    let mut state = seed | 1;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as i8
    }
}

fn tensors(layer: &Layer, seed: u64) -> Tensors {
    let mut byte = random_bytes(seed);
    let mut bytes = |n: u32| (0..n).map(|_| byte()).collect::<Vec<_>>();
    let stored = layer.stored_channels();
    let kernels = if layer.depthwise { 1 } else { layer.kernels };
    let [height, width] = layer.out_size();
    let written = layer.written_channels();
    Tensors {
        input: bytes(layer.height * layer.width * stored),
        weights: bytes(kernels * layer.kernel[0] * layer.kernel[1] * stored),
        bias: bytes(written).iter().map(|&b| i32::from(b) * 77).collect(),
        multiplier: bytes(written)
            .iter()
            .map(|&b| i16::from(b) * 120 + 99)
            .collect(),
        cpend: bytes(written).iter().map(|&b| i16::from(b)).collect(),
        operand: bytes(height * width * written),
    }
}

fn round_shift(value: i64, shift: u32) -> i64 {
    let scale = 1i128 << shift;
    let twice = i128::from(value) * 2 + scale;
    let rounded = twice.div_euclid(2 * scale);
    let tie = twice.rem_euclid(2 * scale) == 0;
    (rounded - i128::from(tie && rounded % 2 != 0)) as i64
}

fn saturate(value: i64) -> i64 {
    value.clamp(i32::MIN.into(), i32::MAX.into())
}

/// What one output must be.
fn expected(layer: &Layer, t: &Tensors, c: u32, y: u32, x: u32) -> i64 {
    let stored = layer.stored_channels();
    let [kh, kw] = layer.kernel;
    let ow_op = match layer.channel_cpend {
        true => i64::from(t.cpend[c as usize]),
        false => i64::from(layer.ow_op.unwrap_or(0)),
    };
    let mut sum = 0;
    for ky in 0..kh {
        for kx in 0..kw {
            let iy =
                i64::from(y * layer.stride[0] + ky * layer.dilation[0]) - i64::from(layer.pad[0]);
            let ix =
                i64::from(x * layer.stride[1] + kx * layer.dilation[1]) - i64::from(layer.pad[2]);
            let inside = (0..i64::from(layer.height)).contains(&iy)
                && (0..i64::from(layer.width)).contains(&ix);
            let channels = if layer.depthwise { c..c + 1 } else { 0..stored };
            for ic in channels {
                let value = if inside {
                    let at = (iy as u32 * layer.width + ix as u32) * stored + ic;
                    t.input[at as usize]
                } else {
                    layer.pad_value
                };
                let tap = ky * kw + kx;
                let at = if layer.depthwise {
                    tap * stored + c
                } else {
                    (c * kh * kw + tap) * stored + ic
                };
                sum += (i64::from(t.weights[at as usize]) + ow_op) * i64::from(value);
            }
        }
    }
    let mut value = round_shift(sum, layer.truncate);
    value = saturate(value + i64::from(t.bias[c as usize]));
    if let Some(shift) = layer.multiplier_shift {
        let product = value * i64::from(t.multiplier[c as usize]);
        value = saturate(round_shift(product, shift));
    }
    if let Some((offset, scale, shift)) = layer.add {
        let [_, width] = layer.out_size();
        let at = (y * width + x) * layer.written_channels() + c;
        let operand = i64::from(t.operand[at as usize]) + i64::from(offset);
        value = saturate(value + round_shift(operand * i64::from(scale), shift));
    }
    match layer.requant {
        Some((scale, shift, offset)) => {
            let scaled = round_shift(value * i64::from(scale), shift);
            (scaled + i64::from(offset)).clamp(-128, 127)
        }
        None => value,
    }
}

/// `[y][x][channels]` to a cube of int8.
fn cube(values: &[i8], pixels: u32, channels: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    for surface in 0..channels / 16 {
        for pixel in 0..pixels {
            let at = (pixel * channels + surface * 16) as usize;
            bytes.extend(values[at..at + 16].iter().map(|&v| v as u8));
        }
    }
    bytes
}

fn packed_weights(layer: &Layer, weights: &[i8]) -> Vec<u8> {
    let stored = layer.stored_channels();
    let taps = layer.kernel[0] * layer.kernel[1];
    let mut bytes = Vec::new();
    let (kernel_step, channel_step) = if layer.depthwise { (1, 64) } else { (32, 32) };
    let kernels = if layer.depthwise { 1 } else { layer.kernels };
    for group in (0..kernels).step_by(kernel_step) {
        for block in (0..stored).step_by(channel_step) {
            for tap in 0..taps {
                for kernel in group..kernels.min(group + kernel_step as u32) {
                    for channel in block..stored.min(block + channel_step as u32) {
                        let at = (kernel * taps + tap) * stored + channel;
                        bytes.push(weights[at as usize] as u8);
                    }
                }
            }
        }
    }
    bytes
}

fn channel_operands(layer: &Layer, t: &Tensors) -> Vec<u8> {
    let mut bytes = Vec::new();
    for group in (0..layer.written_channels() as usize).step_by(8) {
        bytes.extend(
            t.bias[group..group + 8]
                .iter()
                .flat_map(|b| b.to_le_bytes()),
        );
        if layer.channel_cpend {
            let cpend = &t.cpend[group..group + 8];
            bytes.extend(cpend.iter().flat_map(|b| b.to_le_bytes()));
        }
        if layer.multiplier_shift.is_some() {
            bytes.extend(
                t.multiplier[group..group + 8]
                    .iter()
                    .flat_map(|b| b.to_le_bytes()),
            );
        }
    }
    bytes
}

/// Places an operand of which only the surfaces with real channels are written: what lies in the others
/// must not matter.
fn place_operand(memory: &FlatMemory, layer: &Layer, operand: &[u8]) -> u32 {
    let [height, width] = layer.out_size();
    let real = (16 * width * height * layer.outputs().div_ceil(16)) as usize;
    let (address, buffer) = memory.alloc(operand.len()).unwrap();
    buffer.with_mut(0..real, |bytes| {
        bytes.copy_from_slice(&operand[..real]);
    });
    address as u32
}

/// Runs the layer, as one task or in tiles, and compares every output.
fn check(layer: &Layer, seed: u64, tiled: bool) -> Result<(), TestCaseError> {
    let t = tensors(layer, seed);
    let memory = FlatMemory::new();
    let [height, width] = layer.out_size();
    let written = layer.written_channels();
    let element = if layer.requant.is_some() { 1 } else { 4 };
    let out_bytes = (height * width * written * element) as usize;
    let (output, buffer) = memory.alloc(out_bytes).unwrap();
    let places = Places {
        input: place_bytes(
            &memory,
            &cube(
                &t.input,
                layer.width * layer.height,
                layer.stored_channels(),
            ),
        ),
        weights: place_bytes(&memory, &packed_weights(layer, &t.weights)),
        bias: place_bytes(&memory, &channel_operands(layer, &t)),
        output: output as u32,
        operand: place_operand(&memory, layer, &cube(&t.operand, width * height, written)),
    };
    let lists = if tiled {
        layer.tiles(places)
    } else {
        vec![layer.words(places)]
    };
    let mut core = Core::new(Config {
        // Operands per channel are proven with all three kinds interleaved.
        evidence: match layer.multiplier_shift.is_some() && !layer.channel_cpend {
            true => Grade::Sibling,
            false => Grade::Silicon,
        },
        ..Config::default()
    });
    for words in &lists {
        let start = Start::task(place(&memory, words), words.len());
        let outcome = core.run(&memory, start);
        prop_assert_eq!(outcome.fault, None, "{:?}", layer);
    }
    prop_assert_eq!(core.counters().output_bytes, out_bytes as u64);
    let got = buffer.with(<[u8]>::to_vec);
    let per_atom = 16 / element;
    for c in 0..written {
        for y in 0..height {
            for x in 0..width {
                let atom = (c / per_atom * height + y) * width + x;
                let at = (atom * 16 + c % per_atom * element) as usize;
                let value = if element == 1 {
                    i64::from(got[at] as i8)
                } else {
                    i64::from(i32::from_le_bytes(got[at..at + 4].try_into().unwrap()))
                };
                let want = if c < layer.outputs() {
                    expected(layer, &t, c, y, x)
                } else {
                    0
                };
                prop_assert_eq!(value, want, "channel {} at {},{} of {:?}", c, y, x, layer);
            }
        }
    }
    Ok(())
}

fn layers(depthwise: bool) -> impl Strategy<Value = Layer> {
    let shape = (1..12u32, 1..12u32, 1..100u32, 1..80u32);
    let window = ([1..5u32, 1..5u32], [1..4u32, 1..4u32], [1..3u32, 1..3u32]);
    let rest = (
        [0..3u32, 0..3u32, 0..3u32, 0..3u32],
        any::<i8>(),
        proptest::option::of(-128..128i16),
        0..3u32,
        proptest::option::of((0x4000..0x8000u16, 14..24u32, -128..128i32)),
        proptest::option::of((0..21u32, any::<bool>())),
        proptest::option::of((-128..128i32, 0x4000..0x7fffi16, 6..20u32)),
    );
    (shape, window, rest).prop_filter_map(
        "the kernel must fit the padded input",
        move |((width, height, channels, kernels), (kernel, stride, dilation), rest)| {
            let (pad, pad_value, ow_op, truncate, requant, multiplier, add) = rest;
            let extent = [0, 1].map(|i| (kernel[i] - 1) * dilation[i] + 1);
            // Padding as frameworks make it: less than the kernel on each side.
            let pad = std::array::from_fn(|i| pad[i].min(extent[i / 2] - 1));
            let fits =
                height + pad[0] + pad[1] >= extent[0] && width + pad[2] + pad[3] >= extent[1];
            let layer = Layer {
                width,
                height,
                channels,
                kernels,
                kernel,
                stride,
                dilation,
                pad,
                pad_value,
                depthwise,
                ow_op,
                truncate,
                requant: requant.or(depthwise.then_some((20000, 16, 3))),
                multiplier_shift: multiplier.map(|(shift, _)| shift),
                channel_cpend: multiplier.is_some_and(|(_, cpend)| cpend),
                add: add.filter(|_| !depthwise && requant.is_some()),
            };
            let [out_height, out_width] = if fits { layer.out_size() } else { [0, 0] };
            // The last window must touch the input.
            let touches = fits
                && (out_height - 1) * stride[0] < height + pad[0]
                && (out_width - 1) * stride[1] < width + pad[2];
            touches.then_some(layer)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn direct_convolution_is_exact(layer in layers(false), seed in any::<u64>(), tiled in any::<bool>()) {
        check(&layer, seed, tiled)?;
    }

    #[test]
    fn depthwise_convolution_is_exact(layer in layers(true), seed in any::<u64>(), tiled in any::<bool>()) {
        check(&layer, seed, tiled)?;
    }
}

/// Large enough for several tiles, threads and kernel groups.
#[test]
fn tiles_of_a_large_layer_meet() {
    for depthwise in [false, true] {
        let layer = Layer {
            width: 56,
            height: 60,
            channels: 144,
            kernels: 40,
            kernel: [3, 3],
            stride: [2, 1],
            dilation: [1, 1],
            pad: [1, 1, 1, 1],
            pad_value: 5,
            depthwise,
            ow_op: Some(-9),
            truncate: 0,
            requant: Some((17675, 22, -3)),
            multiplier_shift: None,
            channel_cpend: false,
            add: None,
        };
        assert!(layer.tiles(Places::default()).len() > 1);
        check(&layer, 7, true).unwrap();
    }
}
