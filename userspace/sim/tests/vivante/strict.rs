//! What the model refuses.

use super::common::{Case, bytes, npu, place, run, stream};
use ferrite_hw::vivante::{Command, field, nn, state};
use ferrite_sim::FlatMemory;
use ferrite_sim::vivante::{Config, FaultKind, Npu};
use proptest::prelude::*;

fn small() -> Case {
    Case {
        width: 4,
        height: 4,
        depth: 2,
        kernels: 3,
        kernel: 3,
        pad: 1,
        stride: 1,
        out: (4, 4),
        at_once: 1,
        run_bits: 2,
        relu: true,
        multiplier: 5,
        shift: 20,
        zero_points: [1, 2, 3],
        weights: (0..54).collect(),
        biases: vec![1, 2, 3],
        input: (0..32).collect(),
    }
}

/// Mesa's matrix of shapes, which passes on the chip, has a scale of 1.3; nobody has one of 2.
#[test]
fn scales_of_2_and_more_are_beyond_the_evidence() {
    let npu = Npu::new(Config::default());
    let with_shift = |shift| Case { shift, ..small() };
    assert_eq!(with_shift(15).run(&npu), Ok(with_shift(15).reference()));
    let fault = with_shift(14).run(&npu).expect_err("2.0003");
    assert!(fault.contains("an NN scale of 2 or more"), "{fault}");
}

/// Memory with a working job, and its stream.
fn job() -> (FlatMemory, Vec<u32>, u32) {
    let case = small();
    let memory = FlatMemory::new();
    let output = memory.alloc(48).unwrap().0 as u32;
    let fields = case.fields(
        place(&memory, &case.input),
        place(&memory, &case.coefficients()),
        output,
    );
    let words = super::common::descriptor(nn::defaults(), &fields);
    let address = place(&memory, &field::to_bytes(&words));
    (memory, stream(state::PS_NN_INST_ADDR, address), address)
}

fn loads(list: &[(u32, u32)]) -> Vec<u32> {
    let mut words = Vec::new();
    for &(state, value) in list {
        Command::load(state, value).encode(&mut words);
    }
    words
}

#[test]
fn streams_that_would_fail_on_the_chip_are_refused() {
    let (memory, good, descriptor) = job();
    let npu = Npu::new(Config::default());
    assert_eq!(npu.run(&memory, &good).fault, None);
    let inst = (state::PS_NN_INST_ADDR, descriptor);
    let config = (state::GL_NN_CONFIG, 0x10);
    let sync = (state::PS_SYNC_ID, 0);
    let flush = (state::GL_FLUSH_CACHE, 0xc23);
    for (why, words) in [
        ("without the flush", loads(&[config, inst, sync])),
        ("not synchronised", loads(&[config, inst, flush])),
        ("hang a core", loads(&[(state::GL_NN_CONFIG, 0x110)])),
        ("no known user loads", loads(&[(0x2000, 0)])),
        ("kernel driver", loads(&[(state::GL_EVENT, 0x41)])),
        ("ring", vec![0x1000_0000, 0]),
        ("ends within", vec![0x0803_0001, 0]),
        ("NN configuration", loads(&[inst, sync, flush])),
        ("waits for ever", vec![0x4800_0000, 0x701]),
        ("bit 5", loads(&[config, (inst.0, descriptor | 0x20)])),
    ] {
        let fault = npu.run(&memory, &words).fault.expect(why).to_string();
        assert!(fault.contains(why), "{fault}");
    }
    assert_eq!(npu.counters().faults, 10);
}

#[test]
fn each_unknown_descriptor_bit_is_refused() {
    let case = small();
    let memory = FlatMemory::new();
    let output = memory.alloc(48).unwrap().0 as u32;
    let fields = case.fields(
        place(&memory, &case.input),
        place(&memory, &case.coefficients()),
        output,
    );
    let good = super::common::descriptor(nn::defaults(), &fields);
    for word in 0..32 {
        for bit in 0..32 {
            let mut only = [0; 32];
            only[word] = 1 << bit;
            if field::reserved(nn::FIELDS, &only) == only {
                let mut bad = good;
                bad[word] |= 1 << bit;
                let outcome = run(&npu(), &memory, state::PS_NN_INST_ADDR, &bad);
                let expected = FaultKind::Reserved {
                    word,
                    bits: 1 << bit,
                };
                assert_eq!(outcome.fault.unwrap().kind, expected);
            }
        }
    }
}

