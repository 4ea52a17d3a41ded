//! How many operands and results each operator has.

use std::ops::RangeInclusive;

use crate::op::OpKind;

/// Operand and result counts of an operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arity {
    /// Number of operands, omitted ones included.
    pub inputs: RangeInclusive<usize>,
    /// Operands from this one on may be omitted.
    pub optional_from: usize,
    /// Number of results.
    pub outputs: RangeInclusive<usize>,
}

/// Counts for an operator; `None` for one that is known by name only.
pub fn arity(kind: &OpKind) -> Option<Arity> {
    let (inputs, optional_from, outputs) = match kind {
        // The bias may be absent or omitted.
        OpKind::Conv2d(_) | OpKind::DepthwiseConv2d { .. } | OpKind::FullyConnected { .. } => {
            (2..=3, 2, 1..=1)
        }
        OpKind::TransposeConv { .. } => (3..=4, 3, 1..=1),
        // The third operand of PADV2 is not optional, but its absence makes it PAD.
        OpKind::Pad => (2..=3, 3, 1..=1),
        // The second operand repeats the output's shape.
        OpKind::Reshape => (1..=2, 1, 1..=1),
        OpKind::Binary { .. }
        | OpKind::Prelu
        | OpKind::MirrorPad { .. }
        | OpKind::ResizeBilinear { .. }
        | OpKind::ResizeNearest { .. }
        | OpKind::Reduce { .. }
        | OpKind::ExpandDims
        | OpKind::Transpose
        | OpKind::ArgMax { .. }
        | OpKind::GatherNd
        | OpKind::Gather { .. } => (2..=2, 2, 1..=1),
        OpKind::Unary(_)
        | OpKind::LeakyRelu { .. }
        | OpKind::AveragePool2d(_)
        | OpKind::MaxPool2d(_)
        | OpKind::Softmax { .. }
        | OpKind::Squeeze
        | OpKind::SpaceToDepth { .. }
        | OpKind::DepthToSpace { .. }
        | OpKind::Quantize
        | OpKind::Dequantize
        | OpKind::Cast => (1..=1, 1, 1..=1),
        OpKind::StridedSlice { .. } => (4..=4, 4, 1..=1),
        OpKind::Slice => (3..=3, 3, 1..=1),
        OpKind::Split => (2..=2, 2, 1..=usize::MAX),
        OpKind::SplitV => (3..=3, 3, 1..=usize::MAX),
        OpKind::Unpack { .. } => (1..=1, 1, 1..=usize::MAX),
        OpKind::Concatenation { .. } | OpKind::Pack { .. } => (1..=usize::MAX, usize::MAX, 1..=1),
        OpKind::DetectionPostProcess(_) => (3..=3, 3, 4..=4),
        OpKind::Unknown { .. } => return None,
    };
    Some(Arity {
        inputs,
        optional_from,
        outputs,
    })
}
