//! The reference models and cases: all can be read, and hold what other tools see in them.

use std::collections::BTreeMap;

use ferrite_ir::{Graph, OpKind, tflite};
use ferrite_testing::{cases, models};

fn read(file: &[u8], name: &str) -> Graph {
    tflite::read(file).unwrap_or_else(|e| panic!("{name}: {e}"))
}

fn assert_all_known(graph: &Graph, name: &str) {
    for op in graph.op_ids() {
        let kind = &graph.node(op).kind;
        assert!(!matches!(kind, OpKind::Unknown { .. }), "{name}: {kind:?}");
    }
}

#[test]
fn models_have_the_operators_and_macs_of_the_manifest() {
    for model in models::public() {
        let graph = read(&model.bytes(), &model.name);
        let mut ops = BTreeMap::new();
        let mut macs = BTreeMap::new();
        for op in graph.op_ids() {
            let name = match graph.op_name(op) {
                custom @ "TFLite_Detection_PostProcess" => format!("CUSTOM:{custom}"),
                builtin => builtin.to_owned(),
            };
            *ops.entry(name.clone()).or_default() += 1;
            *macs.entry(name).or_default() += graph.macs(op);
        }
        macs.retain(|_, &mut macs| macs > 0);
        assert_eq!(ops, model.summary.ops, "{}", model.name);
        assert_eq!(macs, model.summary.macs_by_op, "{}", model.name);
        assert_eq!(graph.total_macs(), model.summary.macs, "{}", model.name);
        assert_all_known(&graph, &model.name);
    }
}

#[test]
fn model_inputs_and_outputs_have_the_reference_shapes() {
    for model in models::public() {
        let graph = read(&model.bytes(), &model.name);
        for case in &model.cases {
            let inputs = (&graph.inputs, model.inputs(case));
            let outputs = (&graph.outputs, model.outputs(case));
            for (ids, arrays) in [inputs, outputs] {
                assert_eq!(ids.len(), arrays.len(), "{}", model.name);
                for (&id, array) in ids.iter().zip(arrays) {
                    assert_eq!(graph.tensor(id).shape[..], array.shape, "{}", model.name);
                }
            }
        }
    }
}

#[test]
fn cases_have_the_operators_shapes_and_macs_of_the_manifest() {
    for case in cases::public() {
        let graph = read(&case.model(), &case.id);
        let ops: Vec<&str> = graph.op_ids().map(|op| graph.op_name(op)).collect();
        assert_eq!(ops, case.ops, "{}", case.id);
        assert_eq!(graph.total_macs(), case.macs, "{}", case.id);
        assert_all_known(&graph, &case.id);
        let (inputs, outputs) = case.arrays();
        for (ids, arrays) in [(&graph.inputs, inputs), (&graph.outputs, outputs)] {
            for (&id, array) in ids.iter().zip(arrays) {
                let tensor = graph.tensor(id);
                assert_eq!(tensor.shape[..], array.shape, "{}", case.id);
                assert_eq!(tensor.dtype.name(), array.element.name(), "{}", case.id);
            }
        }
    }
}
