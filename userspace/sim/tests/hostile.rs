//! Whatever a command list says, the model answers with a result or a fault, in bounded time.

mod common;

use common::place;
use common::recipe::{Layer, Places};
use ferrite_hw::Grade;
use ferrite_hw::rk3588::{Block, Command, cna, codes, core, dpu, dpu_rdma};
use ferrite_sim::FlatMemory;
use ferrite_sim::rk3588::{Config, Core, FaultKind, Start};
use proptest::prelude::*;

fn layer(depthwise: bool) -> Layer {
    Layer {
        width: 9,
        height: 7,
        channels: 40,
        kernels: 40,
        kernel: [3, 3],
        stride: [1, 1],
        dilation: [1, 1],
        pad: [1; 4],
        pad_value: 3,
        depthwise,
        ow_op: Some(2),
        truncate: 0,
        requant: Some((20000, 20, 1)),
        multiplier_shift: None,
        channel_cpend: false,
        add: (!depthwise).then_some((1, 16384, 15)),
    }
}

fn places(memory: &FlatMemory) -> Places {
    let alloc = || memory.alloc(1 << 16).unwrap().0 as u32;
    Places {
        input: alloc(),
        weights: alloc(),
        bias: alloc(),
        output: alloc(),
        operand: alloc(),
    }
}

fn run(words: &[u64], memory: &FlatMemory) -> Option<FaultKind> {
    let config = Config {
        evidence: Grade::Inferred,
        ..Config::default()
    };
    let start = Start::task(place(memory, words), words.len());
    Core::new(config).run(memory, start).fault.map(|f| f.kind)
}

/// Values that tend to break things.
fn value() -> impl Strategy<Value = u32> {
    prop_oneof![
        any::<u32>(),
        Just(0),
        Just(u32::MAX),
        (0..32u32).prop_map(|b| 1 << b),
        (0..32u32, 0..64u32).prop_map(|(b, v)| v << b),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, ..ProptestConfig::default() })]

    #[test]
    fn changed_registers_never_panic(
        depthwise in any::<bool>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), value()), 1..4),
        mask in prop_oneof![Just(0x1du32), Just(0x0d), Just(0x18), Just(0x60), any::<u32>()],
    ) {
        let memory = FlatMemory::zeroed();
        let mut words = layer(depthwise).words(places(&memory));
        let body = words.len() - 4;
        for (index, value) in changes {
            let at = index.index(body);
            let command = Command::decode(words[at]);
            words[at] = Command { value, ..command }.encode();
        }
        words[body + 3] = Command::enable(mask).encode();
        run(&words, &memory);
    }

    #[test]
    fn any_words_never_panic(
        words in prop::collection::vec(any::<u64>(), 0..40),
        registers in prop::collection::vec((any::<prop::sample::Index>(), value()), 0..60),
        mask in prop_oneof![Just(0x1du32), Just(0x18), Just(0x60)],
    ) {
        let memory = FlatMemory::zeroed();
        let all: Vec<Command> = [Block::Cna, Block::Core, Block::Dpu, Block::DpuRdma, Block::Ppu, Block::PpuRdma]
            .into_iter()
            .flat_map(|b| b.registers())
            .filter_map(|r| r.write(0))
            .collect();
        let mut list: Vec<u64> = registers
            .iter()
            .map(|(i, value)| Command { value: *value, ..all[i.index(all.len())] }.encode())
            .collect();
        list.extend([Command::marker().encode(), Command::enable(mask).encode()]);
        run(&list, &memory);
        run(&words, &memory);
    }
}

