//! Element types and quantisation of operands and results.

use super::VerifyFault;
use crate::graph::{Graph, OpId};
use crate::op::{Binary, OpKind};
use crate::tensor::{DType, Tensor};
use std::fmt;

/// A tensor as faults name it.
#[derive(Clone, Copy)]
enum Operand {
    Input(usize),
    Output(usize),
}

impl fmt::Display for Operand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Operand::Input(index) => write!(f, "input {index}"),
            Operand::Output(index) => write!(f, "output {index}"),
        }
    }
}

/// Checks the types of one node.
pub(super) fn check(graph: &Graph, op: OpId) -> Result<(), VerifyFault> {
    let node = graph.node(op);
    let input = |i| graph.input(op, i);
    match &node.kind {
        OpKind::Conv2d(_) | OpKind::FullyConnected { .. } => weighted(graph, op, [0, 1, 2], 0),
        OpKind::DepthwiseConv2d { .. } => weighted(graph, op, [0, 1, 2], 3),
        OpKind::TransposeConv { .. } => weighted(graph, op, [2, 1, 3], 0),
        OpKind::Binary { op: function, .. } => {
            alike(graph, op, &[0, 1])?;
            let scaled = !matches!(function, Binary::Maximum | Binary::Minimum);
            if scaled {
                quantized(graph, op, &[0, 1])
            } else {
                Ok(())
            }
        }
        OpKind::Prelu => {
            alike(graph, op, &[0, 1])?;
            quantized(graph, op, &[0, 1])
        }
        OpKind::Softmax { .. } => {
            // 8-bit probabilities may be given with 16 bits.
            let wide = graph.output(op, 0).is_some_and(|t| t.dtype == DType::I16);
            if !wide {
                alike(graph, op, &[0])?;
            }
            quantized(graph, op, &[0])
        }
        OpKind::Unary(_) | OpKind::LeakyRelu { .. } => {
            alike(graph, op, &[0])?;
            quantized(graph, op, &[0])
        }
        OpKind::Reduce { .. } => {
            list(graph, op, 1)?;
            alike(graph, op, &[0])
        }
        OpKind::Concatenation { .. } | OpKind::Pack { .. } => {
            let all: Vec<usize> = (0..node.inputs.len()).collect();
            alike(graph, op, &all)
        }
        OpKind::Split => alike(graph, op, &[1]),
        OpKind::AveragePool2d(_)
        | OpKind::MaxPool2d(_)
        | OpKind::Reshape
        | OpKind::Squeeze
        | OpKind::ExpandDims
        | OpKind::SpaceToDepth { .. }
        | OpKind::DepthToSpace { .. }
        | OpKind::Unpack { .. } => alike(graph, op, &[0]),
        OpKind::Pad
        | OpKind::MirrorPad { .. }
        | OpKind::ResizeBilinear { .. }
        | OpKind::ResizeNearest { .. }
        | OpKind::Transpose
        | OpKind::StridedSlice { .. }
        | OpKind::Slice
        | OpKind::SplitV
        | OpKind::GatherNd
        | OpKind::Gather { .. } => {
            list(graph, op, 1)?;
            alike(graph, op, &[0])
        }
        OpKind::ArgMax { output } => match graph.output(op, 0) {
            Some(t) if t.dtype != *output => Err(wrong(Operand::Output(0), t, output.name())),
            Some(t) if !matches!(t.dtype, DType::I32 | DType::I64) => {
                Err(wrong(Operand::Output(0), t, "int32 or int64"))
            }
            _ => Ok(()),
        },
        OpKind::Quantize => {
            if let Some(t) = input(0).filter(|t| t.dtype != DType::F32) {
                per_tensor(Operand::Input(0), t)?;
            }
            graph
                .output(op, 0)
                .map_or(Ok(()), |t| per_tensor(Operand::Output(0), t))
        }
        OpKind::Dequantize => {
            let float = |t: &&Tensor| matches!(t.dtype, DType::F16 | DType::F32);
            match input(0).filter(|t| !float(t)) {
                Some(t) if t.quant.is_none() => Err(unquantized(Operand::Input(0), t)),
                _ => expect(graph.output(op, 0), Operand::Output(0), DType::F32),
            }
        }
        OpKind::DetectionPostProcess(_) => {
            quantized_inputs(graph, op, &[0, 1, 2])?;
            (0..4).try_for_each(|i| expect(graph.output(op, i), Operand::Output(i), DType::F32))
        }
        OpKind::Cast | OpKind::Unknown { .. } => Ok(()),
    }
}

fn wrong(what: Operand, tensor: &Tensor, expected: &'static str) -> VerifyFault {
    VerifyFault::ElementType {
        what: what.to_string(),
        found: tensor.dtype.name(),
        expected,
    }
}

fn unquantized(what: Operand, tensor: &Tensor) -> VerifyFault {
    VerifyFault::NotQuantized {
        what: what.to_string(),
        element: tensor.dtype.name(),
    }
}

