//! Average poolings on the A311D's model: equal to TFLite's, ties included.

use ferrite_compiler::executable::Placement;
use ferrite_compiler::{Options, Target, compile};
use ferrite_ir::op::{Activation, Hw, OpKind, Padding, PoolParams};
use ferrite_ir::{DType, Graph, Node, OpId, PrimaryMap, Quant, Tensor, TensorId};
use ferrite_runtime::Session;
use ferrite_runtime::cpu::{Interpreter, Value};
use ferrite_runtime::device::sim_a311d::SimA311d;
use std::sync::Arc;

fn pooling(dtype: DType, zero: i32, window: Hw, stride: usize, activation: Activation) -> Graph {
    let map = |h: usize, w: usize| Tensor {
        name: String::new(),
        shape: [1, h, w, 3].into(),
        dtype,
        quant: Some(Quant::per_tensor(0.05, zero)),
        data: None,
        variable: false,
    };
    let along = |size: usize, taps: usize| (size - taps) / stride + 1;
    let id = TensorId::from_u32;
    let node = Node {
        kind: OpKind::AveragePool2d(PoolParams {
            padding: Padding::Valid,
            stride: Hw {
                h: stride,
                w: stride,
            },
            window,
            activation,
        }),
        inputs: [Some(id(0))].into_iter().collect(),
        outputs: [id(1)].into_iter().collect(),
    };
    let tensors = vec![map(37, 40), map(along(37, window.h), along(40, window.w))];
    let nodes = PrimaryMap::from(vec![node]);
    Graph::new("", tensors.into(), nodes, vec![id(0)], vec![id(1)])
}

#[test]
fn average_poolings_equal_tflites() {
    let device = SimA311d::new();
    let mut byte = ferrite_testing::noise();
    let windows = [[2, 2], [3, 3], [1, 2], [2, 3], [4, 4], [5, 2], [6, 6]];
    for [h, w] in windows {
        for (dtype, zeros) in [
            (DType::U8, [0, 7, 128, 255]),
            (DType::I8, [-128, -7, 0, 127]),
        ] {
            for zero in zeros {
                for activation in [Activation::None, Activation::Relu, Activation::Relu6] {
                    let stride = 1 + usize::from(byte() % 2);
                    let graph = Arc::new(pooling(dtype, zero, Hw { h, w }, stride, activation));
                    let noise: Vec<u8> = (0..37 * 40 * 3).map(|_| byte()).collect();
                    let input = Value::from_bytes(dtype, vec![1, 37, 40, 3], &noise).expect("fits");
                    let executable =
                        compile(&graph, &Options::new(Target::A311d)).expect("compiles");
                    let what = format!("{h}x{w} {dtype:?} {zero} {activation:?}");
                    let on_npu = matches!(
                        executable.placements[OpId::from_u32(0)],
                        Placement::Npu { .. }
                    );
                    assert!(
                        on_npu,
                        "{what}: {:?}",
                        executable.placements[OpId::from_u32(0)]
                    );
                    let mut session =
                        Session::new(graph.clone(), Arc::new(executable), Some(&device))
                            .expect("loads");
                    let found = session.run(std::slice::from_ref(&input)).expect("runs");
                    let cpu = Interpreter::new(Graph::clone(&graph)).expect("known");
                    let expected = cpu.run(&[input]).expect("runs");
                    assert!(found[0].bytes() == expected[0].bytes(), "{what}");
                }
            }
        }
    }
}
