//! Parts of a plan against plans of parts.

use ferrite_compiler::executable::{BufferId, Role, Step};
use ferrite_compiler::{Executable, Options, Plan, Target};
use ferrite_ir::{Graph, OpId, TensorId, tflite};
use ferrite_testing::models;

/// Results of `ops` that the model gives out or others read.
fn wanted(graph: &Graph, ops: &[OpId]) -> Vec<TensorId> {
    let uses = graph.uses();
    let made = ops.iter().flat_map(|&op| graph.node(op).outputs.clone());
    let leaves = |id: &TensorId| {
        let readers = uses.consumers(*id);
        graph.outputs.contains(id) || readers.iter().any(|reader| !ops.contains(reader))
    };
    made.filter(leaves).collect()
}

/// Without the places of maps: what the rest of the model does with one may make it larger.
fn unplaced(mut executable: Executable) -> Executable {
    let activations = BufferId::from_u32(1);
    assert_eq!(executable.buffers[activations].role, Role::Activations);
    executable.buffers[activations].size = 0;
    for relocation in &mut executable.relocations {
        if relocation.target == activations {
            relocation.addend = 0;
        }
    }
    for step in &mut executable.steps {
        if let Step::Enter(port) | Step::Leave(port) | Step::Requantise { port, .. } = step {
            (port.region.offset, port.region.len) = (0, 0);
        }
    }
    executable
}

#[test]
fn parts_compile_like_graphs_of_their_own() {
    let mut parts = 0;
    for model in models::public() {
        let graph = tflite::read(&model.bytes()).expect("a public model");
        let options = Options::new(Target::Rk3588);
        let plan = Plan::new(graph.clone(), &options).expect("plans");
        let all: Vec<OpId> = graph.op_ids().collect();
        let half = all.len() / 2;
        for ops in [&all[..], &all[..half], &all[half..]] {
            let outputs = wanted(&graph, ops);
            let mut own = graph.clone();
            own.keep_ops(ops);
            own.inputs = own.free_tensors();
            own.outputs = outputs.clone();
            let Some(part) = plan.clone().part(ops, outputs) else {
                continue;
            };
            assert_eq!(**part.graph(), own, "{}", model.name);
            let alone = Plan::new(&own, &options).expect("plans");
            // What is not worth a submission depends on the rest of the model.
            if alone.placements != part.placements {
                continue;
            }
            let ours = unplaced(part.compile().expect("compiles"));
            let expected = unplaced(alone.compile().expect("compiles"));
            assert!(ours == expected, "{}, {} operators", model.name, ops.len());
            parts += 1;
        }
        // The host knows more outputs than the graph: what was decided without them may be wrong.
        let inner = graph.node(all[0]).outputs.to_vec();
        if plan.uses().consumers(inner[0]).len() == 1 {
            assert!(plan.part(&all, inner).is_none(), "{}", model.name);
        }
    }
    println!("{parts} parts");
    assert!(parts >= models::public().len() || models::public().is_empty());
}
