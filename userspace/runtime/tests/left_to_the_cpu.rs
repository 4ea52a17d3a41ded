//! Operators that are beyond what an NPU can do: they run on the CPU, and the model with them.

use ferrite_compiler::{Evidence, Options};
use ferrite_ir::Graph;
use ferrite_runtime::Session;
use ferrite_runtime::cpu::{Interpreter, Value};
use ferrite_runtime::device::{self, DeviceSpec};
use std::sync::Arc;

/// Runs a graph of uint8 or int8 inputs on both NPUs at all grades of evidence, and compares.
fn runs_everywhere(name: &str, graph: Graph) {
    let graph = Arc::new(graph);
    let mut noise = ferrite_testing::noise();
    let value = |&id| {
        let tensor = graph.tensor(id);
        let bytes: Vec<u8> = (0..tensor.bytes()).map(|_| noise()).collect();
        Value::from_bytes(tensor.dtype, tensor.shape.to_vec(), &bytes).unwrap()
    };
    let inputs: Vec<Value> = graph.inputs.iter().map(value).collect();
    let expected = Interpreter::new(Arc::clone(&graph))
        .unwrap()
        .run(&inputs)
        .unwrap();
    for device in ["sim:rk3588", "sim:a311d"] {
        let spec: DeviceSpec = device.parse().unwrap();
        let opened = device::open(&spec).unwrap().unwrap();
        for evidence in [Evidence::Silicon, Evidence::Sibling, Evidence::Inferred] {
            let options = Options {
                evidence,
                cores: opened.cores(),
                ..Options::new(opened.target())
            };
            let what = format!("{name} on {device} with {evidence:?}");
            let executable = ferrite_compiler::compile(&graph, &options)
                .unwrap_or_else(|error| panic!("{what}: {error}"));
            let session = Session::new(Arc::clone(&graph), Arc::new(executable), Some(&*opened));
            let found = session
                .and_then(|mut session| session.run(&inputs))
                .unwrap_or_else(|error| panic!("{what}: {error}"));
            for (found, expected) in found.iter().zip(&expected) {
                let pairs = found.bytes().iter().zip(expected.bytes());
                let far = |(a, b): (&u8, &u8)| (*a as i8).wrapping_sub(*b as i8).unsigned_abs() > 1;
                assert_eq!(pairs.filter(|&pair| far(pair)).count(), 0, "{what}");
            }
        }
    }
}

fn parse(text: &str) -> Graph {
    ferrite_ir::text::parse(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// A convolution with a scale for each channel.
fn per_channel(scales: [&str; 2], output: &str) -> Graph {
    let [a, b] = scales;
    parse(&format!(
        r#"graph "convolution"
inputs %0
outputs %3

%0 "x": int8[1,4,4,4] scale 0.5 zero 3
%1 "w": int8[2,1,1,4] axis 0 scales [{a}, {b}] zeros [0, 0] = [1, -120, 3, 0, 12, 0, 0, -1]
%2 "b": int32[2] = [7, -1]
%3 "y": int8[1,4,4,2] scale {output} zero -5

%3 = CONV_2D(%0, %1, %2) padding=SAME stride=1x1 dilation=1x1 activation=NONE
"#
    ))
}

#[test]
fn multipliers_of_any_size() {
    for (scales, output) in [
        (["1e12", "0.01"], "0.1"),
        (["0.02", "0.01"], "1e-20"),
        (["1e-12", "0.01"], "0.1"),
        (["1e-30", "0.01"], "0.1"),
        (["0.02", "0.01"], "1e20"),
    ] {
        let name = format!("scales {scales:?} to {output}");
        runs_everywhere(&name, per_channel(scales, output));
    }
}

#[test]
fn fully_connected_layers_of_many_inputs() {
    for (inputs, outputs) in [
        (16_384, 4),
        (16_385, 1),
        (20_000, 8),
        (25_088, 3),
        (65_537, 2),
    ] {
        for dtype in ["uint8", "int8"] {
            let zero = if dtype == "uint8" { 128 } else { 0 };
            let weights: Vec<i32> = (0..inputs * outputs)
                .map(|i: i64| (i * 7919 % 251 - 125) as i32 + zero)
                .collect();
            let weights = format!("{weights:?}");
            let graph = parse(&format!(
                r#"graph "fully connected"
inputs %0
outputs %3

%0 "x": {dtype}[1,{inputs}] scale 0.01 zero {zero}
%1 "w": {dtype}[{outputs},{inputs}] scale 0.01 zero {zero} = {weights}
%2 "b": int32[{outputs}] = {bias:?}
%3 "y": {dtype}[1,{outputs}] scale 1.5 zero {zero}

%3 = FULLY_CONNECTED(%0, %1, %2) activation=NONE keep_num_dims=false
"#,
                bias = vec![100; outputs as usize],
            ));
            runs_everywhere(&format!("{inputs} to {outputs}, {dtype}"), graph);
        }
    }
}
