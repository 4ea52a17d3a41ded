//! The NPU-level form of a model: feature cubes and the convolution layers between them.
//!
//! Nearly everything the RK3588 does for us is a convolution of some sort: element-wise addition rides
//! on an identity convolution, average pooling is a depthwise one with equal weights. Other functions of
//! two maps are made by the stages behind the MAC array alone.

use std::fmt;
use std::sync::Arc;

use ferrite_hw::rk3588::{Parameters, parameters::RK3588};
use ferrite_ir::op::Hw;
use ferrite_ir::{DType, OpId, PrimaryMap, TensorId};

use smallvec::SmallVec;

use super::numbers::quant::{Multiplier, Scaling};
use crate::executable::{Evidence, Patches};
use crate::lowered;
use crate::npu::Elementwise;

/// Index of a cube in [`Program::cubes`].
pub use crate::npu::MapId as CubeId;

/// Least pitch of the surfaces of an operand, in atoms: Mesa keeps it.
pub const OPERAND_PITCH: usize = 12;

/// A feature cube in NC1HWC2 layout, densely packed lines.
#[derive(Clone, Debug, PartialEq)]
pub struct Cube {
    /// Rows (batch folded in), columns, channels.
    pub shape: [usize; 3],
    /// I8, or I32 for raw accumulators.
    pub dtype: DType,
    /// Atoms from surface to surface, at least rows * columns.
    pub surface_pitch: usize,
    /// Surfaces in memory: whatever a writer may touch, padded channels included.
    pub surfaces: usize,
    /// Where it lies when it is part of another cube: that cube and the first surface in it.
    pub part_of: Option<(CubeId, usize)>,
    /// A graph tensor with these values, for names.
    pub tensor: Option<TensorId>,
    /// What the host makes it of, where that is not the tensor as it is.
    pub patches: Option<Patches>,
}

impl Cube {
    /// Channels in an atom.
    pub fn atom_channels(&self, chip: &Parameters) -> usize {
        chip.atom_channels(self.dtype.size())
    }

    /// Bytes in memory.
    pub fn bytes(&self, chip: &Parameters) -> usize {
        chip.atom_bytes * self.surface_pitch * self.surfaces
    }
}

/// A rectangle of pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub struct Rect {
    pub y: usize,
    pub x: usize,
    pub h: usize,
    pub w: usize,
}

/// How the MAC array runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Every kernel sees every channel.
    Direct,
    /// One channel in, one channel out.
    Depthwise,
    /// Without the MAC array and kernels: a map goes straight to the stages behind it.
    Flying,
}

impl Mode {
    /// Output channels that the accumulator hands over at a time.
    pub fn group(self, chip: &Parameters) -> usize {
        match self {
            Mode::Direct => chip.kernel_group,
            Mode::Depthwise => chip.depthwise_group,
            Mode::Flying => chip.atom_channels(1),
        }
    }
}

/// One side of a layer: channels of a cube, seen as a grid of pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Side {
    /// The cube.
    pub cube: CubeId,
    /// First surface.
    pub surface: usize,
    /// Real channels from there.
    pub channels: usize,
    /// Rows and line pitch of the cube; differs from its shape when its pixels are read in another
    /// arrangement (same order).
    pub grid: Hw,
    /// The part of the grid that the layer works on.
    pub rect: Rect,
}

/// Where weights come from and how they are arranged.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weights {
    /// Filter `[oc, kh, kw, ic]`.
    Dense {
        /// The filter.
        filter: TensorId,
    },
    /// Filter of a convolution in groups, widened with zeros to a dense one.
    Grouped {
        /// The filter.
        filter: TensorId,
        /// Output channels per group.
        outputs: usize,
        /// Input channels per group.
        inputs: usize,
        /// First output channel of this layer.
        first_output: usize,
        /// Input channel that lies in the first lane of the layer's first input surface.
        first_input: usize,
        /// Filter order is `[kh, kw, oc]` (depthwise) instead of `[oc, kh, kw, ic]`.
        channel_last: bool,
    },
    /// Depthwise filter `[kh, kw, c]`.
    Depthwise {
        /// The filter.
        filter: TensorId,
    },
    /// The same weight for every tap of every channel of a depthwise layer.
    Constant(i8),
    /// A weight for each tap, the same for every channel of a depthwise layer.
    Taps(Vec<i8>),
    /// A dense filter that gives each output channel one input channel at one tap as it is.
    Select {
        /// The input channel of each output channel, counted on from tap to tap.
        from: Vec<u32>,
    },
    /// A dense 1x1 filter with this value on the diagonal and zeros elsewhere.
    Identity(i8),
    /// Of a layer without kernels.
    None,
}

/// Relation of the kernel that the hardware runs to the filter of the model. Taps of the kernel that
/// are none of the filter's have no weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Taps {
    /// Kernel size of the filter.
    pub filter: Hw,
    /// Kernel taps from one filter tap to the next.
    pub step: Hw,
    /// Row and column, in a filter spread by `step`, of the kernel's first tap; outside it if the
    /// kernel starts with taps without weight.
    pub first: [isize; 2],
    /// Rows and columns there from one tap of the kernel to the next.
    pub every: [isize; 2],
}