/// 1x1 kernels, three to a core. With a channel behind the last six, the places of the outputs would
/// be where they are in the other order.
fn pointwise(relu: bool, run_bits: u32) -> Case {
    Case {
        depth: 14,
        kernels: 24,
        kernel: 1,
        pad: 0,
        at_once: 2,
        run_bits,
        relu,
        weights: (0..24 * 14).map(|i| (i * 31 % 50) as u8).collect(),
        biases: (0..24).collect(),
        input: (0..16 * 14).map(|i| (i * 37 % 256) as u8).collect(),
        ..small()
    }
}

#[test]
fn the_relu_bit_decides_the_order_of_1x1_coefficients() {
    let strict = Npu::new(Config::default());
    for (relu, run_bits) in [(false, 0), (true, 0), (true, 3)] {
        let case = pointwise(relu, run_bits);
        assert_eq!(case.run(&strict), Ok(case.reference()));
        let other = Case {
            relu: !relu,
            ..case.clone()
        };
        for npu in [&strict, &npu()] {
            let fault = case
                .run_with(npu, &other.coefficients())
                .expect_err("the other order");
            assert!(
                fault.contains("RELU") && fault.contains("order of the other value"),
                "{fault}"
            );
        }
    }
    // With one kernel to a core there is one order.
    let mut case = pointwise(true, 0);
    (case.kernels, case.at_once) = (8, 1);
    let other = Case {
        relu: false,
        ..case.clone()
    };
    assert_eq!(case.coefficients(), other.coefficients());
    assert_eq!(other.run(&strict), Ok(other.reference()));
}

/// No known job has them.
#[test]
fn runs_in_blocks_of_six_need_inferred_evidence() {
    let case = pointwise(false, 2);
    let fault = case.run(&Npu::new(Config::default())).expect_err("refused");
    assert!(fault.contains("zero runs in 1x1 coefficients"), "{fault}");
    assert_eq!(case.run(&npu()), Ok(case.reference()));
}

#[test]
fn damaged_streams_are_refused() {
    let mut case = small();
    let good = case.coefficients();
    case.at_once = 2;
    assert_eq!(case.coefficients(), good);
    let memory = FlatMemory::new();
    let output = memory.alloc(48).unwrap().0 as u32;
    let input = place(&memory, &case.input);
    let outcome = |edit: &dyn Fn(&mut Vec<u8>)| {
        let mut stream = good.clone();
        edit(&mut stream);
        let fields = case.fields(input, place(&memory, &stream), output);
        let words = super::common::descriptor(nn::defaults(), &fields);
        run(&npu(), &memory, state::PS_NN_INST_ADDR, &words)
            .fault
            .map(|f| f.to_string())
    };
    assert_eq!(outcome(&|_| {}), None);
    type Edit = fn(&mut Vec<u8>);
    let edits: [(&str, Edit); 7] = [
        ("multiple of 64", |s| s[0] += 1),
        ("longer than", |s| {
            s[0] += 64;
            s.extend([0; 64]);
        }),
        ("without kernels", |s| s[12] = 64),
        ("too wide", |s| s[64] = 6),
        ("per core", |s| s[65] = 2),
        ("padding", |s| s[127] = 1),
        ("reaches beyond", |s| s[67] |= 1),
    ];
    for (why, edit) in edits {
        let fault = outcome(&edit).expect(why);
        assert!(fault.contains(why), "{fault}");
    }
}

proptest! {
    /// Nothing that user space can write makes the model panic.
    #[test]
    fn hostile_words_are_faults(
        words in prop::collection::vec(
            prop_oneof![any::<u32>(), Just(0x0801_0428), Just(0x0801_042e), Just(0x1000)],
            0..12,
        ),
        descriptor in any::<[u32; 32]>(),
        flips in prop::collection::vec((0usize..128 * 8, any::<bool>()), 0..6),
    ) {
        let (memory, _, address) = job();
        let npu = npu();
        npu.run(&memory, &words);
        let other = place(&memory, &bytes(&descriptor));
        npu.run(&memory, &stream(state::PS_NN_INST_ADDR, other));
        npu.run(&memory, &stream(state::PS_TP_INST_ADDR, other));
        let mut copy = super::common::read(&memory, address, 128);
        for (bit, _) in flips {
            copy[bit / 8] ^= 1 << (bit % 8);
        }
        let flipped = place(&memory, &copy);
        npu.run(&memory, &stream(state::PS_NN_INST_ADDR, flipped));
        let (memory, good, _) = job();
        prop_assert_eq!(npu.run(&memory, &good).fault, None);
    }
}
