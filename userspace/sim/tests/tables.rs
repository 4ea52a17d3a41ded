//! The DPU's tables, loaded and used as captured integer programs do.

mod common;

use common::recipe::Layer;
use common::{filled, place, place_bytes};
use ferrite_hw::Grade;
use ferrite_hw::rk3588::table::Register;
use ferrite_hw::rk3588::{Command, codes, command, dpu, dpu_rdma};
use ferrite_sim::FlatMemory;
use ferrite_sim::rk3588::{Config, Core, FaultKind, Outcome, Start};

/// One pixel for every byte.
fn layer() -> Layer {
    Layer::pointwise(16, 16)
}

/// The task that loads both tables: a copy of one atom with the entries behind it.
fn load(memory: &FlatMemory, le: &[i16], lo: &[i16]) -> Start {
    let (from, to) = (place_bytes(memory, &[7; 16]), place_bytes(memory, &[0; 16]));
    let mut list = vec![
        (dpu::S_POINTER, codes::S_POINTER_PING_PONG),
        (dpu_rdma::S_POINTER, codes::S_POINTER_PING_PONG),
        (dpu::FEATURE_MODE_CFG, 0x1e5),
        (dpu::DST_BASE_ADDR, to),
        (dpu::DST_SURF_STRIDE, 1 << 4),
        (dpu::DATA_CUBE_CHANNEL, 15 << 16 | 15),
        (dpu::BS_CFG, 0x53),
        (dpu::BS_OW_CFG, 2),
        (dpu::WDMA_SIZE_0, 15),
        (dpu::BN_CFG, 0x53),
        (dpu::EW_CFG, 0x383),
        (dpu::OUT_CVT_SCALE, 1),
        (dpu::SURFACE_ADD, 1 << 4),
        (dpu_rdma::DATA_CUBE_CHANNEL, 15),
        (dpu_rdma::SRC_BASE_ADDR, from),
        (dpu_rdma::ERDMA_CFG, 1),
        (dpu_rdma::FEATURE_MODE_CFG, 0x7801),
        (dpu_rdma::WEIGHT, 0x0101_0101),
    ];
    for (access, entries) in [(0x2_0000, le), (0x3_0000, lo)] {
        list.push((dpu::LUT_ACCESS_CFG, access));
        let words = entries.iter().map(|&entry| u32::from(entry as u16));
        list.extend(words.map(|word| (dpu::LUT_ACCESS_DATA, word)));
    }
    let list = list
        .iter()
        .map(|(register, value)| register.write(*value).unwrap());
    let words = list.chain(command::tail(None, codes::enable::FLYING));
    let words: Vec<u64> = words.map(|command| command.encode()).collect();
    Start::task(place(memory, &words), words.len())
}

/// The registers by which a convolution looks its results up, times `units`.
fn use_table(units: u32) -> Vec<(Register, u32)> {
    vec![
        (dpu::S_POINTER, codes::S_POINTER_ALONE),
        (dpu_rdma::S_POINTER, codes::S_POINTER_ALONE),
        (dpu::BN_CFG, 0x42),
        (dpu::BN_MUL_CFG, units << 16),
        (dpu::EW_CFG, 0x302),
        (dpu::OUT_CVT_SCALE, 1),
        (dpu::OUT_CVT_SHIFT, 0),
        (dpu::LUT_CFG, 0x68),
        (dpu::LUT_INFO, 0x5_0500),
        (dpu::LUT_LE_START, 0xffff_c000),
        (dpu::LUT_LE_END, 0),
        (dpu::LUT_LO_START, 0),
        (dpu::LUT_LO_END, 0x4000),
    ]
}

