//! The verifier notices what does not fit: each result of each operator of the reference models
//! and cases, changed on its own, is reported at that operator.

use ferrite_ir::{DType, Graph, OpId, OpKind, tflite, verify};
use ferrite_testing::{cases, models, tflite::classifier};

fn graphs() -> impl Iterator<Item = (String, Graph)> {
    let own = std::iter::once(("classifier".to_owned(), classifier().file()));
    let cases = cases::public()
        .into_iter()
        .map(|c| (c.id.clone(), c.model()));
    let models = models::public()
        .into_iter()
        .map(|m| (m.name.clone(), m.bytes()));
    let files = own.chain(cases).chain(models);
    files.map(|(name, file)| (name, tflite::read(&file).expect("a good model")))
}

/// Whether the verifier reports this operator.
fn reports(graph: &Graph, op: OpId) -> bool {
    let errors = verify(graph).err().unwrap_or_default();
    errors
        .iter()
        .any(|e| e.op.as_ref().is_some_and(|(o, _)| *o == op))
}

#[test]
fn good_graphs_pass() {
    for (name, graph) in graphs() {
        assert_eq!(verify(&graph), Ok(()), "{name}");
    }
}

#[test]
fn wrong_output_shapes_are_reported() {
    for (name, good) in graphs() {
        let mut graph = good.clone();
        for op in good.op_ids() {
            for &id in &good.node(op).outputs {
                let shape = &mut graph.tensors[id].shape;
                match shape.last_mut() {
                    Some(last) => *last += 1,
                    None => shape.push(2),
                }
                let wrong = shape.clone();
                assert!(
                    reports(&graph, op),
                    "{name} {op:?} {}: {wrong:?}",
                    good.op_name(op)
                );
                graph.tensors[id] = good.tensor(id).clone();
            }
        }
    }
}

#[test]
fn wrong_output_types_are_reported() {
    for (name, good) in graphs() {
        let mut graph = good.clone();
        for op in good.op_ids() {
            if good.node(op).kind == OpKind::Cast {
                continue;
            }
            for &id in &good.node(op).outputs {
                graph.tensors[id].dtype = DType::Bool;
                let noticed = reports(&graph, op);
                assert!(noticed, "{name} {op:?} {}", good.op_name(op));
                graph.tensors[id] = good.tensor(id).clone();
            }
        }
    }
}

#[test]
fn missing_quantisation_is_reported() {
    for (name, good) in graphs() {
        let mut graph = good.clone();
        for op in good.op_ids() {
            let needs = matches!(
                good.node(op).kind,
                OpKind::Conv2d(_)
                    | OpKind::DepthwiseConv2d { .. }
                    | OpKind::FullyConnected { .. }
                    | OpKind::TransposeConv { .. }
                    | OpKind::Quantize
                    | OpKind::Softmax { .. }
                    | OpKind::Unary(_)
            );
            let id = good.node(op).outputs[0];
            if !needs || good.tensor(id).dtype == DType::F32 {
                continue;
            }
            graph.tensors[id].quant = None;
            assert!(reports(&graph, op), "{name} {op:?} {}", good.op_name(op));
            graph.tensors[id] = good.tensor(id).clone();
        }
    }
}

#[test]
fn a_use_before_the_definition_is_reported() {
    let mut graph = tflite::read(&classifier().file()).expect("a good model");
    let [first, second, .., last] = graph.op_ids().collect::<Vec<_>>()[..] else {
        panic!("three operators at least");
    };
    let swap = |graph: &mut ferrite_ir::Graph| {
        let node = graph.node(first).clone();
        let node = std::mem::replace(graph.node_mut(second), node);
        *graph.node_mut(first) = node;
    };
    swap(&mut graph);
    assert!(reports(&graph, first));
    swap(&mut graph);
    let again = graph.push(graph.node(last).clone());
    assert!(reports(&graph, again));
}
