//! What stays in the convolution buffer, and several cores at once.

mod common;

use common::recipe::{Layer, Places};
use common::{filled, place};
use ferrite_hw::rk3588::{Command, cna};
use ferrite_sim::rk3588::{Config, Core, FaultKind, Simulator, Start};
use ferrite_sim::{FlatMemory, Memory};

const DATA_REUSE: u32 = 1 << 12;
const WEIGHT_REUSE: u32 = 1 << 13;

fn layer() -> Layer {
    Layer::pointwise(6, 5)
}

fn start(memory: &FlatMemory, at: Places, reuse: u32) -> Start {
    let mut words = layer().words(at);
    for word in &mut words {
        let command = Command::decode(*word);
        if command.register() == Some(&cna::CBUF_CON0) {
            let value = command.value | reuse;
            *word = Command { value, ..command }.encode();
        }
    }
    Start::task(place(memory, &words), words.len())
}

#[test]
fn reused_operands_are_those_of_the_previous_task() {
    let memory = FlatMemory::new();
    let at = filled(&memory, &layer());
    let first = || {
        let mut byte = [0];
        memory.read(u64::from(at.output), &mut byte).unwrap();
        byte[0]
    };
    let mut core = Core::new(Config::default());
    let fresh = core.run(&memory, start(&memory, at, 0));
    assert_eq!((fresh.fault, first()), (None, 32));
    // Memory changes, the buffer does not.
    memory.write(u64::from(at.weights), &[3; 512]).unwrap();
    memory.write(u64::from(at.input), &[2; 480]).unwrap();
    let both = core.run(&memory, start(&memory, at, DATA_REUSE | WEIGHT_REUSE));
    assert_eq!((both.fault, first()), (None, 32));
    assert_eq!(
        (both.counters.feature_bytes, both.counters.weight_bytes),
        (0, 0)
    );
    let weights = core.run(&memory, start(&memory, at, WEIGHT_REUSE));
    assert_eq!((weights.fault, first()), (None, 64));
    assert_eq!(core.run(&memory, start(&memory, at, 0)).fault, None);
    assert_eq!(first(), 96);
}

#[test]
fn reuse_of_something_else_is_a_fault() {
    let memory = FlatMemory::new();
    let (at, other) = (filled(&memory, &layer()), filled(&memory, &layer()));
    for (reuse, what) in [(DATA_REUSE, "data"), (WEIGHT_REUSE, "weight")] {
        let mut core = Core::new(Config::default());
        let fault = |core: &mut Core, at| core.run(&memory, start(&memory, at, reuse)).fault;
        let is_reuse = |f: Option<ferrite_sim::rk3588::Fault>| match f.map(|f| f.kind) {
            Some(FaultKind::Reuse { what: w, .. }) => w == what,
            _ => false,
        };
        assert!(is_reuse(fault(&mut core, at)));
        assert_eq!(core.run(&memory, start(&memory, at, 0)).fault, None);
        assert!(is_reuse(fault(&mut core, other)));
        core.reset();
        assert!(is_reuse(fault(&mut core, at)));
    }
}

#[test]
fn the_buffer_may_outlive_a_reset() {
    let memory = FlatMemory::new();
    let at = filled(&memory, &layer());
    let mut core = Core::new(Config {
        buffer_outlives_reset: true,
        ..Config::default()
    });
    assert_eq!(core.run(&memory, start(&memory, at, 0)).fault, None);
    core.reset();
    memory.write(u64::from(at.weights), &[3; 512]).unwrap();
    let reused = core.run(&memory, start(&memory, at, WEIGHT_REUSE));
    assert_eq!((reused.fault, reused.counters.weight_bytes), (None, 0));
    let mut byte = [0];
    memory.read(u64::from(at.output), &mut byte).unwrap();
    assert_eq!(byte, [32], "of the weights before the reset");
}

/// Threads share the memory and the cores; counts add up.
#[test]
fn cores_run_jobs_at_the_same_time() {
    let memory = FlatMemory::new();
    let simulator = Simulator::new(3, Config::default());
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let at = filled(&memory, &layer());
                for _ in 0..5 {
                    let kicks = [start(&memory, at, 0), start(&memory, at, WEIGHT_REUSE)];
                    let outcomes = simulator.run(&memory, &kicks);
                    assert!(outcomes.iter().all(|o| o.fault.is_none() && o.tasks == 1));
                }
                let mut bytes = [0; 960];
                memory.read(u64::from(at.output), &mut bytes).unwrap();
                assert_eq!(bytes, [32; 960]);
            });
        }
    });
    let counters = simulator.counters();
    assert_eq!(
        (counters.kicks, counters.tasks, counters.faults),
        (80, 80, 0)
    );
    // A job stops at its first fault, and the core is usable afterwards.
    let at = filled(&memory, &layer());
    let bad = simulator.run(
        &memory,
        &[start(&memory, at, DATA_REUSE), start(&memory, at, 0)],
    );
    assert_eq!(bad.len(), 1);
    assert!(bad[0].fault.is_some());
    assert_eq!(
        simulator.run(&memory, &[start(&memory, at, 0)])[0].fault,
        None
    );
}
