//! The vendor's own jobs for the A311D, and worked examples of streams.

use super::common::{bytes, place, read, run};
use ferrite_hw::vivante::{Command, field, nn, state, tp};
use ferrite_sim::FlatMemory;
use ferrite_sim::vivante::{Config, FaultKind, Npu};

/// Memory, descriptor words and output address of the vendor's convolution.
fn vendor_nn(block: &[u32]) -> (FlatMemory, [u32; 32], u32) {
    let memory = FlatMemory::new();
    memory
        .map_new(0xdff6_f000, 64)
        .with_mut(0..6, |b| b.fill(0x33));
    memory.map_new(0xdff6_e000, 64);
    let mut stream = vec![0; 32];
    stream[0] = 0x40;
    stream[16..16 + block.len()].copy_from_slice(block);
    let stream = bytes(&stream);
    memory
        .map_new(0xdff4_8000, stream.len())
        .with_mut(0..stream.len(), |b| b.copy_from_slice(&stream));
    let mut words = [0; 32];
    words[..22].copy_from_slice(&[
        0xA010_0048,
        0x0010_00C0,
        0xC800_0000,
        0x0008_0080,
        0x0208_4001,
        0x037F_D200,
        0xDFF6_F000,
        0xDFF6_E000,
        0x0001_2004,
        0,
        0,
        0x0000_0800,
        0x0000_0A00,
        0,
        0x0000_0800,
        0,
        0x0002_0003,
        0x0100_0002,
        0,
        0x03FF_FFFF,
        0,
        0x03FF_FFFF,
    ]);
    (memory, words, 0xdff6_e000)
}

/// The vendor's stream around its descriptor.
#[test]
fn the_vendors_convolution_gives_the_vendors_result() {
    let (memory, words, output) = vendor_nn(&[0xFF00_0100, 0, 0x00FF_FFFF, 0]);
    let descriptor = place(&memory, &field::to_bytes(&words));
    let mut stream = Vec::new();
    for (state, value) in [
        (state::GL_OCB_REMAP_START, 0x0100_0000),
        (state::GL_OCB_REMAP_END, 0x0110_0000),
        (state::GL_NN_CONFIG, 0x10),
        (state::GL_SHADER_INDEX, 0),
        (state::PS_NN_INST_ADDR, descriptor),
        (state::PS_SYNC_ID, 0),
        (state::GL_FLUSH_CACHE, 0xc23),
        (state::GL_FLUSH_CACHE, 0xc23),
    ] {
        Command::load(state, value).encode(&mut stream);
    }
    let outcome = Npu::new(Config::default()).run(&memory, &stream);
    assert_eq!(outcome.fault, None);
    assert_eq!(read(&memory, output, 2), [0x33, 0x33]);
    let counters = outcome.counters;
    assert_eq!(
        (
            counters.nn_jobs,
            counters.coefficient_bytes,
            counters.image_bytes,
            counters.macs
        ),
        (1, 128, 6, 8)
    );
}

/// Section 5.4 (b): two channels, a bias that is corrected for the input's zero point.
#[test]
fn the_raw_example_decodes() {
    let (memory, mut words, output) = vendor_nn(&[0x9000_0100, 0xFFFF_FFCE, 0x0000_007F, 0]);
    for (field, value) in [
        (nn::KERNEL_X_SIZE, 1),
        (nn::KERNEL_Y_SIZE, 1),
        (nn::KERNEL_Z_SIZE, 2),
        (nn::IN_IMAGE_Y_SIZE, 1),
        (nn::IN_IMAGE_Y_STRIDE, 1),
        (nn::COEF_ZERO_POINT, 0x80),
        (nn::POST_MULTIPLIER, 0),
        (nn::POST_SHIFT, 16),
    ] {
        field.set(&mut words, value).unwrap();
    }
    let outcome = run(
        &Npu::new(Config::default()),
        &memory,
        state::PS_NN_INST_ADDR,
        &words,
    );
    assert_eq!(outcome.fault, None);
    // 16 * 51 - 51 - 50 = 715, halved and rounded away from zero, clamped.
    assert_eq!(read(&memory, output, 2), [255, 255]);
    nn::POST_SHIFT.set(&mut words, 18).unwrap();
    run(
        &Npu::new(Config::default()),
        &memory,
        state::PS_NN_INST_ADDR,
        &words,
    );
    // 715 / 8 = 89.4
    assert_eq!(read(&memory, output, 2), [89, 89]);
}

/// Section 5.4 (c): zero runs of 3 bits.
#[test]
fn the_zero_run_example_decodes() {
    let block = [0x0000_0103, 0x0000_003C, 0x0101_6148, 0];
    let (memory, mut words, output) = vendor_nn(&block);
    for (field, value) in [
        (nn::KERNEL_X_SIZE, 3),
        (nn::KERNEL_Y_SIZE, 3),
        (nn::COEF_ZERO_POINT, 0x80),
        (nn::POST_MULTIPLIER, 0),
        (nn::POST_SHIFT, 16),
    ] {
        field.set(&mut words, value).unwrap();
    }
    let outcome = run(
        &Npu::new(Config::default()),
        &memory,
        state::PS_NN_INST_ADDR,
        &words,
    );
    assert_eq!(outcome.fault, None);
    // Column 2 of row 0: 5 * 51 + 7 = 262, halved; of output 1 it is border: 7 / 2 = 3.5.
    assert_eq!(read(&memory, output, 2), [131, 4]);
}

/// The vendor's fully-connected TP job has weights of an unknown format.
#[test]
fn the_vendors_tp_job_is_refused() {
    let memory = FlatMemory::new();
    let mut words = [0; 32];
    words[..31].copy_from_slice(&[
        1,
        0x0002_0001,
        1,
        1,
        0,
        0,
        0xA000_1E1B,
        0,
        0x0001_0001,
        0x0001_0001,
        0x1000,
        0x2000,
        0x8000_0002,
        0x3000,
        0,
        0,
        0x0001_0001,
        0,
        0,
        0x0001_0001,
        1,
        0,
        0x0001_0010,
        0,
        0x0000_240A,
        0,
        0x03FF_FFFF,
        0,
        0x03FF_FFFF,
        0,
        0x0000_8100,
    ]);
    assert_eq!(tp::IN_IMAGE_Z_SIZE.get(&words), 2);
    let outcome = run(
        &Npu::new(Config::default()),
        &memory,
        state::PS_TP_INST_ADDR,
        &words,
    );
    assert_eq!(
        outcome.fault.unwrap().kind,
        FaultKind::NotModelled("fully connected TP jobs")
    );
}
