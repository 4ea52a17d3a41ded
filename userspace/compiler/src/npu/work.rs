//! The items of the NPU form.

use ferrite_ir::op::Hw;
use ferrite_ir::{EntityRef, OpId, TensorId};
use smallvec::SmallVec;

use crate::error::Unsupported;

/// Tensors that an item reads.
pub type Operands = SmallVec<[TensorId; 4]>;

/// Smallest and largest stored value that an item may produce, in signed form: uint8 values less 128.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// Smallest value.
    pub low: i32,
    /// Largest value.
    pub high: i32,
}

impl Range {
    /// All 8-bit values.
    pub const FULL: Range = Range {
        low: -128,
        high: 127,
    };

    /// The values of `self` that are in `other` too; never empty.
    #[must_use]
    pub fn within(self, other: Range) -> Range {
        let low = self.low.max(other.low);
        Range {
            low,
            high: self.high.min(other.high).max(low),
        }
    }
}

/// Window of a convolution. Padding below and to the right follows from the output's size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Taps of the kernel.
    pub kernel: Hw,
    /// Elements from one output to the next.
    pub stride: Hw,
    /// Elements from tap to tap.
    pub dilation: Hw,
    /// Rows of padding above and columns to the left.
    pub pad: Hw,
}

impl Window {
    /// Rows and columns from the first tap to the last, both counted.
    pub fn span(&self) -> Hw {
        Hw {
            h: (self.kernel.h - 1) * self.dilation.h + 1,
            w: (self.kernel.w - 1) * self.dilation.w + 1,
        }
    }

    /// One tap, no padding.
    pub fn unit() -> Self {
        let one = Hw { h: 1, w: 1 };
        Window {
            kernel: one,
            stride: one,
            dilation: one,
            pad: Hw { h: 0, w: 0 },
        }
    }
}

/// Whether the first and the last of `output` windows that span `span` elements, `stride` apart and the
/// first `pad` before the input, see any of `input` elements.
pub fn sees_input(input: usize, output: usize, span: usize, stride: usize, pad: usize) -> bool {
    pad < span && (output - 1) * stride < input + pad
}

/// Windows of a map, each laid out as the channels of one pixel (im2col). The host does this where it
/// brings the map to the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patches {
    /// Rows, columns and channels of one image of the host's map.
    pub image: [usize; 3],
    /// The windows.
    pub window: Window,
}

impl Patches {
    /// As an executable has it.
    pub fn of(&self, images: usize) -> crate::executable::Patches {
        let pair = |size: Hw| [size.h, size.w];
        crate::executable::Patches {
            images,
            image: self.image,
            kernel: pair(self.window.kernel),
            stride: pair(self.window.stride),
            dilation: pair(self.window.dilation),
            pad: pair(self.window.pad),
        }
    }
}

/// How input channels meet output channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grouping {
    /// All with all.
    Dense,
    /// `inputs` channels with `outputs` channels of the same group.
    Groups {
        /// Input channels of a group.
        inputs: usize,
        /// Output channels of a group.
        outputs: usize,
        /// The filter is `[kh, kw, oc]` instead of `[oc, kh, kw, ic]`.
        channel_last: bool,
    },
}

/// What the model calls a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConvKind {
    /// CONV_2D.
    Conv,
    /// DEPTHWISE_CONV_2D.
    Depthwise,
    /// FULLY_CONNECTED: TFLite rounds its results once, those of the others twice.
    FullyConnected,
}

impl ConvKind {
    /// Name for reports and text.
    pub fn name(self) -> &'static str {
        match self {
            ConvKind::Conv => "conv",
            ConvKind::Depthwise => "depthwise",
            ConvKind::FullyConnected => "fully-connected",
        }
    }
}

