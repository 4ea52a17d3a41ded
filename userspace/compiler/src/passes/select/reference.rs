//! Quantisations that TFLite's kernels ignore, refuse or overflow with, so that no target may rescale.

use ferrite_ir::op::{Binary, OpKind, Reduce};
use ferrite_ir::{DType, Graph, OpId, Quant, Tensor};

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
    if overflows(graph, op, output) {
        return Err(Unsupported::new(
            "with its scales the sums overflow the 32 bits that TFLite's kernel has",
        )
        .with_remedy("quantise the model with inputs of their real range"));
    }
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

/// Whether a result in steps of the output, shifted left as TFLite's fixed point does for a factor above
/// one, may have more than 32 bits. It wraps around then, where an NPU saturates.
fn overflows(graph: &Graph, op: OpId, output: &Tensor) -> bool {
    let node = graph.node(op);
    if matches!(node.kind, OpKind::Reshape | OpKind::AveragePool2d(_)) {
        // Nothing is scaled.
        return false;
    }
    let operand = |at: usize| Some(graph.tensor((*node.inputs.get(at)?)?));
    let largest = |tensor: &Tensor| {
        let scales = tensor.quant.iter().flat_map(|quant| &quant.scales);
        scales.fold(0.0, |most, &scale| f64::max(most, scale.into()))
    };
    let [first, second] = [operand(0), operand(1)];
    let (Some(scale), Some(to)) = (
        first.map(largest),
        Some(largest(output)).filter(|&s| s > 0.0),
    ) else {
        return false;
    };
    let weights = second.map_or(0.0, largest);
    // The largest sum, and output steps for each of its steps.
    let (reach, factor) = match node.kind {
        OpKind::Conv2d(_) | OpKind::DepthwiseConv2d { .. } | OpKind::FullyConnected { .. } => {
            let factor = scale * weights / to;
            if factor <= 1.0 {
                return false;
            }
            let taps = graph.macs(op) as f64 / output.elements().max(1) as f64;
            let biases = operand(2).and_then(|bias| bias.data.as_deref());
            let biases = biases.map_or(&[][..], |bytes| bytes.as_chunks().0);
            let biases = biases.iter().map(|&word| i32::from_le_bytes(word));
            let bias = biases.fold(0, |most, bias| most.max(bias.unsigned_abs()));
            (taps * 255.0 * 255.0 + f64::from(bias), factor)
        }
        OpKind::Reduce {
            op: Reduce::Mean, ..
        } => {
            let each = first.map_or(1, Tensor::elements) / output.elements().max(1);
            (255.0 * each as f64, scale / to / each.max(1) as f64)
        }
        OpKind::Binary {
            op: Binary::Mul, ..
        } => (255.0 * 255.0, scale * weights / to),
        // A common step of 1/2^20 of the larger scale, which the kernel only makes coarser again.
        OpKind::Binary {
            op: Binary::Add | Binary::Sub,
            ..
        } => return scale.max(weights) / f64::from(1 << 19) >= to,
        OpKind::Quantize | OpKind::LeakyRelu { .. } | OpKind::Prelu => (255.0, scale / to),
        _ => return false,
    };
    factor > 1.0 && reach * f64::powi(2.0, factor.log2().ceil() as i32) >= f64::from(i32::MAX)
}

fn same(a: &Option<Quant>, b: &Option<Quant>) -> bool {
    let first = |quant: &Quant| Some((*quant.scales.first()?, *quant.zero_points.first()?));
    a.as_ref().and_then(first) == b.as_ref().and_then(first)
}
