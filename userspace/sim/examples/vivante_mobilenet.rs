//! How long the Vivante model takes for the convolutions of MobileNetV1 1.0/224, with random
//! data: depthwise layers run as dense ones, as on the chip.
//!
//! `cargo run --release -p ferrite-sim --example vivante_mobilenet`

#[path = "../tests/vivante/common.rs"]
#[allow(dead_code, reason = "shared with the tests")]
mod common;

use common::{Case, descriptor, npu, place, stream};
use ferrite_hw::vivante::{field, nn, state};
use ferrite_sim::FlatMemory;
use std::time::Instant;

/// Depth, size and stride of each depthwise layer, and kernels of the pointwise one behind.
const LAYERS: [(usize, usize, usize, usize); 13] = [
    (32, 112, 1, 64),
    (64, 112, 2, 128),
    (128, 56, 1, 128),
    (128, 56, 2, 256),
    (256, 28, 1, 256),
    (256, 28, 2, 512),
    (512, 14, 1, 512),
    (512, 14, 1, 512),
    (512, 14, 1, 512),
    (512, 14, 1, 512),
    (512, 14, 1, 512),
    (512, 14, 2, 1024),
    (1024, 7, 1, 1024),
];

fn layer(depth: usize, size: usize, kernel: usize, stride: usize, kernels: usize) -> Case {
    let taps = kernel * kernel;
    let dense = |i: usize| ((i * 2_654_435_761) >> 7) as u8;
    let weights = (0..kernels * depth * taps)
        .map(|i| match kernel {
            3 if i / taps / depth != i / taps % depth => 128,
            _ => dense(i),
        })
        .collect();
    Case {
        width: size,
        height: size,
        depth,
        kernels,
        kernel,
        pad: usize::from(kernel == 3 && stride == 1),
        stride,
        out: (size / stride, size / stride),
        at_once: if kernel == 2 { 4 } else { 5 },
        run_bits: if kernel == 3 { 5 } else { 0 },
        relu: true,
        multiplier: 77,
        shift: 26,
        zero_points: [0, 128, 0],
        weights,
        biases: vec![100; kernels],
        input: (0..depth * size * size).map(dense).collect(),
    }
}

fn main() {
    let mut cases = vec![layer(12, 113, 2, 1, 32)];
    cases[0].out = (112, 112);
    for (depth, size, stride, kernels) in LAYERS {
        cases.push(layer(depth, size, 3, stride, depth));
        cases.push(layer(depth, size / stride, 1, 1, kernels));
    }
    cases.push(layer(1024, 1, 1, 1, 1001));
    let memory = FlatMemory::new();
    let jobs: Vec<Vec<u32>> = cases
        .iter()
        .map(|case| {
            let output = memory.alloc(case.out.0 * case.out.1 * case.kernels);
            let mut fields = case.fields(
                place(&memory, &case.input),
                place(&memory, &case.coefficients()),
                output.expect("32 bits of addresses are enough").0 as u32,
            );
            fields.push((nn::KERNEL_CACHING_MODE, 2));
            let words = descriptor(nn::defaults(), &fields);
            let address = place(&memory, &field::to_bytes(&words));
            stream(state::PS_NN_INST_ADDR, address)
        })
        .collect();
    let npu = npu();
    for round in 0..3 {
        let start = Instant::now();
        for job in &jobs {
            let outcome = npu.run(&memory, job);
            assert_eq!(outcome.fault, None);
        }
        println!("round {round}: {:?}", start.elapsed());
    }
    println!("{:#?}", npu.counters());
}
