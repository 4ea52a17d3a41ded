//! Which operators to take from the host.

use crate::import::Imported;
use ferrite_compiler::{Placement, Plan};
use ferrite_ir::{Graph, OpId, PrimaryMap, SecondaryMap, TensorId, Uses};
use std::sync::Arc;

/// What was found out about a whole model while its operators were chosen.
pub struct Chosen {
    /// Where the parts of the graph come from; the graph itself is in the plan.
    pub imported: Imported,
    /// How the operators are done.
    pub plan: Plan<Graph>,
    /// Those that go to the NPU.
    pub ops: Vec<OpId>,
}

impl Chosen {
    /// The host's nodes that go to the NPU.
    pub fn nodes(&self) -> impl Iterator<Item = i32> {
        let nodes = &self.imported.nodes;
        self.ops.iter().map(|&op| nodes[op])
    }

    /// All that was chosen as one partition with these results. None if the plan cannot be used for
    /// that.
    pub fn partition(self, outputs: &[i32]) -> Option<(Imported, Plan<Arc<Graph>>)> {
        let Chosen {
            mut imported,
            plan,
            ops,
        } = self;
        let id = |output: &i32| {
            let mut tensors = imported.tensors.iter();
            tensors.find_map(|(id, index)| (index == output).then_some(id))
        };
        let outputs: Option<Vec<TensorId>> = outputs.iter().map(id).collect();
        let plan = plan.part(&ops, outputs?)?;
        let nodes = ops.iter().map(|&op| imported.nodes[op]);
        imported.nodes = nodes.collect();
        imported.refused = imported.nodes.keys().map(|_| None).collect();
        Some((imported, plan))
    }
}

/// The operators of `graph`, which has these `uses`, that its `placements` put on the NPU, and those folded into them.
/// What is folded into nothing on the NPU (nobody needs its result) is the host's.
pub fn choose(graph: &Graph, uses: &Uses, placements: &PrimaryMap<OpId, Placement>) -> Vec<OpId> {
    let at = |op: OpId| &placements[op];
    let candidate = |op: OpId| !matches!(at(op), Placement::Cpu { .. });
    let mut chosen = SecondaryMap::new();
    chosen.resize(graph.op_bound());
    let mut open: Vec<OpId> = graph
        .op_ids()
        .filter(|&op| at(op).on_npu().is_some())
        .collect();
    while let Some(op) = open.pop() {
        if std::mem::replace(&mut chosen[op], true) {
            continue;
        }
        let node = graph.node(op);
        let before = node
            .inputs
            .iter()
            .flatten()
            .filter_map(|&id| uses.producer(id));
        let after = node
            .outputs
            .iter()
            .flat_map(|&id| uses.consumers(id).iter().copied());
        open.extend(before.chain(after).filter(|&op| candidate(op)));
    }
    graph.op_ids().filter(|&op| chosen[op]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferrite_compiler::Evidence;
    use ferrite_ir::op::Unary;
    use ferrite_ir::{DType, Node, OpKind, Tensor, TensorId};

    #[test]
    fn folded_operators_come_with_their_neighbours_only() {
        let tensor = || Tensor {
            name: String::new(),
            shape: [1].into_iter().collect(),
            dtype: DType::U8,
            quant: None,
            data: None,
            variable: false,
        };
        let node = |from, to| Node {
            kind: OpKind::Unary(Unary::Relu),
            inputs: [Some(TensorId::from_u32(from))].into_iter().collect(),
            outputs: [TensorId::from_u32(to)].into_iter().collect(),
        };
        // 0 -> NPU -> 1 -> folded -> 2 -> CPU -> 3 -> folded -> 4
        let tensors = (0..5).map(|_| tensor()).collect();
        let nodes = (0..4).map(|i| node(i, i + 1)).collect();
        let [first, last] = [0, 4].map(TensorId::from_u32);
        let graph = Graph::new("", tensors, nodes, vec![first], vec![last]);
        let npu = Placement::Npu {
            lowering: "".into(),
            evidence: Evidence::Silicon,
        };
        let cpu = Placement::Cpu {
            reason: String::new(),
            remedy: None,
        };
        let placements = vec![npu, Placement::Folded, cpu, Placement::Folded].into();
        assert_eq!(
            choose(&graph, &graph.uses(), &placements),
            [OpId::from_u32(0), OpId::from_u32(1)]
        );
    }
}
