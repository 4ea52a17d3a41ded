//! Sizes that a driver logged on a board: 20 jobs of SSDLite MobileDet, compiled by Mesa 26.0.8 on a
//! VIM3 (numbers from the log in skandinaff/birdcher, September 2026). Outputs of the first of them,
//! and of job 30 by itself, were right on the chip.

use ferrite_hw::vivante::{Field, nn};
use ferrite_ir::OpId;

use super::coefficients::{Stream, encode};
use super::descriptor;
use crate::executable::Evidence;
use crate::npu::MapId;
use crate::targets::vivante::kernels::{Kernel, Order, Placed};
use crate::targets::vivante::program::{Layer, Multiplier, Side};

/// What a job does. All maps are square.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Of kernels with so many taps along an axis.
    Dense(usize),
    /// 3x3 with a dense kernel.
    Depthwise,
    /// The same, of which every second row and column is kept.
    DepthwiseHalved,
}
use Kind::{Dense, Depthwise, DepthwiseHalved};

/// A job as the log has it.
struct Logged {
    number: u32,
    /// Rows of the map that it reads, input and output channels.
    shape: [usize; 3],
    kind: Kind,
    /// Whether it has a fused RELU6, hence the RELU bit.
    relu: bool,
    run_bits: u32,
    /// Bytes of a core's coefficients.
    block: usize,
    /// On-chip SRAM for coefficients and image.
    caches: [usize; 2],
}

const fn job(
    number: u32,
    shape: [usize; 3],
    kind: Kind,
    relu: bool,
    run_bits: u32,
    block: usize,
    caches: [usize; 2],
) -> Logged {
    Logged {
        number,
        shape,
        kind,
        relu,
        run_bits,
        block,
        caches,
    }
}

/// Job 19 is the twentieth: the log does not say what it reads.
#[rustfmt::skip]
const JOBS: [Logged; 19] = [
    job(2, [160, 12, 32], Dense(2), true, 2, 192, [1536, 0]),
    job(3, [160, 32, 8], Dense(1), true, 0, 64, [512, 0]),
    job(12, [80, 16, 128], Dense(3), true, 0, 2496, [19968, 12800]),
    job(13, [80, 128, 16], Dense(1), false, 0, 320, [2560, 0]),
    job(15, [80, 16, 64], Dense(3), true, 0, 1280, [10240, 12800]),
    job(16, [80, 64, 16], Dense(1), false, 0, 192, [1536, 0]),
    job(20, [40, 128, 40], Dense(1), false, 0, 704, [5632, 0]),
    job(21, [40, 40, 160], Dense(3), true, 0, 7424, [59392, 20480]),
    job(22, [40, 160, 40], Dense(1), false, 0, 896, [7168, 0]),
    job(24, [40, 40, 160], Dense(3), true, 0, 7424, [59392, 20480]),
    job(25, [40, 160, 40], Dense(1), false, 0, 896, [7168, 0]),
    job(30, [40, 40, 320], Dense(1), true, 0, 1984, [15872, 19200]),
    job(31, [40, 320, 320], DepthwiseHalved, true, 5, 7296, [58368, 163840]),
    job(32, [20, 320, 72], Dense(1), false, 0, 3008, [24064, 128000]),
    job(33, [20, 72, 576], Dense(1), true, 0, 5824, [46592, 28800]),
    job(34, [20, 576, 576], Depthwise, true, 5, 20928, [167424, 285696]),
    job(35, [20, 576, 72], Dense(1), false, 0, 5312, [42496, 230400]),
    job(37, [20, 72, 288], Dense(3), true, 0, 23680, [189440, 35712]),
    job(38, [20, 288, 72], Dense(1), false, 0, 2688, [21504, 115200]),
];

