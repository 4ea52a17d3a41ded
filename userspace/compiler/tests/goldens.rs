//! Lowerings as text, for review: what a change of the compiler does to a small network shows here
//! line by line. `cargo insta review` accepts what is meant.

use std::path::Path;

use ferrite_compiler::executable::{Executable, Step, Task};
use ferrite_compiler::{Evidence, Options, Plan, Target, compile};
use ferrite_hw::rk3588::disasm::disassemble;
use ferrite_ir::{Graph, tflite};

/// A network of this repository.
fn digits(name: &str) -> Graph {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../examples/digits")
        .join(name);
    let bytes = std::fs::read(path).expect("the demonstration's model is there");
    tflite::read(&bytes).expect("a model")
}

fn options(evidence: Evidence) -> Options {
    Options {
        evidence,
        ..Options::new(Target::Rk3588)
    }
}

fn layers(graph: &Graph, evidence: Evidence) -> String {
    let plan = Plan::new(graph, &options(evidence)).expect("plans");
    plan.print().expect("compiles")
}

fn tasks(executable: &Executable) -> Vec<&Task> {
    let jobs = executable.steps.iter().flat_map(|step| match step {
        Step::Submit(jobs) => jobs.as_slice(),
        _ => &[],
    });
    jobs.flat_map(|job| &job.tasks).collect()
}

/// A task's commands; addresses are relative to their buffers and stored as relocations.
fn commands(executable: &Executable, task: &Task) -> String {
    let region = task.commands;
    let init = executable.buffers[region.buffer].init.bytes();
    let bytes = &init[region.offset..][..region.len];
    let words = bytes
        .as_chunks::<8>()
        .0
        .iter()
        .map(|w| u64::from_le_bytes(*w));
    disassemble(&words.collect::<Vec<_>>())
}

#[test]
fn layers_of_a_network() {
    let graph = digits("digits.tflite");
    insta::assert_snapshot!(layers(&graph, Evidence::Silicon));
}

#[test]
fn layers_of_a_network_with_scales_per_channel() {
    let graph = digits("digits-per-axis.tflite");
    for (name, evidence) in [
        ("silicon", Evidence::Silicon),
        ("sibling", Evidence::Sibling),
    ] {
        let text = layers(&graph, evidence);
        insta::assert_snapshot!(format!("scales_per_channel_{name}"), text);
    }
}

#[test]
fn commands_of_a_convolution_and_of_an_addition() {
    let executable =
        compile(&digits("digits.tflite"), &options(Evidence::Silicon)).expect("compiles");
    let tasks = tasks(&executable);
    insta::assert_snapshot!(
        "commands_of_the_first_layer",
        commands(&executable, tasks[0])
    );
    let added = tasks
        .iter()
        .map(|task| commands(&executable, task))
        .find(|text| text.contains("EW_ALU_ALGO"))
        .expect("the network has an addition");
    insta::assert_snapshot!("commands_of_an_addition", added);
}
