//! How exact operators are against the hardware's arithmetic in exact integers: an exact sum, one
//! rounding to nearest. Inputs are noise, which meets everything that a result can be.

mod support;

use ferrite_compiler::{Evidence, Options, Placement, Target, compile};
use ferrite_hw::Grade;
use ferrite_ir::op::{Activation, Binary, ConvParams, Hw, OpKind, Padding, PoolParams};
use ferrite_ir::{DType, Graph, Node, OpId, Quant, Tensor, TensorId};
use ferrite_runtime::cpu::Value;

/// Share of the results that must be exact.
const BOUND: f64 = 0.999;

struct Noise(u64);

impl Noise {
    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count)
            .map(|_| {
                self.0 ^= self.0 >> 12;
                self.0 ^= self.0 << 25;
                self.0 ^= self.0 >> 27;
                (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 56) as u8
            })
            .collect()
    }
}

fn tensor(shape: &[usize], scale: f32, zero: i32, data: Option<Vec<u8>>) -> Tensor {
    Tensor {
        name: String::new(),
        shape: shape.into(),
        dtype: DType::U8,
        quant: Some(Quant::per_tensor(scale, zero)),
        data: data.map(Into::into),
        variable: false,
    }
}

fn graph(tensors: Vec<Tensor>, kind: OpKind, inputs: usize) -> Graph {
    let ids: Vec<TensorId> = (0..tensors.len() as u32).map(TensorId::from_u32).collect();
    let output = ids[ids.len() - 1];
    let node = Node {
        kind,
        inputs: ids[..ids.len() - 1].iter().copied().map(Some).collect(),
        outputs: [output].into_iter().collect(),
    };
    Graph::new(
        "one operator",
        tensors.into(),
        vec![node].into(),
        ids[..inputs].to_vec(),
        vec![output],
    )
}

/// Share of the results that equal `expected`, which gives real values of steps above zero point.
fn exact(graph: &Graph, inputs: &[Vec<u8>], expected: impl Fn(usize) -> f64) -> f64 {
    let executable = compile(graph, &Options::new(Target::Rk3588)).expect("compiles");
    assert!(
        matches!(
            executable.placements[OpId::from_u32(0)],
            Placement::Npu {
                evidence: Evidence::Silicon,
                ..
            }
        ),
        "{:?}",
        executable.placements
    );
    let values: Vec<Value> = graph
        .inputs
        .iter()
        .zip(inputs)
        .map(|(&id, bytes)| {
            Value::from_bytes(DType::U8, graph.tensor(id).shape.to_vec(), bytes).expect("fits")
        })
        .collect();
    let found = support::run(graph, &executable, Grade::Silicon, &values).expect("no fault");
    let output = graph.outputs[0];
    let zero = graph
        .tensor(output)
        .quant
        .as_ref()
        .expect("quantised")
        .zero_points[0];
    let bytes = found[&output].bytes();
    let mut equal = 0;
    for (at, &byte) in bytes.iter().enumerate() {
        let value = (expected(at).round_ties_even() as i32 + zero).clamp(0, 255);
        let difference = (i32::from(byte) - value).abs();
        assert!(difference <= 1, "element {at}: {byte} instead of {value}");
        equal += usize::from(difference == 0);
    }
    equal as f64 / bytes.len() as f64
}

