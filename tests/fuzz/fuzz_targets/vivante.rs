//! Any coefficient stream, descriptor and command stream is a result or a fault of the A311D's
//! model, in bounded time and memory; a stream that it takes has the bytes that its header says.
#![no_main]

use ferrite_hw::Grade;
use ferrite_hw::vivante::{Command, field, nn, state};
use ferrite_sim::vivante::{Config, Npu};
use ferrite_sim::{FlatMemory, Memory};
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

static NPU: LazyLock<Npu> = LazyLock::new(|| {
    Npu::new(Config {
        evidence: Grade::Inferred,
        ..Config::default()
    })
});

/// Geometry of the job, damage to its descriptor, and what is left.
struct Input<'a> {
    kernel: i64,
    inputs: i64,
    outputs: i64,
    width: i64,
    height: i64,
    zero: i64,
    at_once: i64,
    flips: &'a [[u8; 2]],
    rest: &'a [u8],
}

fn split(data: &[u8]) -> Option<Input<'_>> {
    let (&[a, b, c, d, e], data) = data.split_first_chunk()?;
    let (flips, rest) = data.split_at_checked(2 * usize::from(e >> 6))?;
    Some(Input {
        kernel: i64::from(a % 6) + 1,
        inputs: i64::from(b % 16) + 1,
        outputs: i64::from(c % 40) + 1,
        width: i64::from(d & 15) + 1,
        height: i64::from(d >> 4) + 1,
        zero: i64::from(b) ^ 0x80,
        at_once: i64::from(e & 7) + 1,
        flips: flips.as_chunks().0,
        rest,
    })
}

/// Header and blocks: each block's size is asked of the bytes, and its kernels are as many as they
/// should be, so that most streams get as far as their symbols.
fn coefficients(input: &Input) -> Vec<u8> {
    let cores = input.outputs.min(8) as usize;
    let per_core = (input.outputs as usize).div_ceil(cores) as u16;
    let (sizes, mut rest) = input.rest.split_at(cores.min(input.rest.len()));
    let mut stream = vec![0; 64];
    for core in 0..cores {
        let size = sizes.get(core).copied().unwrap_or(1);
        let len = 64 * usize::from(size & 0x1f);
        let odd = u32::from(size >> 5 == 7);
        stream[4 * core..4 * core + 4].copy_from_slice(&(len as u32 + odd).to_le_bytes());
        let (given, left) = rest.split_at(len.min(rest.len()));
        rest = left;
        let start = stream.len();
        stream.extend_from_slice(given);
        stream.resize(start + len, 0);
        if let Some(count) = stream.get_mut(start + 1..start + 3)
            && size >> 5 != 6
        {
            count.copy_from_slice(&per_core.to_le_bytes());
        }
    }
    stream
}

fn place(memory: &FlatMemory, bytes: &[u8]) -> u32 {
    let (address, buffer) = memory.alloc(bytes.len().max(1)).expect("room");
    buffer.with_mut(0..bytes.len(), |b| b.copy_from_slice(bytes));
    address as u32
}

fuzz_target!(|data: &[u8]| {
    let Some(input) = split(data) else { return };
    let memory = FlatMemory::new();
    let pixels = (input.width * input.height) as usize;
    let image = place(&memory, &vec![3; pixels * input.inputs as usize]);
    let output = place(&memory, &vec![0; pixels * (input.outputs as usize + 8)]);
    let stream = coefficients(&input);
    let mut words = nn::defaults();
    let tile_y = input.height.min(13 - input.kernel);
    for (field, value) in [
        (nn::KERNEL_X_SIZE, input.kernel),
        (nn::KERNEL_Y_SIZE, input.kernel),
        (nn::KERNEL_Z_SIZE, input.inputs),
        (nn::KERNELS_PER_CORE, input.at_once),
        (nn::POOLING_XY_SIZE, 1),
        (nn::IN_IMAGE_X_SIZE, input.width),
        (nn::IN_IMAGE_Y_SIZE, input.height),
        (nn::IN_IMAGE_X_STRIDE, input.width),
        (nn::IN_IMAGE_Y_STRIDE, input.height),
        (nn::OUT_IMAGE_X_SIZE, input.width),
        (nn::OUT_IMAGE_Y_SIZE, input.height),
        (nn::OUT_IMAGE_Z_SIZE, input.outputs),
        (nn::OUT_IMAGE_X_STRIDE, input.width),
        (nn::OUT_IMAGE_Y_STRIDE, input.height),
        (nn::OUT_IMAGE_TILE_X_SIZE, input.width),
        (nn::OUT_IMAGE_TILE_Y_SIZE, tile_y),
        (nn::POST_SHIFT, 24),
        (nn::COEF_ZERO_POINT, input.zero),
        (nn::KERNEL_CACHING_MODE, 1),
        (nn::KERNEL_CACHE_START, 0x800),
        (nn::KERNEL_CACHE_END, 0x8_0000),
        (nn::IMAGE_CACHE_END, 0x800),
        (nn::KERNEL_ADDRESS, place(&memory, &stream).into()),
        (nn::IN_IMAGE_ADDRESS, image.into()),
        (nn::OUT_IMAGE_ADDRESS, output.into()),
    ] {
        field.set(&mut words, value).expect("in range");
    }
    for &[low, high] in input.flips {
        let bit = usize::from(u16::from_le_bytes([low, high])) % (32 * 32);
        words[bit / 32] ^= 1 << (bit % 32);
    }
    let descriptor = place(&memory, &field::to_bytes(&words));
    let mut commands = Vec::new();
    for (state, value) in [
        (state::GL_OCB_REMAP_START, 0),
        (state::GL_OCB_REMAP_END, 0),
        (state::GL_NN_CONFIG, 0x10),
        (state::PS_NN_INST_ADDR, descriptor),
        (state::PS_SYNC_ID, 0),
        (state::GL_FLUSH_CACHE, 0xc23),
        (state::GL_FLUSH_CACHE, 0xc23),
    ] {
        Command::load(state, value).encode(&mut commands);
    }
    let outcome = NPU.run(&memory, &commands);
    if outcome.fault.is_none() {
        assert_eq!(outcome.jobs, 1);
        if input.flips.is_empty() {
            assert_eq!(outcome.counters.coefficient_bytes, stream.len() as u64);
        }
    }
    // The bytes as commands of their own, and as a descriptor of either unit.
    let raw: Vec<u32> = input
        .rest
        .as_chunks()
        .0
        .iter()
        .map(|b| u32::from_le_bytes(*b))
        .collect();
    NPU.run(&memory, &raw);
    let mut copy = [0; 128];
    let len = input.rest.len().min(128);
    copy[..len].copy_from_slice(&input.rest[..len]);
    let other = place(&memory, &copy);
    for unit in [state::PS_NN_INST_ADDR, state::PS_TP_INST_ADDR] {
        let mut commands = Vec::new();
        Command::load(state::GL_NN_CONFIG, 0x10).encode(&mut commands);
        Command::load(unit, other).encode(&mut commands);
        NPU.run(&memory, &commands);
    }
    let mut first = [0];
    memory
        .read(output.into(), &mut first)
        .expect("still mapped");
});
