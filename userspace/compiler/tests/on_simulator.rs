//! Compiled operators on the RK3588 model against TFLite's reference results.

mod support;

use ferrite_compiler::{Evidence, Options, Placement, Target, compile};
use ferrite_hw::Grade;
use ferrite_ir::{Graph, tflite};
use ferrite_runtime::cpu::Value;
use ferrite_testing::cases::{self, Case};
use rayon::prelude::*;

/// Kinds of cases that this compiler puts on the NPU.
const KINDS: [&str; 8] = [
    "conv2d",
    "dwconv",
    "fully_connected",
    "add",
    "sub",
    "average_pool",
    "reduce",
    "quantize",
];

fn values(graph: &Graph, arrays: &[ferrite_testing::Array]) -> Vec<Value> {
    graph
        .inputs
        .iter()
        .zip(arrays)
        .map(|(&id, array)| {
            let tensor = graph.tensor(id);
            Value::from_bytes(tensor.dtype, tensor.shape.to_vec(), &array.data).expect("fits")
        })
        .collect()
}

/// Largest difference and fraction of equal elements of a case.
fn compare(case: &Case, evidence: Evidence) -> Result<(i32, f64), String> {
    let graph = tflite::read(&case.model()).map_err(|e| e.to_string())?;
    let mut options = Options::new(Target::Rk3588);
    options.evidence = evidence;
    let executable = compile(&graph, &options).map_err(|e| e.to_string())?;
    let (inputs, expected) = case.arrays();
    let grade = match evidence {
        Evidence::Silicon => Grade::Silicon,
        Evidence::Sibling => Grade::Sibling,
        Evidence::Inferred => Grade::Inferred,
    };
    let results = support::run(&graph, &executable, grade, &values(&graph, &inputs))?;
    let (mut worst, mut equal, mut total) = (0, 0, 0);
    for (id, array) in graph.outputs.iter().zip(&expected) {
        let tensor = graph.tensor(*id);
        let number = |&b: &u8| match tensor.dtype {
            ferrite_ir::DType::U8 => i32::from(b),
            _ => i32::from(b as i8),
        };
        if tensor.dtype.size() != 1 {
            continue;
        }
        let ours = results.get(id).ok_or("no such output")?.bytes();
        for (a, b) in ours.iter().zip(&array.data) {
            let difference = (number(a) - number(b)).abs();
            worst = worst.max(difference);
            equal += usize::from(difference == 0);
            total += 1;
        }
    }
    Ok((worst, equal as f64 / total.max(1) as f64))
}

fn check(evidence: Evidence) {
    let cases = cases::public();
    let failures: Vec<String> = cases
        .par_iter()
        .filter_map(|case| match compare(case, evidence) {
            Ok((worst, exact)) => {
                println!("{}: worst {worst}, exact {exact:.4}", case.id);
                let single = KINDS.iter().any(|kind| case.kind.starts_with(kind));
                (worst > if single { 1 } else { 4 }).then(|| format!("{}: off by {worst}", case.id))
            }
            Err(why) => Some(format!("{}: {why}", case.id)),
        })
        .collect();
    assert!(failures.is_empty(), "{failures:#?}");
}

#[test]
fn operators_are_within_one_step_on_proven_lowerings() {
    check(Evidence::Silicon);
}

#[test]
fn operators_are_within_one_step_with_sibling_evidence() {
    check(Evidence::Sibling);
}

#[test]
fn weighted_operators_are_placed_on_the_npu() {
    for case in cases::public() {
        if !KINDS.iter().any(|kind| case.kind.starts_with(kind)) {
            continue;
        }
        let graph = tflite::read(&case.model()).expect("a public case");
        let executable = compile(&graph, &Options::new(Target::Rk3588)).expect("compiles");
        for (op, placement) in &executable.placements {
            if let Placement::Cpu { reason, .. } = placement {
                println!("{}: {} on the CPU: {reason}", case.id, graph.op_name(op));
            }
        }
    }
}
