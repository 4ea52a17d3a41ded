//! Compiles a TFLite model for the RK3588, and prints where its operators run and what is sent to the NPU:
//!
//!     cargo run -p ferrite-compiler --example compile_model -- MODEL.tflite

use ferrite_compiler::Options;
use ferrite_compiler::executable::{Executable, Placement, Step, Target};
use ferrite_ir::{Graph, tflite};
use std::error::Error;

fn compile(model: &[u8]) -> Result<(Graph, Executable), Box<dyn Error>> {
    let graph = tflite::read(model)?;
    let options = Options {
        cores: 3,
        ..Options::new(Target::Rk3588)
    };
    let executable = ferrite_compiler::compile(&graph, &options)?;
    Ok((graph, executable))
}

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("give a .tflite model")?;
    let (graph, executable) = compile(&std::fs::read(path)?)?;
    for op in graph.op_ids() {
        let place = match &executable.placements[op] {
            Placement::Npu { lowering, .. } | Placement::Approximate { lowering, .. } => {
                lowering.as_ref()
            }
            Placement::Cpu { reason, .. } => reason.as_str(),
            Placement::Folded => "folded into a neighbour",
        };
        println!("{op} {}: {place}", graph.op_name(op));
    }
    for step in &executable.steps {
        match step {
            Step::Submit(jobs) => println!("submission of {} jobs to the NPU", jobs.len()),
            Step::Cpu(op) => println!("{op} on the CPU"),
            Step::Enter(_) | Step::Leave(_) | Step::Requantise { .. } => {}
        }
    }
    Ok(())
}

#[test]
fn the_demonstration_is_one_submission() {
    let model = include_bytes!("../../../examples/digits/digits.tflite");
    let (_, executable) = compile(model).expect("the demonstration's model");
    let submissions = executable
        .steps
        .iter()
        .filter(|step| matches!(step, Step::Submit(_)));
    assert_eq!(submissions.count(), 1);
}