/// A convolution.
#[derive(Clone, Debug, PartialEq)]
pub struct Conv {
    /// What the model calls it.
    pub kind: ConvKind,
    /// The map that it reads.
    pub input: TensorId,
    /// Images, one below the other in the map.
    pub images: usize,
    /// Input rows and columns of one image, channels.
    pub input_shape: [usize; 3],
    /// Output rows and columns of one image, channels.
    pub output_shape: [usize; 3],
    /// Window.
    pub window: Window,
    /// What the host makes the map of, where that is not the tensor as it is.
    pub patches: Option<Box<Patches>>,
    /// Channel structure.
    pub grouping: Grouping,
    /// Filter tensor.
    pub filter: TensorId,
    /// Bias tensor.
    pub bias: Option<TensorId>,
}

/// What a pooling makes of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolKind {
    /// AVERAGE_POOL_2D: the mean of the stored values under the window, padding left out.
    Average,
    /// MEAN over rows and columns: of the real values, rescaled.
    Mean,
    /// MAX_POOL_2D.
    Maximum,
}

impl PoolKind {
    /// Name for text.
    pub fn name(self) -> &'static str {
        match self {
            PoolKind::Average => "average",
            PoolKind::Mean => "mean",
            PoolKind::Maximum => "maximum",
        }
    }
}

/// A pooling over windows of each channel.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pool {
    /// What is made of a window.
    pub kind: PoolKind,
    /// The map that it reads.
    pub input: TensorId,
    /// Images, one below the other in the map.
    pub images: usize,
    /// Input rows and columns of one image.
    pub input_size: Hw,
    /// Output rows and columns of one image.
    pub output_size: Hw,
    /// Channels.
    pub channels: usize,
    /// Rows and columns of a window.
    pub window: Hw,
    /// Rows and columns from one window to the next.
    pub stride: Hw,
    /// Rows and columns by which the first window reaches beyond the image.
    pub pad: Hw,
}

/// How the outputs of a resize fall on its inputs; with neither, both begin at the same place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    /// The centres of the first and last elements coincide.
    pub align_corners: bool,
    /// The edges coincide.
    pub half_pixel_centers: bool,
}

/// A function of two maps, element by element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Elementwise {
    /// The product of the real values.
    Multiply,
    /// The larger of two stored values.
    Maximum,
    /// The smaller of two stored values.
    Minimum,
}

impl Elementwise {
    /// All functions.
    pub const ALL: [Elementwise; 3] = [
        Elementwise::Multiply,
        Elementwise::Maximum,
        Elementwise::Minimum,
    ];

    /// Name for text.
    pub fn name(self) -> &'static str {
        match self {
            Elementwise::Multiply => "multiply",
            Elementwise::Maximum => "max",
            Elementwise::Minimum => "min",
        }
    }
}