impl Taps {
    /// The kernel is the filter.
    pub fn all(filter: Hw) -> Self {
        Taps {
            filter,
            step: Hw { h: 1, w: 1 },
            first: [0, 0],
            every: [1, 1],
        }
    }

    /// Number of the filter's tap at a row and column of the kernel.
    pub fn at(&self, y: usize, x: usize) -> Option<usize> {
        let along = |axis: usize, at: usize, step: usize, size: usize| {
            let spread = self.first[axis] + at as isize * self.every[axis];
            let spread = usize::try_from(spread).ok()?;
            (spread % step == 0 && spread / step < size).then_some(spread / step)
        };
        let row = along(0, y, self.step.h, self.filter.h)?;
        let column = along(1, x, self.step.w, self.filter.w)?;
        Some(row * self.filter.w + column)
    }
}

/// What becomes of the accumulators.
#[derive(Clone, Debug, PartialEq)]
pub enum Stage {
    /// `sat8(round((acc * factor + nudge) * multiplier) + offset)`.
    Narrow {
        /// Output scaling: factor and multiplier.
        scaling: Scaling,
        /// Added ahead of the one rounding, to fall in with a reference that rounds twice.
        nudge: i32,
        /// Output zero point.
        offset: i32,
    },
    /// First `t = round(acc * factors[channel] / 2^shift)`, then `sat8(round(t * multiplier) +
    /// offset)`.
    PerChannel {
        /// 15-bit factor of each channel.
        factors: Vec<i16>,
        /// Shift after it.
        shift: u8,
        /// Output scaling.
        multiplier: Multiplier,
        /// Output zero point.
        offset: i32,
    },
    /// The entry for the accumulator, which is a byte: the first for -128.
    Table(Arc<[i8; 256]>),
    /// 32-bit accumulators as they are.
    Raw,
}

/// How a second cube comes to the accumulators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Combine {
    /// It is added.
    Add,
    /// Another function.
    Elementwise(Elementwise),
}

/// A cube that is combined with the accumulators: `round((value + offset) * multiplier)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Addend {
    /// The cube; same pixels and channels as the output.
    pub side: Side,
    /// Added first: minus its zero point.
    pub offset: i32,
    /// Scale to accumulator units.
    pub multiplier: Multiplier,
    /// How.
    pub combine: Combine,
}

/// One task of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tile {
    /// Output pixels, relative to the layer's output rectangle.
    pub output: Rect,
    /// Input pixels read, relative to the layer's input rectangle.
    pub input: Rect,
    /// Rows of padding above.
    pub pad_top: usize,
    /// Columns of padding to the left.
    pub pad_left: usize,
    /// First output channel; of a depthwise layer also the first input channel.
    pub first_channel: usize,
    /// Output channels.
    pub channels: usize,
    /// DATA_ENTRIES: entries of the CBUF per input row.
    pub entries: usize,
    /// Banks for data; the weights get the others.
    pub data_banks: usize,
    /// The weights of the task before are still in place.
    pub reuse_weights: bool,
}

/// Where a layer belongs that makes one band of its result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Band {
    /// Number of the sequence of layers that are done in bands, in a submission.
    pub run: usize,
    /// Number of the band.
    pub index: usize,
}

/// The tasks of a layer: one, of most layers.
pub type Tiles = SmallVec<[Tile; 1]>;

/// Evidence of the ordinary integer convolution.
pub const PROVEN: Evidence = Evidence::Silicon;

/// One convolution over a feature cube; becomes one task per tile.
#[derive(Clone, Debug, PartialEq)]
pub struct Layer {
    /// Graph operator it works for.
    pub op: OpId,
    /// Name of the lowering.
    pub lowering: &'static str,
    /// Weakest evidence it rests on.
    pub evidence: Evidence,
    /// Direct or depthwise.
    pub mode: Mode,
    /// Source.
    pub input: Side,
    /// Destination.
    pub output: Side,
    /// Kernel size.
    pub kernel: Hw,
    /// Stride.
    pub stride: Hw,
    /// Distance of taps.
    pub dilation: Hw,
    /// Rows of padding above and columns to the left; below and to the right follow from the output.
    pub pad: Hw,
    /// Stored value of padding.
    pub pad_value: i8,
    /// Weights.
    pub weights: Weights,
    /// How the kernel's taps are those of the filter.
    pub taps: Taps,
    /// Subtracted from every stored weight (their zero point), by way of the sum of the data.
    pub weight_zero: i16,
    /// One per output channel, or one for all of a flying layer; empty for `Stage::Raw`.
    pub bias: Vec<i32>,
    /// Output stage.
    pub stage: Stage,
    /// Residual operand.
    pub addend: Option<Addend>,
    /// The tasks.
    pub tiles: Tiles,
    /// Cores that the tiles are meant for.
    pub cores: usize,
    /// Of a map that is made in bands of rows: which one.
    pub band: Option<Band>,
}

