//! How long the model takes for the convolutions of MobileNetV1 1.0/224 (569 million MACs).
//!
//! `cargo run --release -p ferrite-sim --example mobilenet`

#[path = "../tests/common/recipe.rs"]
mod recipe;

use ferrite_sim::FlatMemory;
use ferrite_sim::rk3588::{Config, Counters, Simulator, Start};
use recipe::{Layer, Places};
use std::time::{Duration, Instant};

fn layers() -> Vec<Layer> {
    let layer = |size, channels, kernels, kernel: u32, stride: u32, depthwise| {
        let total = kernel - stride.min(kernel);
        let (top, left) = (total / 2, total / 2);
        Layer {
            width: size,
            height: size,
            channels,
            kernels,
            kernel: [kernel; 2],
            stride: [stride; 2],
            dilation: [1; 2],
            pad: [top, total - top, left, total - left],
            pad_value: -128,
            depthwise,
            ow_op: Some(7),
            truncate: 0,
            requant: Some((22859, 20, -128)),
            multiplier_shift: None,
            channel_cpend: false,
            add: None,
        }
    };
    let mut all = vec![layer(224, 3, 32, 3, 2, false)];
    let (mut size, mut channels) = (112, 32);
    for (kernels, stride) in [
        (64, 1),
        (128, 2),
        (128, 1),
        (256, 2),
        (256, 1),
        (512, 2),
        (512, 1),
        (512, 1),
        (512, 1),
        (512, 1),
        (512, 1),
        (1024, 2),
        (1024, 1),
    ] {
        all.push(layer(size, channels, channels, 3, stride, true));
        size /= stride;
        all.push(layer(size, channels, kernels, 1, 1, false));
        channels = kernels;
    }
    all.push(layer(1, channels, 1001, 1, 1, false));
    all
}

fn main() {
    let memory = FlatMemory::zeroed();
    let mut kicks = Vec::new();
    let mut seed = 1u32;
    let mut filled = |len: usize| {
        let (address, buffer) = memory.alloc(len).expect("address space");
        buffer.with_mut(0..len, |bytes| {
            for b in bytes {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                *b = (seed >> 24) as u8;
            }
        });
        address as u32
    };
    for layer in layers() {
        let [out_height, out_width] = layer.out_size();
        let places = Places {
            input: filled((layer.width * layer.height * layer.stored_channels()) as usize),
            weights: filled(
                (layer.kernel[0] * layer.kernel[1] * layer.stored_channels() * layer.kernels)
                    as usize,
            ),
            bias: filled(layer.written_channels() as usize * 4),
            output: filled((out_height * out_width * layer.written_channels()) as usize),
            operand: 0,
        };
        let mut starts = Vec::new();
        for words in layer.tiles(places) {
            let mut bytes: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
            bytes.resize(bytes.len().next_multiple_of(16), 0);
            let (address, buffer) = memory.alloc(bytes.len()).expect("address space");
            buffer.with_mut(0..bytes.len(), |b| b.copy_from_slice(&bytes));
            starts.push(Start::task(address as u32, words.len()));
        }
        kicks.push((layer, starts));
    }
    let simulator = Simulator::new(1, Config::default());
    let mut best: Vec<Duration> = vec![Duration::MAX; kicks.len()];
    let mut totals = Vec::new();
    let mut once = Counters::default();
    for _ in 0..15 {
        let before = simulator.counters();
        let begin = Instant::now();
        for ((_, starts), best) in kicks.iter().zip(&mut best) {
            let begin = Instant::now();
            for outcome in simulator.run(&memory, starts) {
                assert_eq!(outcome.fault, None);
            }
            *best = (*best).min(begin.elapsed());
        }
        totals.push(begin.elapsed());
        once = simulator.counters();
        once.macs -= before.macs;
        once.estimated_ns -= before.estimated_ns;
    }
    for ((layer, starts), best) in kicks.iter().zip(&best) {
        println!(
            "{:4}x{:<4} {:4} -> {:4} k{} s{}{} {:2} tasks {:8.3} ms",
            layer.width,
            layer.height,
            layer.channels,
            layer.kernels,
            layer.kernel[0],
            layer.stride[0],
            if layer.depthwise { " dw" } else { "   " },
            starts.len(),
            best.as_secs_f64() * 1e3
        );
    }
    totals.sort();
    println!(
        "{} MACs: best {:.2} ms, median {:.2} ms ({} threads); estimate for the chip {:.2} ms",
        once.macs,
        totals[0].as_secs_f64() * 1e3,
        totals[totals.len() / 2].as_secs_f64() * 1e3,
        std::thread::available_parallelism().map_or(1, usize::from),
        once.estimated_ns as f64 / 1e6
    );
}
