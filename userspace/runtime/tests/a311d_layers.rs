//! Every operator of the public models that runs on the A311D's model, by itself, fed with the
//! tensors that TFLite's reference kernels make for it.
//!
//! Where the reference's tensor is not stored, the interpreter's takes its place, which equals all
//! of those that are stored (`cpu_references`).

use ferrite_compiler::{Evidence, Options, Target, compile};
use ferrite_ir::{DType, Graph, OpId, SecondaryMap, SingleOp, TensorId, single_op, tflite};
use ferrite_runtime::Session;
use ferrite_runtime::cpu::{Interpreter, Value};
use ferrite_runtime::device::sim_a311d::SimA311d;
use ferrite_testing::{Array, models};
use rayon::prelude::*;
use std::sync::Arc;

fn value(graph: &Graph, id: TensorId, array: &Array) -> Value {
    let tensor = graph.tensor(id);
    Value::from_bytes(tensor.dtype, tensor.shape.to_vec(), &array.data).expect("fits")
}

/// How an operator's results differ.
struct Off {
    /// The largest difference, in steps.
    worst: i32,
    /// Share of the elements that differ.
    share: f64,
    /// What the compiler has estimated, if the operator is approximate.
    error: Option<f64>,
}

/// How far an operator is off; None if it is not on the NPU.
fn compare(graph: &Graph, op: OpId, known: &SecondaryMap<TensorId, Option<Value>>) -> Option<Off> {
    let SingleOp {
        graph: single,
        inputs,
        outputs,
    } = single_op(graph, op);
    let mut options = Options::new(Target::A311d);
    options.evidence = Evidence::Silicon;
    let executable = compile(&single, &options).expect("compiles");
    let placement = &executable.placements[OpId::from_u32(0)];
    placement.on_npu()?;
    let error = placement.error().map(f64::from);
    let get = |&id: &TensorId| known[id].clone().expect("computed");
    let inputs: Vec<Value> = inputs.iter().map(get).collect();
    let expected: Vec<Value> = outputs.iter().map(get).collect();
    let (single, executable) = (Arc::new(single), Arc::new(executable));
    let mut session =
        Session::new(single.clone(), executable, Some(&SimA311d::new())).expect("loads");
    let found = session.run(&inputs).expect("no fault");
    let (mut worst, mut differ, mut count) = (0, 0, 0);
    for ((found, expected), id) in found.iter().zip(&expected).zip(&single.outputs) {
        let steps = |&byte: &u8| match single.tensor(*id).dtype {
            DType::I8 => i32::from(byte as i8),
            _ => i32::from(byte),
        };
        for (a, b) in found.bytes().iter().zip(expected.bytes()) {
            let distance = (steps(a) - steps(b)).abs();
            worst = worst.max(distance);
            differ += usize::from(distance > 0);
        }
        count += found.bytes().len();
    }
    Some(Off {
        worst,
        share: differ as f64 / count.max(1) as f64,
        error,
    })
}

/// Checks a model whose operators on the NPU are so many at least.
fn check(name: &str, least: usize) {
    let all = models::public();
    let Some(model) = all.iter().find(|model| model.name == name) else {
        return;
    };
    let graph = tflite::read(&model.bytes()).expect("a public model");
    let (id, layers) = model.layers().expect("layers are stored");
    let case = model.cases.iter().find(|case| case.id == id);
    let arrays = model.inputs(case.expect("the layers' case"));
    let inputs = graph.inputs.iter().zip(&arrays);
    let inputs: Vec<Value> = inputs
        .map(|(&id, array)| value(&graph, id, array))
        .collect();
    let interpreter = Interpreter::new(graph.clone()).expect("all operators are known");
    let mut known = interpreter.run_keeping_all(&inputs).expect("runs");
    for (index, array) in &layers {
        let id = TensorId::from_u32(*index as u32);
        if graph.tensor(id).dtype.size() == 1 {
            known[id] = Some(value(&graph, id, array));
        }
    }
    let ops: Vec<OpId> = graph.op_ids().collect();
    let results: Vec<(OpId, Off)> = ops
        .par_iter()
        .filter_map(|&op| Some((op, compare(&graph, op, &known)?)))
        .collect();
    for &(
        op,
        Off {
            worst,
            share,
            error,
        },
    ) in &results
    {
        let kind = graph.op_name(op);
        println!(
            "{name} {} {kind}: worst {worst}, {:.3} % differ",
            op.as_u32(),
            100.0 * share
        );
        // Additions have weights of 8 bits, approximate layers weights near the model's.
        let inexact = ["ADD", "SUB"].contains(&kind) || error.is_some();
        let bound = if inexact { 2 } else { 1 };
        assert!(
            worst <= bound,
            "{name} {} {kind}: off by {worst}",
            op.as_u32()
        );
        if let Some(error) = error {
            assert!(share <= error, "{name} {}: {share}, {error}", op.as_u32());
        }
    }
    let mean = results.iter().map(|(_, off)| off.share).sum::<f64>() / results.len().max(1) as f64;
    println!(
        "{name}: {} operators, {:.3} % differ",
        results.len(),
        100.0 * mean
    );
    assert!(results.len() >= least, "{name}: only {}", results.len());
}

#[test]
fn mobilenet_v1_quarter() {
    check("mobilenet_v1_0.25_128_quant", 28);
}

#[test]
fn mobilenet_v1_half() {
    check("mobilenet_v1_0.5_160_quant", 28);
}

#[test]
fn mobilenet_v1_embedding() {
    check("mobilenet_v1_1.0_224_quant_embedding_extractor", 27);
}

#[test]
fn mobilenet_v2() {
    check("mobilenet_v2_1.0_224_quant", 63);
}

/// Filters with a scale per channel, and additions.
#[test]
fn mobilenet_v2_int8() {
    check("tf2_mobilenet_v2_1.0_224_ptq", 63);
}

#[test]
fn deeplab() {
    check("deeplabv3_mnv2_dm05_pascal_quant", 66);
}

#[test]
fn movenet() {
    check("movenet_single_pose_lightning_ptq", 18);
}

#[test]
fn traffic() {
    check("traffic_model", 130);
}
