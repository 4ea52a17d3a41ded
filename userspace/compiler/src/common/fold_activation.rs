//! Stand-alone RELU, RELU6 and the like into the operator before them.

use ferrite_ir::TensorId;
use ferrite_ir::op::{Activation, Binary, OpKind, Unary};

use super::index::Index;
use super::stored::Stored;

/// The activation a unary operator is, if it is a clamp.
pub fn clamp(unary: Unary) -> Option<Activation> {
    match unary {
        Unary::Relu => Some(Activation::Relu),
        Unary::Relu6 => Some(Activation::Relu6),
        Unary::ReluN1To1 => Some(Activation::ReluN1To1),
        _ => None,
    }
}

/// Whether `output = unary(source)` is a mere clamp of what a convolution or addition, whose result
/// nobody else reads, can make itself.
pub fn fold(ctx: &Index, source: TensorId, output: TensorId, unary: Unary) -> bool {
    let same = Stored::of(ctx.tensor(source)) == Stored::of(ctx.tensor(output));
    clamp(unary).is_some()
        && same
        && ctx.only_use(source)
        && ctx
            .producer(source)
            .is_some_and(|(_, node)| takes_clamp(&node.kind))
}

/// The clamps that [`fold`] moves to their producers: producer's result, activation.
pub fn folded(ctx: &Index) -> Vec<(TensorId, Activation)> {
    let mut clamps = Vec::new();
    for op in ctx.graph.op_ids() {
        let node = ctx.graph.node(op);
        if let OpKind::Unary(unary) = node.kind
            && let (Some(Some(source)), Some(&output)) = (node.inputs.first(), node.outputs.first())
            && fold(ctx, *source, output, unary)
            && let Some(activation) = clamp(unary)
        {
            clamps.push((*source, activation));
        }
    }
    clamps
}

fn takes_clamp(kind: &OpKind) -> bool {
    matches!(
        kind,
        OpKind::Conv2d(_)
            | OpKind::DepthwiseConv2d { .. }
            | OpKind::FullyConnected { .. }
            | OpKind::Binary {
                op: Binary::Add | Binary::Sub,
                ..
            }
    )
}