/// One wrong register each, and the fault that it must cause.
#[test]
fn inconsistent_registers_are_named() {
    let memory = FlatMemory::zeroed();
    let good = layer(false).words(places(&memory));
    assert_eq!(run(&good, &memory), None);
    for (register, value, expected) in [
        (cna::DATA_SIZE2, 10, "DATAOUT_WIDTH"),
        (cna::WEIGHT_SIZE1, 1, "WEIGHT_BYTES_PER_KERNEL"),
        (cna::CBUF_CON1, 1, "fewer than a row's entries"),
        (cna::CBUF_CON1, 0x3fff, "DATA_ENTRIES"),
        (cna::CBUF_CON0, 0xbb, "CBUF: all banks needs 22"),
        (cna::CBUF_CON0, 0x20bb & !0xb0 | 0x10, "weight reuse"),
        (cna::CBUF_CON0, 0x101b, "data reuse"),
        (cna::CONV_CON1, 1 << 16, "transposed"),
        (cna::CONV_CON2, 1 << 4, "FEATURE_GRAINS"),
        (cna::DMA_CON1, 37, "LINE_STRIDE"),
        (cna::DMA_CON0, 0, "everybody writes 0x000f000f"),
        (cna::FEATURE_DATA_ADDR, 8, "FEATURE_DATA_ADDR"),
        (cna::DCOMP_CTRL, 1, "compressed"),
        (core::MISC_CFG, 3, "DW_EN"),
        (core::MISC_CFG, 0, "CPEND needs the data sum"),
        (dpu::SURFACE_ADD, 16, "SURF_ADD"),
        (dpu::BS_OW_CFG, 0x7fc, "SIZE_E"),
        (dpu::DATA_CUBE_WIDTH, 9, "WIDTH"),
        (dpu::OUT_CVT_SCALE, 0x8000, "bit 15"),
        (dpu::UNKNOWN_40C4, 1, "only ever written 0"),
        (dpu_rdma::DATA_CUBE_CHANNEL, 31, "DPU_RDMA.CHANNEL"),
        (dpu_rdma::FEATURE_MODE_CFG, 0x7800, "COMB_USE 5"),
        (dpu_rdma::SURF_NOTCH, 0, "SURF_NOTCH"),
        (dpu_rdma::BRDMA_CFG, 0, "BRDMA_CFG"),
        (dpu_rdma::BS_BASE_ADDR, 0xf000_0000, "not mapped"),
    ] {
        let mut words = good.clone();
        let tail = words.split_off(words.len() - 4);
        words.push(register.write(value).unwrap().encode());
        words.extend(tail);
        let fault = run(&words, &memory).map_or("no fault".to_owned(), |f| f.to_string());
        assert!(fault.contains(expected), "{}: {fault}", register.name);
    }
}

/// Errors of the command list itself.
#[test]
fn malformed_lists_are_named() {
    let memory = FlatMemory::zeroed();
    let good = layer(true).words(places(&memory));
    let change = |f: &dyn Fn(&mut Vec<u64>)| {
        let mut words = good.clone();
        f(&mut words);
        run(&words, &memory).map_or("no fault".to_owned(), |f| f.to_string())
    };
    let last = good.len() - 1;
    for (fault, expected) in [
        (change(&|w| w[last - 1] = 0), "no marker"),
        (change(&|w| w[last] = 0), "no enable word"),
        (
            change(&|w| w[last] = Command::enable(0x6d).encode()),
            "no source starts this set",
        ),
        (change(&|w| w[0] = 0x1234 << 48), "no known register"),
        (change(&|w| w[0] = 0x0101_0000_0001_0008), "link registers"),
        (change(&|w| w.push(w[0])), "follows the enable word"),
        (
            change(&|w| w[0] = dpu::S_POINTER.write(1 << 16).unwrap().encode()),
            "read-only",
        ),
    ] {
        assert!(fault.contains(expected), "{fault}");
    }
    let config = Config::default();
    let at = place(&memory, &good);
    for (start, expected) in [
        (Start::task(at + 8, good.len()), "not a multiple of 16"),
        (Start::chain(at, good.len(), 0), "TASK_NUMBER is 0"),
        (Start::chain(at, good.len(), 2), "no link"),
        (
            Start {
                dma_base: 16,
                ..Start::task(at, good.len())
            },
            "hangs",
        ),
        (
            Start {
                amount: 0x1_0000,
                ..Start::task(at, good.len())
            },
            "synchronises",
        ),
        (Start::task(0x10, good.len()), "not mapped"),
    ] {
        let fault = Core::new(config)
            .run(&memory, start)
            .fault
            .unwrap()
            .to_string();
        assert!(fault.contains(expected), "{fault}");
    }
    assert_eq!(codes::S_POINTER_PING_PONG, 0xe);
}
