//! Whole public models on the RK3588 model against TFLite's reference results.

mod support;

use ferrite_compiler::executable::Step;
use ferrite_compiler::{Evidence, Options, Placement, Target, compile};
use ferrite_hw::Grade;
use ferrite_ir::tflite;
use ferrite_runtime::cpu::Value;
use ferrite_testing::models;
use std::num::NonZeroU32;

/// What a model's outputs came to.
struct Result {
    /// Largest difference of each output, in steps.
    worst: Vec<i32>,
    /// Whether the largest element of the first output is at the reference's place.
    same_top: bool,
    /// Share of multiply-accumulates on the NPU.
    npu: f64,
}

fn run(name: &str, evidence: Evidence) -> Option<Vec<Result>> {
    let folder = ferrite_testing::shared()?.join("models");
    let all = models::read(&folder);
    let model = all.iter().find(|model| model.name == name)?;
    let graph = tflite::read(&model.bytes()).expect("a public model");
    let mut options = Options::new(Target::Rk3588);
    options.evidence = evidence;
    let executable = compile(&graph, &options).expect("compiles");
    let grade = match evidence {
        Evidence::Silicon => Grade::Silicon,
        Evidence::Sibling => Grade::Sibling,
        Evidence::Inferred => Grade::Inferred,
    };
    let total: u64 = executable.macs.values().sum();
    let on_npu: u64 = executable
        .macs
        .values()
        .zip(executable.placements.values())
        .filter(|(_, placement)| matches!(placement, Placement::Npu { .. }))
        .map(|(macs, _)| macs)
        .sum();
    let results = model.cases.iter().map(|case| {
        let (inputs, expected) = (model.inputs(case), model.outputs(case));
        let values: Vec<Value> = graph
            .inputs
            .iter()
            .zip(&inputs)
            .map(|(&id, array)| {
                let tensor = graph.tensor(id);
                Value::from_bytes(tensor.dtype, tensor.shape.to_vec(), &array.data).expect("fits")
            })
            .collect();
        let values = support::run(&graph, &executable, grade, &values).expect("no fault");
        let mut worst = Vec::new();
        let mut same_top = true;
        for (number, (id, array)) in graph.outputs.iter().zip(&expected).enumerate() {
            let tensor = graph.tensor(*id);
            if tensor.dtype.size() != 1 {
                continue;
            }
            let ours = values[id].bytes();
            let pairs = ours.iter().zip(&array.data);
            let difference = |(a, b): (&u8, &u8)| match tensor.dtype {
                ferrite_ir::DType::U8 => (i32::from(*a) - i32::from(*b)).abs(),
                _ => (i32::from(*a as i8) - i32::from(*b as i8)).abs(),
            };
            worst.push(pairs.map(difference).max().unwrap_or(0));
            if number == 0 && tensor.dtype == ferrite_ir::DType::U8 {
                // Ties within one step count as the same.
                let tops = |data: &[u8], i: usize| {
                    data.iter()
                        .max()
                        .is_some_and(|&most| data[i].saturating_add(1) >= most)
                };
                same_top = (0..ours.len()).any(|i| tops(&array.data, i) && tops(ours, i));
            }
        }
        println!("{name} {:?}: worst {worst:?}, same top {same_top}", case.id);
        Result {
            worst,
            same_top,
            npu: on_npu as f64 / total as f64,
        }
    });
    Some(results.collect())
}

fn check(name: &str, evidence: Evidence, steps: i32) {
    let Some(results) = run(name, evidence) else {
        return;
    };
    for result in results {
        assert!(
            result.npu >= 0.99,
            "{name}: {} of MACs on the NPU",
            result.npu
        );
        assert!(
            result.worst.iter().all(|&w| w <= steps),
            "{name}: off by {:?}",
            result.worst
        );
        assert!(result.same_top, "{name}: another top-1, and no tie");
    }
}

// Bounds: twice the largest distance of TFLite's own XNNPACK kernels, and at least 4 steps.

#[test]
fn mobilenet_v1_quarter() {
    check("mobilenet_v1_0.25_128_quant", Evidence::Silicon, 8);
}

#[test]
fn mobilenet_v1_half() {
    check("mobilenet_v1_0.5_160_quant", Evidence::Silicon, 20);
}

#[test]
fn mobilenet_v1_embedding() {
    check(
        "mobilenet_v1_1.0_224_quant_embedding_extractor",
        Evidence::Silicon,
        22,
    );
}

/// Other pictures may end farther away, also with TFLite's XNNPACK kernels: see "Distance from
/// TFLite" in docs/evidence.md.
#[test]
fn mobilenet_v2() {
    check("mobilenet_v2_1.0_224_quant", Evidence::Silicon, 6);
}

#[test]
fn mobilenet_v2_with_both_roundings() {
    check("mobilenet_v2_1.0_224_quant", Evidence::Sibling, 6);
}

/// Every layer's range starts at its zero point: both of TFLite's roundings are imitated.
#[test]
fn mobilenet_v1_with_both_roundings() {
    check("mobilenet_v1_0.25_128_quant", Evidence::Sibling, 1);
    check("mobilenet_v1_0.5_160_quant", Evidence::Sibling, 1);
    check(
        "mobilenet_v1_1.0_224_quant_embedding_extractor",
        Evidence::Sibling,
        2,
    );
}

#[test]
fn mobilenet_v2_per_axis_on_the_host() {
    check("tf2_mobilenet_v2_1.0_224_ptq", Evidence::Silicon, 28);
}

#[test]
fn mobilenet_v2_per_axis_on_chip() {
    check("tf2_mobilenet_v2_1.0_224_ptq", Evidence::Sibling, 28);
}

/// Jobs of several cores, run in another order than they are listed in, give what one core gives. A slow
/// clock makes more of them worth it.
#[test]
fn cores_do_not_change_results() {
    for (name, clock) in [
        ("deeplabv3", 1000),
        ("mobilenet_v1_1.0", 200),
        ("tf2_mobilenet_v2", 100),
    ] {
        let all = models::public();
        let Some(model) = all.iter().find(|m| m.name.starts_with(name)) else {
            return;
        };
        let graph = tflite::read(&model.bytes()).expect("a public model");
        let array = &model.inputs(&model.cases[0])[0];
        let tensor = graph.tensor(graph.inputs[0]);
        let input = Value::from_bytes(tensor.dtype, tensor.shape.to_vec(), &array.data);
        let inputs = [input.expect("fits")];
        let run = |cores| {
            let options = Options {
                cores,
                clock_mhz: NonZeroU32::new(clock),
                ..Options::new(Target::Rk3588)
            };
            let executable = compile(&graph, &options).expect("compiles");
            let most = executable.steps.iter().map(|step| match step {
                Step::Submit(jobs) => jobs.len(),
                _ => 0,
            });
            assert_eq!(most.max() > Some(3), cores > 1, "{name}");
            let values = support::run(&graph, &executable, Grade::Silicon, &inputs);
            values.expect("no fault")[&graph.outputs[0]]
                .bytes()
                .to_vec()
        };
        assert!(run(1) == run(3), "{name}");
    }
}