/// What is done to make a tensor.
#[derive(Clone, Debug, PartialEq)]
pub enum Work {
    /// A convolution.
    Conv(Conv),
    /// A convolution transposed: each input element adds a multiple of the kernel to the output, a stride
    /// behind the one before. The window's padding is what the output lacks at its beginning.
    TransposedConv(Conv),
    /// A pooling.
    Pool(Pool),
    /// The sum or difference of two maps of one shape.
    Add {
        /// The maps.
        operands: [TensorId; 2],
        /// Whether the second is subtracted.
        subtract: bool,
    },
    /// A function of two maps of one shape; the second may have one pixel, for all of the first's.
    Elementwise {
        /// The function.
        function: Elementwise,
        /// The maps.
        operands: [TensorId; 2],
    },
    /// A map whose values below zero are multiplied by a factor of their channel.
    Prelu {
        /// The map.
        input: TensorId,
        /// One factor for each channel.
        slopes: TensorId,
    },
    /// A map with channels of its zero point around its own.
    PadChannels {
        /// The map.
        input: TensorId,
        /// Channels before the first.
        before: usize,
    },
    /// Some neighbouring channels of a map.
    Channels {
        /// The map.
        input: TensorId,
        /// The first of them.
        first: usize,
    },
    /// A map cut into neighbouring channels, one map for each of the operator's results.
    Split(TensorId),
    /// The map's bytes, each replaced by what the operators between it and the result make of it.
    Table(TensorId),
    /// A map and a constant for each channel.
    AddConstant {
        /// The map.
        input: TensorId,
        /// One value, or one for each channel.
        constant: TensorId,
        /// Whether the constant is subtracted.
        subtract: bool,
    },
    /// Maps of equal rows and columns, one's channels behind the other's.
    Concat(Operands),
    /// Maps of equal channels, one's rows below or columns beside the other's.
    Join {
        /// The maps.
        operands: Operands,
        /// Whether columns are joined, and not rows.
        columns: bool,
    },
    /// Elements of a map from one on: neighbouring channels of rows and columns a step apart.
    Slice {
        /// The map.
        input: TensorId,
        /// The first row, column and channel.
        first: [usize; 3],
        /// From one row and column to the next.
        step: Hw,
    },
    /// A map with rows and columns of its zero point around it.
    Pad {
        /// The map.
        input: TensorId,
        /// Rows above and columns to the left.
        before: Hw,
    },
    /// The channels of each pixel as a block of so many rows and columns.
    DepthToSpace {
        /// The map.
        input: TensorId,
        /// Rows and columns of a block.
        block: usize,
    },
    /// The channels of each pixel as several pixels, one behind the other.
    Unfold(TensorId),
    /// Each block of so many rows and columns as the channels of one pixel.
    SpaceToDepth {
        /// The map.
        input: TensorId,
        /// Rows and columns of a block.
        block: usize,
    },
    /// A map of other rows and columns, each element a copy of the nearest.
    Nearest {
        /// The map.
        input: TensorId,
        /// How outputs fall on inputs.
        grid: Grid,
    },
    /// A map of other rows and columns, each element a mean of the four around it.
    Bilinear {
        /// The map.
        input: TensorId,
        /// How outputs fall on inputs.
        grid: Grid,
    },
    /// The same values in other steps, clamped.
    Rescale(TensorId),
    /// The bytes of another tensor, in the same order.
    View(TensorId),
    /// The graph's operator, on the host, since it is not for the NPU.
    Host(Unsupported),
}

/// The making of one operator's first result, or, of a split, of all its results.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// The graph's operator, which the host runs where the NPU cannot do the work.
    pub op: OpId,
    /// Stored values that may be made, in signed form.
    pub range: Range,
    /// What is done.
    pub work: Work,
}

impl Item {
    /// Maps that the NPU reads for the item, constants left out; none for an item of the host, which
    /// reads the operands of the graph's operator.
    pub fn maps(&self) -> Operands {
        match &self.work {
            Work::Conv(conv) | Work::TransposedConv(conv) => [conv.input].into_iter().collect(),
            Work::Pool(pool) => [pool.input].into_iter().collect(),
            Work::Add { operands, .. } | Work::Elementwise { operands, .. } => {
                operands.iter().copied().collect()
            }
            Work::Concat(operands) | Work::Join { operands, .. } => operands.clone(),
            Work::AddConstant { input, .. }
            | Work::Pad { input, .. }
            | Work::DepthToSpace { input, .. }
            | Work::SpaceToDepth { input, .. }
            | Work::Nearest { input, .. }
            | Work::Slice { input, .. }
            | Work::Bilinear { input, .. }
            | Work::Rescale(input)
            | Work::Table(input)
            | Work::PadChannels { input, .. }
            | Work::Prelu { input, .. }
            | Work::Channels { input, .. }
            | Work::Split(input)
            | Work::Unfold(input)
            | Work::View(input) => [*input].into_iter().collect(),
            Work::Host(_) => Operands::new(),
        }
    }
}

/// A model as NPU work.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Form {
    /// One item for each operator of the graph, in the graph's order.
    pub items: Vec<Item>,
}

impl Form {
    /// The item of an operator.
    pub fn item(&self, op: OpId) -> &Item {
        &self.items[op.index()]
    }

    /// The item of an operator.
    pub fn item_mut(&mut self, op: OpId) -> &mut Item {
        &mut self.items[op.index()]
    }
}