/// A convolution of `channels` to `outputs` channels with the given ratio of scales.
fn convolution(side: usize, channels: usize, outputs: usize, kernel: usize, factor: f64) -> f64 {
    let mut noise = Noise(1 + (side * channels * outputs * kernel) as u64);
    let (filter_zero, input_zero) = (117, 3);
    let data = noise.bytes(side * side * channels);
    let weights = noise.bytes(outputs * kernel * kernel * channels);
    let bias: Vec<i32> = noise
        .bytes(outputs)
        .iter()
        .map(|&b| 37 * i32::from(b))
        .collect();
    let (x, w) = (0.031_f32, 0.0067_f32);
    let y = (f64::from(x) * f64::from(w) / factor) as f32;
    let real = f64::from(x) * f64::from(w) / f64::from(y);
    let out = side + 1 - kernel;
    let mut biases = tensor(&[outputs], x * w, 0, None);
    biases.dtype = DType::I32;
    biases.data = Some(bias.iter().flat_map(|b| b.to_le_bytes()).collect());
    let one = Hw { h: 1, w: 1 };
    let params = ConvParams {
        padding: Padding::Valid,
        stride: one,
        dilation: one,
        activation: Activation::None,
    };
    let graph = graph(
        vec![
            tensor(&[1, side, side, channels], x, input_zero, None),
            tensor(
                &[outputs, kernel, kernel, channels],
                w,
                filter_zero,
                Some(weights.clone()),
            ),
            biases,
            tensor(&[1, out, out, outputs], y, 128, None),
        ],
        OpKind::Conv2d(params),
        1,
    );
    exact(&graph, std::slice::from_ref(&data), |at| {
        let (pixel, oc) = (at / outputs, at % outputs);
        let (oy, ox) = (pixel / out, pixel % out);
        let mut sum = i64::from(bias[oc]);
        for ky in 0..kernel {
            for kx in 0..kernel {
                let pixels = &data[((oy + ky) * side + ox + kx) * channels..][..channels];
                let taps = &weights[((oc * kernel + ky) * kernel + kx) * channels..][..channels];
                for (&d, &t) in pixels.iter().zip(taps) {
                    let (d, t) = (i64::from(d), i64::from(t));
                    sum += (d - i64::from(input_zero)) * (t - i64::from(filter_zero));
                }
            }
        }
        sum as f64 * real
    })
}

#[test]
fn convolutions_are_exact() {
    for (side, channels, outputs, kernel) in [(12, 16, 96, 1), (9, 40, 64, 3), (6, 300, 128, 1)] {
        for factor in [0.000_731, 0.002_9, 0.000_250_1] {
            let share = convolution(side, channels, outputs, kernel, factor);
            println!(
                "{kernel}x{kernel}x{channels} * {factor}: {:.4} %",
                100.0 * share
            );
            assert!(
                share >= BOUND,
                "{kernel}x{kernel}x{channels} * {factor}: {share}"
            );
        }
    }
}

#[test]
fn sums_are_exact() {
    for (a, b, y) in [
        (0.1_f32, 0.1_f32, 0.17_f32),
        (0.244_231, 0.013_37, 0.25),
        (0.021, 0.3, 0.31),
        (0.050_1, 0.072_3, 0.088),
    ] {
        for op in [Binary::Add, Binary::Sub] {
            let shape = [1, 32, 32, 64];
            let graph = graph(
                vec![
                    tensor(&shape, a, 101, None),
                    tensor(&shape, b, 140, None),
                    tensor(&shape, y, 128, None),
                ],
                OpKind::Binary {
                    op,
                    activation: Activation::None,
                },
                2,
            );
            let mut noise = Noise(99);
            let (first, second) = (noise.bytes(65_536), noise.bytes(65_536));
            let sign = if op == Binary::Sub { -1.0 } else { 1.0 };
            let share = exact(&graph, &[first.clone(), second.clone()], |at| {
                let (p, q) = (f64::from(first[at]) - 101.0, f64::from(second[at]) - 140.0);
                (p * f64::from(a) + sign * q * f64::from(b)) / f64::from(y)
            });
            println!("{op:?} of {a} and {b} in {y}: {:.4} %", 100.0 * share);
            assert!(share >= BOUND, "{op:?} of {a} and {b} in {y}: {share}");
        }
    }
}

/// Averages of whole maps, also of those that are larger than a kernel and take two steps, which
/// round twice.
#[test]
fn averages_of_maps_are_within_a_step() {
    for (side, bound) in [(7, BOUND), (31, BOUND), (33, 0.5)] {
        let channels = 96;
        let one = Hw { h: 1, w: 1 };
        let params = PoolParams {
            padding: Padding::Valid,
            stride: one,
            window: Hw { h: side, w: side },
            activation: Activation::None,
        };
        let graph = graph(
            vec![
                tensor(&[1, side, side, channels], 0.04, 149, None),
                tensor(&[1, 1, 1, channels], 0.04, 149, None),
            ],
            OpKind::AveragePool2d(params),
            1,
        );
        let data = Noise(7).bytes(side * side * channels);
        let share = exact(&graph, std::slice::from_ref(&data), |channel| {
            let sum: f64 = data
                .iter()
                .skip(channel)
                .step_by(channels)
                .map(|&b| f64::from(b))
                .sum();
            // Ties go up.
            (sum / (side * side) as f64 + 1e-9).round() - 149.0
        });
        println!("{side}x{side}: {:.4} %", 100.0 * share);
        assert!(share >= bound, "{side}x{side}: {share}");
    }
}