/// Sums that are twice each byte, as a convolution with these registers makes results of them: of the
/// first kernel.
fn run(core: &mut Core, memory: &FlatMemory, registers: &[(Register, u32)]) -> (Outcome, Vec<i8>) {
    let layer = layer();
    let mut at = filled(memory, &layer);
    let input: Vec<u8> = (0..=255_u8)
        .flat_map(|byte| [vec![byte], vec![0; 15]].concat())
        .collect();
    at.input = place_bytes(memory, &input);
    let output = place_bytes(memory, &[0; 256 * 32]);
    at.output = output;
    let plain = layer.words(at).into_iter().map(Command::decode);
    let replaced = |command: &Command| {
        let register = command.register();
        registers.iter().any(|(known, _)| register == Some(known))
    };
    let changes = registers
        .iter()
        .map(|(register, value)| register.write(*value).unwrap());
    let words = changes.chain(plain.filter(|command| !replaced(command)));
    let words: Vec<u64> = words.map(|command| command.encode()).collect();
    let outcome = core.run(memory, Start::task(place(memory, &words), words.len()));
    let mut bytes = vec![0; 256 * 16];
    ferrite_sim::Memory::read(memory, u64::from(output), &mut bytes).unwrap();
    let first = bytes.iter().step_by(16).map(|&byte| byte as i8).collect();
    (outcome, first)
}

/// Tables whose every fourth entry is `f` of a byte; `other` is what lies between.
fn tables(f: impl Fn(i32) -> i8, other: i16) -> [Vec<i16>; 2] {
    [-128, 0].map(|first| {
        let entry = |at: i32| match at % 4 {
            0 => i16::from(f((first + at / 4).min(127))),
            _ => other,
        };
        (0..513).map(entry).collect()
    })
}

fn f(byte: i32) -> i8 {
    (byte * byte % 251 - 125) as i8
}

#[test]
fn bytes_that_fall_on_entries_give_what_they_hold() {
    let memory = FlatMemory::new();
    let mut core = Core::new(Config::default());
    let [le, lo] = tables(f, 999);
    assert_eq!(core.run(&memory, load(&memory, &le, &lo)).fault, None);
    let (outcome, got) = run(&mut core, &memory, &use_table(64));
    assert_eq!(outcome.fault, None);
    let expected: Vec<i8> = (0..=255_u8).map(|byte| f(i32::from(byte as i8))).collect();
    assert_eq!(got, expected);
    // The tables stay.
    assert_eq!(run(&mut core, &memory, &use_table(64)).1, expected);
}

#[test]
fn what_lies_between_different_entries_or_beyond_the_ends_is_inferred() {
    let memory = FlatMemory::new();
    for (units, entries, known) in [
        (63, tables(f, 999), false),
        (63, [vec![5; 513], vec![5; 513]], true),
        (65, [vec![5; 513], vec![5; 513]], false),
    ] {
        let mut core = Core::new(Config::default());
        let [le, lo] = entries;
        assert_eq!(core.run(&memory, load(&memory, &le, &lo)).fault, None);
        let fault = run(&mut core, &memory, &use_table(units)).0.fault;
        match fault.map(|fault| fault.kind) {
            None => assert!(known, "{units}"),
            Some(FaultKind::Evidence {
                grade: Grade::Inferred,
                ..
            }) => assert!(!known, "{units}"),
            Some(other) => panic!("{other}"),
        }
    }
}

#[test]
fn tables_that_were_not_loaded_or_set_up_otherwise_are_refused() {
    let memory = FlatMemory::new();
    let config = Config {
        evidence: Grade::Inferred,
        ..Config::default()
    };
    let unloaded = run(&mut Core::new(config), &memory, &use_table(64));
    assert!(unloaded.0.fault.is_some(), "not loaded");
    let [le, lo] = tables(f, 0);
    for (register, value) in [
        (dpu::S_POINTER, codes::S_POINTER_PING_PONG),
        (dpu_rdma::S_POINTER, codes::S_POINTER_PING_PONG),
        (dpu::EW_CFG, 0x300),
        (dpu::LUT_CFG, 0x28),
        (dpu::LUT_INFO, 0x6_0600),
        (dpu::LUT_LO_END, 0x2000),
    ] {
        let mut core = Core::new(config);
        assert_eq!(core.run(&memory, load(&memory, &le, &lo)).fault, None);
        let mut registers = use_table(64);
        registers.retain(|(known, _)| *known != register);
        registers.push((register, value));
        let fault = run(&mut core, &memory, &registers).0.fault;
        assert!(fault.is_some(), "{} = {value:#x}", register.name);
    }
}