fn expect(tensor: Option<&Tensor>, what: Operand, dtype: DType) -> Result<(), VerifyFault> {
    match tensor {
        Some(t) if t.dtype != dtype => Err(wrong(what, t, dtype.name())),
        _ => Ok(()),
    }
}

/// An operand that lists sizes or indices.
fn list(graph: &Graph, op: OpId, operand: usize) -> Result<(), VerifyFault> {
    match graph.input(op, operand) {
        Some(t) if !matches!(t.dtype, DType::I32 | DType::I64) => {
            Err(wrong(Operand::Input(operand), t, "int32 or int64"))
        }
        _ => Ok(()),
    }
}

/// These operands and all results have one type.
fn alike(graph: &Graph, op: OpId, operands: &[usize]) -> Result<(), VerifyFault> {
    let inputs = operands
        .iter()
        .map(|&i| (Operand::Input(i), graph.input(op, i)));
    let results = 0..graph.node(op).outputs.len();
    let mut all = inputs.chain(results.map(|i| (Operand::Output(i), graph.output(op, i))));
    let Some((.., Some(first))) = all.next() else {
        return Ok(());
    };
    all.try_for_each(|(what, t)| expect(t, what, first.dtype))
}

/// These operands and the first result are quantised as a whole if they are 8-bit integers.
fn quantized(graph: &Graph, op: OpId, operands: &[usize]) -> Result<(), VerifyFault> {
    quantized_inputs(graph, op, operands)?;
    match graph.output(op, 0) {
        Some(t) if is_8_bit(t) => per_tensor(Operand::Output(0), t),
        _ => Ok(()),
    }
}

fn quantized_inputs(graph: &Graph, op: OpId, operands: &[usize]) -> Result<(), VerifyFault> {
    let tensors = operands
        .iter()
        .filter_map(|&i| Some((i, graph.input(op, i)?)));
    tensors
        .filter(|(_, t)| is_8_bit(t))
        .try_for_each(|(i, t)| per_tensor(Operand::Input(i), t))
}

fn is_8_bit(tensor: &Tensor) -> bool {
    matches!(tensor.dtype, DType::U8 | DType::I8)
}

fn per_tensor(what: Operand, tensor: &Tensor) -> Result<(), VerifyFault> {
    if !matches!(
        tensor.dtype,
        DType::U8 | DType::I8 | DType::I16 | DType::I32
    ) {
        return Err(wrong(what, tensor, "a quantised type"));
    }
    match &tensor.quant {
        None => Err(unquantized(what, tensor)),
        Some(q) if !q.is_per_tensor() => Err(VerifyFault::Axes {
            what: what.to_string(),
            scales: q.scales.len(),
            axis: q.axis,
        }),
        Some(_) => Ok(()),
    }
}

/// Convolutions and fully connected layers: input, filter and bias operands, and the filter's
/// dimension of output channels.
fn weighted(
    graph: &Graph,
    op: OpId,
    [input, filter, bias]: [usize; 3],
    channels: usize,
) -> Result<(), VerifyFault> {
    let (Some(x), Some(w), Some(y)) = (
        graph.input(op, input),
        graph.input(op, filter),
        graph.output(op, 0),
    ) else {
        return Ok(());
    };
    let filter_name = Operand::Input(filter);
    let filter_type = match x.dtype {
        DType::U8 => DType::U8,
        DType::I8 | DType::I16 => DType::I8,
        // With integer filters this is TFLite's hybrid form, which quantises on the fly.
        DType::F32 if w.dtype != DType::F32 => w.dtype,
        DType::F32 => DType::F32,
        _ => {
            return Err(wrong(
                Operand::Input(input),
                x,
                "uint8, int8, int16 or float32",
            ));
        }
    };
    if w.dtype != filter_type {
        return Err(wrong(filter_name, w, filter_type.name()));
    }
    // A fully connected layer may widen its result.
    let wide = matches!(graph.node(op).kind, OpKind::FullyConnected { .. });
    if y.dtype != x.dtype && !(wide && y.dtype == DType::I16) {
        return Err(wrong(Operand::Output(0), y, x.dtype.name()));
    }
    if x.dtype == DType::F32 {
        return Ok(());
    }
    per_tensor(Operand::Input(input), x)?;
    per_tensor(Operand::Output(0), y)?;
    match &w.quant {
        None => return Err(unquantized(filter_name, w)),
        Some(q) if !q.is_per_tensor() && q.axis != channels => {
            return Err(VerifyFault::Axes {
                what: filter_name.to_string(),
                scales: q.scales.len(),
                axis: q.axis,
            });
        }
        Some(_) => {}
    }
    match graph.input(op, bias) {
        Some(b) if x.dtype == DType::I16 && b.dtype == DType::I64 => Ok(()),
        b => expect(b, Operand::Input(bias), DType::I32),
    }
}
