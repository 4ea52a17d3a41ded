//! Operators and their parameters.

use crate::tensor::DType;

/// Padding scheme of windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Padding {
    /// Output size is ceil(input / stride); padding is split with the smaller half first.
    Same,
    /// No padding.
    Valid,
}

/// Activation fused into an operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Activation {
    /// None.
    None,
    /// max(x, 0)
    Relu,
    /// clamp(x, -1, 1)
    ReluN1To1,
    /// clamp(x, 0, 6)
    Relu6,
}

/// A pair of values for the two spatial axes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hw {
    /// Along the height.
    pub h: usize,
    /// Along the width.
    pub w: usize,
}

/// Window of a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ConvParams {
    /// Padding scheme.
    pub padding: Padding,
    /// Stride in elements.
    pub stride: Hw,
    /// Distance of neighbouring taps (1 = dense).
    pub dilation: Hw,
    /// Fused activation.
    pub activation: Activation,
}

/// Window of a pooling.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PoolParams {
    /// Padding scheme.
    pub padding: Padding,
    /// Stride in elements.
    pub stride: Hw,
    /// Window size.
    pub window: Hw,
    /// Fused activation.
    pub activation: Activation,
}

/// Element-wise functions of one operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Unary {
    Logistic,
    Tanh,
    Relu,
    Relu6,
    ReluN1To1,
    Relu0To1,
    HardSwish,
    Sqrt,
    Rsqrt,
    Exp,
    Abs,
    Neg,
    Floor,
    Round,
    Log,
    Sin,
    Cos,
    Square,
}

/// Element-wise functions of two operands, which broadcast.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Binary {
    Add,
    Sub,
    Mul,
    Div,
    FloorDiv,
    FloorMod,
    Maximum,
    Minimum,
    SquaredDifference,
    Pow,
}

/// Reductions over axes (operand 1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Reduce {
    Mean,
    Max,
    Min,
    Sum,
}

/// What a node computes. Operand order is TFLite's.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub enum OpKind {
    /// input, filter `[oc, kh, kw, ic / groups]`, optional bias.
    Conv2d(ConvParams),
    /// input, filter `[1, kh, kw, c * multiplier]`, optional bias.
    DepthwiseConv2d {
        params: ConvParams,
        multiplier: usize,
    },
    /// input, filter `[out, in]`, optional bias.
    FullyConnected {
        activation: Activation,
        keep_num_dims: bool,
    },
    /// output shape, filter `[oc, kh, kw, ic]`, input, optional bias.
    TransposeConv {
        padding: Padding,
        stride: Hw,
        activation: Activation,
    },
    Binary {
        op: Binary,
        activation: Activation,
    },
    Unary(Unary),
    LeakyRelu {
        alpha: f32,
    },
    /// input, alpha.
    Prelu,
    AveragePool2d(PoolParams),
    MaxPool2d(PoolParams),
    Concatenation {
        axis: i32,
        activation: Activation,
    },
    /// input, paddings, optional value (PADV2).
    Pad,
    /// input, paddings; `reflect` leaves out the border element.
    MirrorPad {
        reflect: bool,
    },
    /// input, size.
    ResizeBilinear {
        align_corners: bool,
        half_pixel_centers: bool,
    },
    /// input, size.
    ResizeNearest {
        align_corners: bool,
        half_pixel_centers: bool,
    },
    /// input, axes.
    Reduce {
        op: Reduce,
        keep_dims: bool,
    },
    Softmax {
        beta: f32,
    },
    /// input, optional shape operand; the output tensor's shape decides.
    Reshape,
    Squeeze,
    /// input, axis.
    ExpandDims,
    /// input, permutation.
    Transpose,
    /// input, begin, end, strides.
    StridedSlice {
        begin_mask: u32,
        end_mask: u32,
        ellipsis_mask: u32,
        new_axis_mask: u32,
        shrink_axis_mask: u32,
    },
    /// input, begin, size.
    Slice,
    /// axis, input.
    Split,
    /// input, sizes, axis.
    SplitV,
    SpaceToDepth {
        block: usize,
    },
    DepthToSpace {
        block: usize,
    },
    Pack {
        axis: i32,
    },
    Unpack {
        axis: i32,
    },
    /// input, axis.
    ArgMax {
        output: DType,
    },
    Quantize,
    Dequantize,
    Cast,
    GatherNd,
    Gather {
        axis: i32,
    },
    /// boxes, scores, anchors. Options are those of TFLite's custom operator.
    DetectionPostProcess(DetectionParams),
    /// An operator the reader knows only by name: nothing can run it, but `info` can show it.
    Unknown {
        name: String,
    },
}