impl Layer {
    /// Input channels as the CNA counts them.
    pub fn padded_inputs(&self, chip: &Parameters) -> usize {
        self.input.channels.next_multiple_of(chip.atom_channels(1))
    }

    /// Rows that the kernel spans.
    pub fn span(&self) -> Hw {
        Hw {
            h: (self.kernel.h - 1) * self.dilation.h + 1,
            w: (self.kernel.w - 1) * self.dilation.w + 1,
        }
    }
}

/// Cubes and layers of a whole model.
#[derive(Clone, Debug, PartialEq)]
pub struct Program {
    /// Sizes and limits of the chip.
    pub chip: &'static Parameters,
    /// All cubes.
    pub cubes: PrimaryMap<CubeId, Cube>,
}

impl Default for Program {
    /// Without cubes, for the RK3588.
    fn default() -> Self {
        Program {
            chip: &RK3588,
            cubes: PrimaryMap::new(),
        }
    }
}

impl Program {
    /// The cube with this id.
    pub fn cube(&self, id: CubeId) -> &Cube {
        &self.cubes[id]
    }

    /// The cube whose memory this one lies in, and the first surface there.
    pub fn root(&self, id: CubeId) -> (CubeId, usize) {
        let mut root = (id, 0);
        while let Some((parent, surface)) = self.cube(root.0).part_of {
            root = (parent, root.1 + surface);
        }
        root
    }

    /// Adds a cube for an int8 or int32 map.
    pub fn add_cube(
        &mut self,
        shape: [usize; 3],
        dtype: DType,
        tensor: Option<TensorId>,
    ) -> CubeId {
        let per_atom = self.chip.atom_channels(dtype.size());
        self.cubes.push(Cube {
            shape,
            dtype,
            surface_pitch: shape[0] * shape[1],
            surfaces: shape[2].div_ceil(per_atom),
            part_of: None,
            tensor,
            patches: None,
        })
    }
}

impl Stage {
    /// One rounding of the accumulators, as they are.
    pub fn narrow(scaling: Scaling, offset: i32) -> Stage {
        Stage::Narrow {
            scaling,
            nudge: 0,
            offset,
        }
    }
}

impl lowered::Layer for Layer {
    fn writes(&self) -> CubeId {
        self.output.cube
    }

    fn op_mut(&mut self) -> &mut OpId {
        &mut self.op
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Mode::Direct => "conv",
            Mode::Depthwise => "depthwise",
            Mode::Flying => "flying",
        })
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Rect { y, x, h, w } = self.rect;
        write!(f, "{}[{h}x{w}x{}", self.cube, self.channels)?;
        if (y, x) != (0, 0) {
            write!(f, " at {y},{x}")?;
        }
        if self.surface != 0 {
            write!(f, " from surface {}", self.surface)?;
        }
        if self.grid != (Hw { h, w }) {
            write!(f, " of {}x{}", self.grid.h, self.grid.w)?;
        }
        f.write_str("]")
    }
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} = {} {}", self.output, self.mode, self.input)?;
        match self.mode {
            Mode::Flying => self
                .bias
                .iter()
                .try_for_each(|bias| write!(f, " {bias:+}"))?,
            _ => write!(f, " kernel {}x{}", self.kernel.h, self.kernel.w)?,
        }
        if self.stride != (Hw { h: 1, w: 1 }) {
            write!(f, " stride {}x{}", self.stride.h, self.stride.w)?;
        }
        if self.dilation != (Hw { h: 1, w: 1 }) {
            write!(f, " dilation {}x{}", self.dilation.h, self.dilation.w)?;
        }
        if self.pad != (Hw { h: 0, w: 0 }) {
            write!(
                f,
                " pad {},{} with {}",
                self.pad.h, self.pad.w, self.pad_value
            )?;
        }
        if self.weight_zero != 0 {
            write!(f, " weight zero {}", self.weight_zero)?;
        }
        match &self.stage {
            Stage::Narrow {
                scaling,
                nudge: 0,
                offset,
            } => write!(f, " * {scaling} {offset:+}")?,
            Stage::Narrow {
                scaling,
                nudge,
                offset,
            } => write!(f, " * {scaling} nudged {nudge:+} {offset:+}")?,
            Stage::PerChannel {
                shift,
                multiplier,
                offset,
                ..
            } => write!(
                f,
                " * c>>{shift} * {}>>{} {offset:+}",
                multiplier.scale, multiplier.shift
            )?,
            Stage::Table(values) => {
                let [.., last] = **values;
                write!(f, " by table {}, {}, .. {last}", values[0], values[1])?;
            }
            Stage::Raw => write!(f, " raw")?,
        }
        if let Some(add) = &self.addend {
            let combine = match add.combine {
                Combine::Add => "+",
                Combine::Elementwise(function) => function.name(),
            };
            write!(
                f,
                " {combine} ({} {:+}) * {}>>{}",
                add.side, add.offset, add.multiplier.scale, add.multiplier.shift
            )?;
        }
        write!(f, " // {} ({:?})", self.lowering, self.evidence)
    }
}
