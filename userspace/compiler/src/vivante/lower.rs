//! Chooses, for each operator, how the target does it.

use std::collections::HashSet;

use ferrite_ir::op::{Binary, OpKind, Reduce};
use ferrite_ir::{OpId, TensorId};

use super::context::Context;
use super::program::Layer;
use super::{diagonal, lower_add, lower_concat, lower_conv, lower_requant};
use crate::Unsupported;
pub use crate::common::choice::Reads;
use crate::common::index::map_shape;
use crate::common::stored::Stored;
use crate::common::{Lowered, fold_activation};
use crate::executable::Evidence;

/// What becomes of an operator.
pub type Choice = crate::common::Choice<Layer>;

/// Tensors read, name of the lowering, jobs.
pub type Lowering = Result<(Reads, String, Vec<Layer>), Unsupported>;

/// Chooses for operator `op`; layers refer to maps in the context.
pub fn choose(ctx: &mut Context, op: OpId) -> Choice {
    let node = ctx.graph.node(op);
    if let Some(source) = view(ctx, op) {
        ctx.alias(node.outputs[0], source);
        return Choice::View(source);
    }
    let lowering = match &node.kind {
        OpKind::Conv2d(_) | OpKind::DepthwiseConv2d { .. } => lower_conv::lower_conv(ctx, op),
        OpKind::FullyConnected { .. } => lower_conv::lower_fully_connected(ctx, op),
        OpKind::Binary {
            op: Binary::Add | Binary::Sub,
            ..
        } => lower_add::lower_add(ctx, op),
        OpKind::Concatenation { .. } => lower_concat::lower_concat(ctx, op),
        OpKind::Quantize | OpKind::Unary(_) => lower_requant::lower_requant(ctx, op),
        OpKind::AveragePool2d(_) => diagonal::lower_average_pool(ctx, op),
        OpKind::Reduce {
            op: Reduce::Mean, ..
        } => diagonal::lower_mean(ctx, op),
        OpKind::Pad => diagonal::lower_pad(ctx, op),
        OpKind::MaxPool2d(_) => Err(Unsupported::new(
            "the encoding of maximum pooling on this chip is not known",
        )),
        _ => Err(Unsupported::new(format!(
            "no lowering of {} to the A311D",
            ctx.graph.op_name(op)
        ))),
    };
    match lowering {
        Ok((reads, name, layers)) => {
            let weakest = layers.iter().map(|layer| layer.evidence).max();
            let weakest = weakest.unwrap_or(Evidence::Silicon);
            if !ctx.admits(weakest) {
                let why = format!(
                    "{name}: an accumulator that counts an output step or more has not been seen on the chip"
                );
                return Choice::Cpu(
                    Unsupported::new(why)
                        .with_remedy("prove it with `ferrite selftest` on a board"),
                );
            }
            Choice::Npu {
                reads,
                lowered: Lowered {
                    name: name.into(),
                    evidence: weakest,
                    layers,
                    raw: None,
                },
            }
        }
        Err(why) => Choice::Cpu(why),
    }
}

/// Leaves operators without jobs to the CPU where the device has neither operands nor use for the
/// result.
pub fn leave_idle(ctx: &Context, choices: &mut [Choice]) {
    let choice_of = |op: OpId| &choices[op.0 as usize];
    let on_device = |mut tensor: TensorId| loop {
        match ctx.producer(tensor).map(|(op, _)| choice_of(op)) {
            Some(Choice::View(source)) => tensor = *source,
            Some(Choice::Npu { .. }) => return true,
            Some(Choice::Cpu(_)) | None => return false,
        }
    };
    let mut used = HashSet::new();
    for choice in choices.iter().rev() {
        match choice {
            Choice::Npu { reads, .. } => used.extend(reads),
            Choice::View(source) => used.extend([*source]),
            Choice::Cpu(_) => {}
        }
    }
    let is_idle = |op: &OpId| match choice_of(*op) {
        Choice::Npu { reads, lowered } => {
            let outputs = &ctx.graph.node(*op).outputs;
            lowered.layers.is_empty()
                && !reads.iter().any(|&tensor| on_device(tensor))
                && !outputs.iter().any(|tensor| used.contains(tensor))
        }
        Choice::View(_) | Choice::Cpu(_) => false,
    };
    let idle: Vec<OpId> = ctx.graph.op_ids().filter(is_idle).collect();
    for op in idle {
        let why = Unsupported::new("its operands and result are on the host");
        choices[op.0 as usize] = Choice::Cpu(why);
    }
}

/// The tensor whose bytes the operator's result has, if it moves and changes nothing.
fn view(ctx: &Context, op: OpId) -> Option<TensorId> {
    let node = ctx.graph.node(op);
    let source = (*node.inputs.first()?)?;
    let output = *node.outputs.first()?;
    let (from, to) = (ctx.tensor(source), ctx.tensor(output));
    if from.is_constant() {
        return None;
    }
    match &node.kind {
        OpKind::Reshape | OpKind::Squeeze | OpKind::ExpandDims => {
            let (a, b) = (map_shape(from)?, map_shape(to)?);
            let linear = |[h, w, c]: [usize; 3]| h * w == 1 || c == 1;
            let same = a[0] * a[1] == b[0] * b[1] && a[2] == b[2];
            let moved = same || linear(a) && linear(b);
            (moved && Stored::of(from)? == Stored::of(to)?).then_some(source)
        }
        OpKind::Quantize => {
            let (a, b) = (Stored::of(from)?, Stored::of(to)?);
            (a.scale == b.scale && a.zero == b.zero).then_some(source)
        }
        OpKind::Unary(unary) => {
            fold_activation::fold(ctx, source, output, *unary).then_some(source)
        }
        _ => None,
    }
}
