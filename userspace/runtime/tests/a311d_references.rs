//! Public operator cases and models on the A311D model against TFLite's reference results.

use ferrite_compiler::{Evidence, Options, Target, compile};
use ferrite_ir::{DType, Graph, tflite};
use ferrite_runtime::Session;
use ferrite_runtime::cpu::Value;
use ferrite_runtime::device::Device;
use ferrite_runtime::device::sim_a311d::SimA311d;
use ferrite_testing::{Array, cases, models};
use rayon::prelude::*;
use std::sync::Arc;

fn session(graph: Graph, evidence: Evidence) -> Session {
    let mut options = Options::new(Target::A311d);
    options.evidence = evidence;
    let executable = compile(&graph, &options).expect("compiles");
    let device: &dyn Device = &SimA311d::new();
    Session::new(Arc::new(graph), Arc::new(executable), Some(device)).expect("loads")
}

/// Largest difference of the 8-bit outputs, in steps, and whether any element of the first output
/// is largest in both, but for a step.
fn compare(session: &mut Session, inputs: &[Array], expected: &[Array]) -> (i32, bool) {
    let graph = session.graph().clone();
    let values: Vec<Value> = graph
        .inputs
        .iter()
        .zip(inputs)
        .map(|(&id, array)| {
            let tensor = graph.tensor(id);
            Value::from_bytes(tensor.dtype, tensor.shape.to_vec(), &array.data).expect("fits")
        })
        .collect();
    let results = session.run(&values).expect("no fault");
    let (mut worst, mut same_top) = (0, true);
    for (number, (value, array)) in results.iter().zip(expected).enumerate() {
        let dtype = graph.tensor(graph.outputs[number]).dtype;
        let (ours, theirs) = (value.bytes(), &array.data);
        let difference = |(a, b): (&u8, &u8)| match dtype {
            DType::U8 => (i32::from(*a) - i32::from(*b)).abs(),
            DType::I8 => (i32::from(*a as i8) - i32::from(*b as i8)).abs(),
            _ => 0,
        };
        worst = worst.max(ours.iter().zip(theirs).map(difference).max().unwrap_or(0));
        if number == 0 && dtype == DType::U8 {
            let top = |data: &[u8], i: usize| data.iter().all(|&v| v <= data[i].saturating_add(1));
            same_top = (0..ours.len()).any(|i| top(theirs, i) && top(ours, i));
        }
    }
    (worst, same_top)
}

fn check_cases(evidence: Evidence) {
    let all = cases::public();
    let failures: Vec<String> = all
        .par_iter()
        .filter_map(|case| {
            let graph = tflite::read(&case.model()).expect("a public case");
            let mut session = session(graph, evidence);
            let on_npu = session
                .executable()
                .placements
                .values()
                .filter(|placement| placement.on_npu().is_some())
                .count();
            let (inputs, expected) = case.arrays();
            let (worst, _) = compare(&mut session, &inputs, &expected);
            println!("{}: worst {worst}, {on_npu} operators on the NPU", case.id);
            // Additions have 8-bit weights; chains add up what their links are off by.
            let bound = match case.ops.len() {
                1 if ["ADD", "SUB"].contains(&case.ops[0].as_str()) => 2,
                1 => 1,
                _ => 4,
            };
            (worst > bound).then(|| format!("{}: off by {worst}", case.id))
        })
        .collect();
    assert!(failures.is_empty(), "{failures:#?}");
}

#[test]
fn operators_are_within_their_bounds() {
    check_cases(Evidence::Silicon);
}

#[test]
fn operators_are_within_their_bounds_on_inferred_evidence() {
    check_cases(Evidence::Inferred);
}

/// Checks all cases of a model; the bound is twice the largest distance of TFLite's own XNNPACK
/// kernels, and at least 4 steps.
fn check_model(name: &str, steps: i32) {
    let all = models::public();
    let Some(model) = all.iter().find(|model| model.name == name) else {
        return;
    };
    let graph = tflite::read(&model.bytes()).expect("a public model");
    let mut session = session(graph, Evidence::Silicon);
    let executable = session.executable();
    let total: u64 = executable.macs.values().sum();
    let on_npu = executable.macs.values().zip(executable.placements.values());
    let on_npu = on_npu.filter(|(_, placement)| placement.on_npu().is_some());
    let share = on_npu.map(|(macs, _)| macs).sum::<u64>() as f64 / total as f64;
    assert!(share >= 0.99, "{name}: {share} of MACs on the NPU");
    for case in &model.cases {
        let (inputs, expected) = (model.inputs(case), model.outputs(case));
        let (worst, same_top) = compare(&mut session, &inputs, &expected);
        println!("{name} {:?}: worst {worst}", case.id);
        assert!(worst <= steps, "{name} {:?}: off by {worst}", case.id);
        assert!(same_top, "{name} {:?}: another top-1, and no tie", case.id);
    }
}

#[test]
fn mobilenet_v1_quarter() {
    check_model("mobilenet_v1_0.25_128_quant", 8);
}

#[test]
fn mobilenet_v1_half() {
    check_model("mobilenet_v1_0.5_160_quant", 20);
}

#[test]
fn mobilenet_v1_embedding() {
    check_model("mobilenet_v1_1.0_224_quant_embedding_extractor", 22);
}

#[test]
fn mobilenet_v2() {
    check_model("mobilenet_v2_1.0_224_quant", 6);
}
