//! Quantisations that TFLite's kernels ignore or refuse, so that no target may rescale.

use ferrite_ir::op::OpKind;
use ferrite_ir::{DType, Graph, OpId, Quant};

use crate::error::Unsupported;

/// Whether TFLite's kernel computes with the quantisation of the operator's tensors as it is written.
///
/// # Errors
/// If it takes the result for quantised like the operand, or refuses the model.
pub fn check(graph: &Graph, op: OpId) -> Result<(), Unsupported> {
    let node = graph.node(op);
    let [output] = node.outputs[..] else {
        return Ok(());
    };
    let output = graph.tensor(output);
    let mut operands = node.inputs.iter().flatten().map(|&id| graph.tensor(id));
    let why = match &node.kind {
        OpKind::AveragePool2d(_) => {
            "TFLite's kernel takes the result for quantised as the operand, which it is not"
        }
        OpKind::Concatenation { .. } if output.dtype == DType::I8 => {
            "TFLite's kernel wants int8 operands that are quantised as the result, which one is not"
        }
        _ => return Ok(()),
    };
    match operands.all(|operand| same(&operand.quant, &output.quant)) {
        true => Ok(()),
        false => Err(Unsupported::new(why).with_remedy(
            "convert the model again: current converters give these tensors one quantisation",
        )),
    }
}

fn same(a: &Option<Quant>, b: &Option<Quant>) -> bool {
    let first = |quant: &Quant| Some((*quant.scales.first()?, *quant.zero_points.first()?));
    a.as_ref().and_then(first) == b.as_ref().and_then(first)
}