/// Options of TFLite_Detection_PostProcess.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub struct DetectionParams {
    pub max_detections: usize,
    pub max_classes_per_detection: usize,
    pub detections_per_class: usize,
    pub use_regular_nms: bool,
    pub nms_score_threshold: f32,
    pub nms_iou_threshold: f32,
    pub num_classes: usize,
    /// y, x, h, w.
    pub scales: [f32; 4],
}

impl OpKind {
    /// TFLite's name of the operator. (PADV2 is [`OpKind::Pad`] with a third operand: see
    /// [`crate::Graph::op_name`].)
    pub fn name(&self) -> &str {
        match self {
            OpKind::Conv2d(_) => "CONV_2D",
            OpKind::DepthwiseConv2d { .. } => "DEPTHWISE_CONV_2D",
            OpKind::FullyConnected { .. } => "FULLY_CONNECTED",
            OpKind::TransposeConv { .. } => "TRANSPOSE_CONV",
            OpKind::Binary { op, .. } => op.name(),
            OpKind::Unary(op) => op.name(),
            OpKind::LeakyRelu { .. } => "LEAKY_RELU",
            OpKind::Prelu => "PRELU",
            OpKind::AveragePool2d(_) => "AVERAGE_POOL_2D",
            OpKind::MaxPool2d(_) => "MAX_POOL_2D",
            OpKind::Concatenation { .. } => "CONCATENATION",
            OpKind::Pad => "PAD",
            OpKind::MirrorPad { .. } => "MIRROR_PAD",
            OpKind::ResizeBilinear { .. } => "RESIZE_BILINEAR",
            OpKind::ResizeNearest { .. } => "RESIZE_NEAREST_NEIGHBOR",
            OpKind::Reduce { op, .. } => op.name(),
            OpKind::Softmax { .. } => "SOFTMAX",
            OpKind::Reshape => "RESHAPE",
            OpKind::Squeeze => "SQUEEZE",
            OpKind::ExpandDims => "EXPAND_DIMS",
            OpKind::Transpose => "TRANSPOSE",
            OpKind::StridedSlice { .. } => "STRIDED_SLICE",
            OpKind::Slice => "SLICE",
            OpKind::Split => "SPLIT",
            OpKind::SplitV => "SPLIT_V",
            OpKind::SpaceToDepth { .. } => "SPACE_TO_DEPTH",
            OpKind::DepthToSpace { .. } => "DEPTH_TO_SPACE",
            OpKind::Pack { .. } => "PACK",
            OpKind::Unpack { .. } => "UNPACK",
            OpKind::ArgMax { .. } => "ARG_MAX",
            OpKind::Quantize => "QUANTIZE",
            OpKind::Dequantize => "DEQUANTIZE",
            OpKind::Cast => "CAST",
            OpKind::GatherNd => "GATHER_ND",
            OpKind::Gather { .. } => "GATHER",
            OpKind::DetectionPostProcess(_) => "TFLite_Detection_PostProcess",
            OpKind::Unknown { name } => name,
        }
    }
}

/// Gives an enumeration of plain operators its TFLite names, both ways.
macro_rules! operator_names {
    ($ty:ident { $($variant:ident $name:literal),* $(,)? }) => {
        impl $ty {
            /// TFLite's name.
            pub const fn name(self) -> &'static str {
                match self {
                    $($ty::$variant => $name,)*
                }
            }

            /// The operator of TFLite's name.
            pub fn from_name(name: &str) -> Option<Self> {
                match name {
                    $($name => Some($ty::$variant),)*
                    _ => None,
                }
            }
        }
    };
}

operator_names!(Unary {
    Logistic "LOGISTIC",
    Tanh "TANH",
    Relu "RELU",
    Relu6 "RELU6",
    ReluN1To1 "RELU_N1_TO_1",
    Relu0To1 "RELU_0_TO_1",
    HardSwish "HARD_SWISH",
    Sqrt "SQRT",
    Rsqrt "RSQRT",
    Exp "EXP",
    Abs "ABS",
    Neg "NEG",
    Floor "FLOOR",
    Round "ROUND",
    Log "LOG",
    Sin "SIN",
    Cos "COS",
    Square "SQUARE",
});
operator_names!(Binary {
    Add "ADD",
    Sub "SUB",
    Mul "MUL",
    Div "DIV",
    FloorDiv "FLOOR_DIV",
    FloorMod "FLOOR_MOD",
    Maximum "MAXIMUM",
    Minimum "MINIMUM",
    SquaredDifference "SQUARED_DIFFERENCE",
    Pow "POW",
});
operator_names!(Reduce {
    Mean "MEAN",
    Max "REDUCE_MAX",
    Min "REDUCE_MIN",
    Sum "SUM",
});
