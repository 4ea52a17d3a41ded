//! Every NPU operator of the public models, fed with the reference's own input, against the
//! reference's result.

mod support;

use std::collections::HashMap;

use ferrite_compiler::{Evidence, Options, Placement, Target, compile};
use ferrite_hw::Grade;
use ferrite_ir::{DType, OpId, TensorId, single_op, tflite};
use ferrite_runtime::cpu::Value;
use ferrite_testing::models;

fn check(name: &str, evidence: Evidence, grade: Grade) {
    let all = models::public();
    let Some(model) = all.iter().find(|model| model.name == name) else {
        return;
    };
    let graph = tflite::read(&model.bytes()).expect("a public model");
    let (case, layers) = model.layers().expect("layers are stored");
    let mut known: HashMap<TensorId, Value> = HashMap::new();
    let inputs = model
        .cases
        .iter()
        .find(|c| c.id == case)
        .map(|c| model.inputs(c));
    let given = graph.inputs.iter().copied().zip(inputs.unwrap_or_default());
    let stored = layers
        .into_iter()
        .map(|(i, array)| (TensorId::from_u32(i as u32), array));
    for (id, array) in given.chain(stored) {
        let tensor = graph.tensor(id);
        if tensor.dtype.size() == 1 {
            let value = Value::from_bytes(tensor.dtype, tensor.shape.to_vec(), &array.data);
            known.insert(id, value.expect("fits"));
        }
    }
    let options = Options {
        evidence,
        ..Options::new(Target::Rk3588)
    };
    let (mut compared, mut worst) = (0, 0);
    for op in graph.op_ids() {
        let single = single_op(&graph, op);
        let output = single.outputs[0];
        let ready = single.inputs.iter().all(|id| known.contains_key(id));
        let executable = compile(&single.graph, &options).expect("compiles");
        let on_npu = matches!(
            executable.placements[OpId::from_u32(0)],
            Placement::Npu { .. }
        );
        let (Some(expected), true, true) = (known.get(&output), ready, on_npu) else {
            continue;
        };
        let inputs: Vec<Value> = single.inputs.iter().map(|id| known[id].clone()).collect();
        let values = support::run(&single.graph, &executable, grade, &inputs).expect("no fault");
        let signed = graph.tensor(output).dtype == DType::I8;
        let number = |b: u8| {
            if signed {
                i32::from(b as i8)
            } else {
                i32::from(b)
            }
        };
        let pairs = values[&single.graph.outputs[0]]
            .bytes()
            .iter()
            .zip(expected.bytes());
        let differences: Vec<i32> = pairs.map(|(&a, &b)| number(a) - number(b)).collect();
        let most = differences.iter().map(|d| d.abs()).max().unwrap_or(0);
        let off = differences.iter().filter(|&&d| d != 0).count();
        let mean = differences.iter().sum::<i32>() as f64 / differences.len() as f64;
        println!(
            "{name} op {} {}: worst {most}, {:.3} % differ, mean {mean:+.5}",
            op.as_u32(),
            graph.op_name(op),
            100.0 * off as f64 / differences.len() as f64
        );
        assert!(most <= 1, "{name} op {}: off by {most}", op.as_u32());
        compared += 1;
        worst = worst.max(most);
    }
    assert!(compared > 10, "{name}: only {compared} layers compared");
}

#[test]
fn mobilenet_v1() {
    check(
        "mobilenet_v1_0.25_128_quant",
        Evidence::Silicon,
        Grade::Silicon,
    );
}

#[test]
fn mobilenet_v2() {
    check(
        "mobilenet_v2_1.0_224_quant",
        Evidence::Silicon,
        Grade::Silicon,
    );
}

#[test]
fn mobilenet_v2_per_axis_on_the_host() {
    check(
        "tf2_mobilenet_v2_1.0_224_ptq",
        Evidence::Silicon,
        Grade::Silicon,
    );
}

#[test]
fn mobilenet_v2_per_axis_on_chip() {
    check(
        "tf2_mobilenet_v2_1.0_224_ptq",
        Evidence::Sibling,
        Grade::Sibling,
    );
}

#[test]
fn deeplab() {
    check(
        "deeplabv3_mnv2_dm05_pascal_quant",
        Evidence::Silicon,
        Grade::Silicon,
    );
}

#[test]
fn movenet_on_the_host() {
    check(
        "movenet_single_pose_lightning_ptq",
        Evidence::Silicon,
        Grade::Silicon,
    );
}

#[test]
fn movenet_on_chip() {
    check(
        "movenet_single_pose_lightning_ptq",
        Evidence::Sibling,
        Grade::Sibling,
    );
}

#[test]
fn traffic() {
    check("traffic_model", Evidence::Silicon, Grade::Silicon);
}
