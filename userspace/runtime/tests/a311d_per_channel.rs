//! Models whose filters have a scale per channel on the A311D model, against TFLite's reference results.

use ferrite_compiler::{Executable, Options, Placement, Target, compile};
use ferrite_ir::{DType, tflite};
use ferrite_runtime::Session;
use ferrite_runtime::cpu::{Interpreter, Value};
use ferrite_runtime::device::sim_a311d::SimA311d;
use ferrite_testing::{Array, models};
use std::sync::Arc;

/// Mean distance of 8-bit outputs, in steps: the mean over the outputs.
fn distance(found: &[Value], expected: &[Array]) -> f64 {
    let of = |(value, array): (&Value, &Array)| {
        let steps = |byte: &u8| match value.dtype() {
            DType::I8 => i32::from(*byte as i8),
            _ => i32::from(*byte),
        };
        let pairs = value.bytes().iter().zip(&array.data);
        let sum: u32 = pairs.map(|(a, b)| steps(a).abs_diff(steps(b))).sum();
        f64::from(sum) / array.data.len() as f64
    };
    found.iter().zip(expected).map(of).sum::<f64>() / expected.len() as f64
}

/// The largest element of an output, the first of them.
fn top(value: &Value) -> Option<usize> {
    let element = |&at: &usize| match value.dtype() {
        DType::I8 => i32::from(value.bytes()[at] as i8),
        _ => i32::from(value.bytes()[at]),
    };
    (0..value.bytes().len()).rev().max_by_key(element)
}

/// What the compiler says of approximate operators.
fn errors(executable: &Executable) -> impl Iterator<Item = f32> {
    executable.placements.values().filter_map(Placement::error)
}

/// Checks a model's cases: all but a twentieth of the multiply-accumulates on the NPU, a mean distance
/// over the cases of at most one and a half times `xnnpack`, that of TFLite's own kernels; and, where
/// nothing may be approximate, no more than `exact_steps` from the CPU kernels.
fn check(name: &str, xnnpack: f64, exact_steps: u8) {
    let folders = ferrite_testing::shared().into_iter();
    let folders = folders.flat_map(|shared| ["models", "models2"].map(|name| shared.join(name)));
    let mut all = folders
        .filter(|folder| folder.is_dir())
        .flat_map(|folder| models::read(&folder));
    let Some(model) = all.find(|model| model.name == name) else {
        return;
    };
    let graph = Arc::new(tflite::read(&model.bytes()).expect("a public model"));
    let approximate = compile(&graph, &Options::new(Target::A311d)).expect("compiles");
    let macs = approximate
        .macs
        .values()
        .zip(approximate.placements.values());
    let on_npu = macs.filter(|(_, placement)| placement.on_npu().is_some());
    let share = on_npu.map(|(macs, _)| macs).sum::<u64>() as f64
        / approximate.macs.values().sum::<u64>() as f64;
    assert!(share >= 0.95, "{name}: {share} of MACs on the NPU");
    let found: Vec<f32> = errors(&approximate).collect();
    assert!(
        !found.is_empty() && found.iter().all(|error| *error <= 0.5),
        "{name}"
    );
    let mut options = Options::new(Target::A311d);
    options.exact = true;
    let exact = compile(&graph, &options).expect("compiles");
    assert_eq!(errors(&exact).count(), 0, "{name}");
    let device = SimA311d::new();
    let load = |executable| {
        Session::new(graph.clone(), Arc::new(executable), Some(&device)).expect("loads")
    };
    let (mut approximate, mut exact) = (load(approximate), load(exact));
    let interpreter = Interpreter::new(graph.clone()).expect("all operators are known");
    let mut sum = 0.0;
    for case in &model.cases {
        let arrays = model.inputs(case);
        let inputs = graph.inputs.iter().zip(&arrays).map(|(&id, array)| {
            let tensor = graph.tensor(id);
            Value::from_bytes(tensor.dtype, tensor.shape.to_vec(), &array.data).expect("fits")
        });
        let inputs: Vec<Value> = inputs.collect();
        let reference = interpreter.run(&inputs).expect("runs");
        let found = approximate.run(&inputs).expect("no fault");
        let apart = distance(&found, &model.outputs(case));
        println!("{name} {}: {apart:.4}", case.id);
        sum += apart;
        assert_eq!(top(&found[0]), top(&reference[0]), "{name} {}", case.id);
        let found = exact.run(&inputs).expect("no fault");
        for (found, expected) in found.iter().zip(&reference) {
            let pairs = found.bytes().iter().zip(expected.bytes());
            // Steps of int8 and uint8 alike: none of them wraps around.
            let largest = pairs.map(|(a, b)| a.wrapping_sub(*b).min(b.wrapping_sub(*a)));
            let largest = largest.max().unwrap_or(0);
            assert!(
                largest <= exact_steps,
                "{name} {}: {largest} steps",
                case.id
            );
        }
    }
    let mean = sum / model.cases.len() as f64;
    println!("{name}: {mean:.4}, XNNPACK {xnnpack}");
    assert!(mean <= 1.5 * xnnpack, "{name}: {mean}");
}

// Distances of the XNNPACK kernels of ai-edge-litert 2.1.6, one thread, x86-64.

#[test]
fn mobilenet_v2() {
    check("tf2_mobilenet_v2_1.0_224_ptq", 0.0115, 0);
}

#[test]
fn resnet8() {
    check("mlperf_resnet8_int8", 1.3333, 0);
}

#[test]
fn visual_wake_words() {
    check("mlperf_vww96_int8", 0.3333, 0);
}

#[test]
fn efficientnet_lite0() {
    check("efficientnet_lite0_int8", 0.0135, 0);
}

#[test]
fn mobilenet_v3_small() {
    check("mobilenet_v3_small_twin_int8", 0.1767, 0);
}

#[test]
fn ssd_mobilenet_v2() {
    check("ssd_mobilenet_v2_twin_int8", 1.7985, 0);
}

#[test]
fn yolov8n() {
    // Not all of it has a scale per channel: a convolution with one output, and additions.
    check("yolov8n_twin_int8", 2.0802, 2);
}