impl Logged {
    /// The job with weights that tell their output channel, none of which is a zero point.
    fn layer(&self) -> Layer {
        let [rows, inputs, outputs] = self.shape;
        let (size, depthwise) = match self.kind {
            Dense(size) => (size, false),
            Depthwise | DepthwiseHalved => (3, true),
        };
        let pooled = self.kind == DepthwiseHalved;
        let side = |map, n, z| Side {
            map: MapId::from_u32(map),
            offset: 0,
            x: n,
            y: n,
            z,
        };
        let weight = |output: usize| 1 + (output % 255) as u8;
        let (data, order): (Vec<u8>, _) = if depthwise {
            let order = Order::Depthwise { multiplier: 1 };
            (
                (0..9 * outputs).map(|i| weight(i % outputs)).collect(),
                order,
            )
        } else {
            let each = inputs * size * size;
            let order = Order::Dense {
                group_inputs: inputs,
                group_outputs: outputs,
            };
            (
                (0..each * outputs).map(|i| weight(i / each)).collect(),
                order,
            )
        };
        Layer {
            op: OpId::from_u32(self.number),
            lowering: "conv",
            evidence: Evidence::Silicon,
            input: side(0, rows, inputs),
            output: side(1, if pooled { rows / 2 } else { rows }, outputs),
            pad: [0, 0],
            border: 0,
            pooled,
            kernel: Kernel {
                data: data.into(),
                flip: 0,
                zero: 0,
                order,
                filter: [size, size],
                dilation: [1, 1],
                size,
                inputs,
                outputs,
                first: [0, 0],
                bias: vec![0; outputs],
            },
            multiplier: Multiplier {
                mantissa: 0,
                shift: 24,
            },
            out_zero: 1,
            relu: self.relu,
        }
    }
}

fn stream(layer: &Layer, superblocks: usize) -> Stream {
    let placed = Placed {
        kernel: &layer.kernel,
        plane: layer.output.x * layer.output.y,
    };
    encode(&placed, superblocks, layer.relu_bit())
}

#[test]
fn coefficients_have_the_sizes_and_the_order_of_those_on_the_board() {
    for logged in &JOBS {
        let layer = logged.layer();
        let plan = descriptor::plan(&layer);
        let stream = stream(&layer, plan.superblocks);
        let number = logged.number;
        match logged.kind {
            _ if logged.run_bits == 0 => {
                let found = (stream.run_bits, stream.largest_block);
                assert_eq!(found, (0, logged.block), "job {number}");
            }
            // How many runs there are, the weights decide; only those between channels are known.
            Dense(_) => {}
            Depthwise | DepthwiseHalved => {
                assert_eq!(stream.run_bits, logged.run_bits, "job {number}");
                assert!(stream.largest_block <= logged.block, "job {number}");
            }
        }
        assert_eq!(stream.relu, logged.relu, "job {number}");
        if logged.kind == Dense(1) && logged.shape[2] > 8 {
            // Behind header, head, first weight and bias: the same kernel's second weight, or the
            // second kernel's first.
            let second = if logged.relu { 2 } else { 1 };
            assert_eq!(stream.bytes[64 + 3 + 1 + 4], second, "job {number}");
        }
    }
}

#[test]
fn caches_are_those_on_the_board() {
    for logged in &JOBS {
        let layer = logged.layer();
        let plan = descriptor::plan(&layer);
        let mut stream = stream(&layer, plan.superblocks);
        stream.largest_block = logged.block;
        let words = descriptor::descriptor(&layer, &plan, &stream).expect("fits");
        let get = |field: Field| field.get_u32(&words) as usize;
        let [coefficients, image] = logged.caches;
        let number = logged.number;
        assert_eq!(get(nn::KERNEL_CACHING_MODE), 1, "job {number}");
        let start = get(nn::KERNEL_CACHE_START);
        let end = (start + coefficients).next_multiple_of(128);
        assert_eq!(get(nn::KERNEL_CACHE_END), end.max(0xa00), "job {number}");
        let cached = usize::from(image > 0);
        assert_eq!(get(nn::IMAGE_CACHING_MODE), cached, "job {number}");
        if cached == 1 {
            let window = get(nn::IMAGE_CACHE_START)..get(nn::IMAGE_CACHE_END);
            assert_eq!(window.len(), image, "job {number}");
            assert!(window.start >= end, "job {number}");
        }
    }
}
