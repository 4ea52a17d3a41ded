//! The compiled form of a model: plain data that can be printed, cached, replayed and diffed.
//!
//! An executable is a list of host steps and NPU submissions over a small set of buffers. It holds
//! everything needed to run except the model's own constants for operators that stay on the CPU:
//! those are read from the graph it was compiled from. Until it is stored, it shares the weights with
//! that graph: see [`Content`].

use std::borrow::Cow;
use std::fmt;

use ferrite_ir::entity::entity_impl;
use ferrite_ir::{DType, OpId, PrimaryMap, TensorId};
use serde::{Deserialize, Serialize};

use crate::content::Content;

pub use ferrite_hw::{Grade as Evidence, Target};

/// Index into [`Executable::buffers`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct BufferId(pub(crate) u32);
entity_impl!(BufferId, "buffer");

/// What a buffer is for. Decides caching and whether it must be rewritten per inference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Role {
    /// Weights, biases, tables: written once.
    Constants,
    /// Command streams: written once, after relocation.
    Commands,
    /// Feature cubes: segment inputs, intermediates and outputs.
    Activations,
}

/// One buffer object on the device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Buffer {
    /// Purpose.
    pub role: Role,
    /// Size in bytes.
    pub size: usize,
    /// Initial bytes, from the buffer's start; what lies beyond starts as zero.
    pub init: Content,
}

/// How an address is written into a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum RelocationKind {
    /// Bits 47 to 16 of the 64-bit RK3588 command word at the place.
    Rk3588Value,
    /// A plain little-endian 32-bit word (Vivante).
    Word32,
    /// Bits 25 to 0 of a little-endian 32-bit word, in units of 64 bytes; the others stay (Vivante).
    Granules64,
}

/// "Write the device address of `target` + `addend` at `offset` of `buffer`."
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Relocation {
    /// The buffer that holds the place.
    pub buffer: BufferId,
    /// Byte offset of the place.
    pub offset: usize,
    /// Form of the place.
    pub kind: RelocationKind,
    /// Whose address.
    pub target: BufferId,
    /// Added to the address.
    pub addend: u32,
}

/// A piece of a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Region {
    /// The buffer.
    pub buffer: BufferId,
    /// First byte.
    pub offset: usize,
    /// Length in bytes.
    pub len: usize,
}

/// Device-side layout of a feature map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Layout {
    /// RK3588 feature cube NC1HWC2: element (c, y, x) at
    /// `atom_bytes * (c / atom_channels * surface_pitch + y * line_pitch + x) + c % atom_channels * element
    /// size`, with `atom_channels = atom_bytes / element size`. Pitches in atoms.
    Cube {
        /// Bytes of an atom: one pixel of one group of channels.
        atom_bytes: u32,
        /// Atoms from line to line.
        line_pitch: u32,
        /// Atoms from surface to surface.
        surface_pitch: u32,
    },
    /// Elements in the tensor's own row-major order (NHWC).
    Linear,
    /// Channel-planar (NCHW), tightly packed: the Vivante NN layout.
    Planar,
}

/// How the pixels of a map come from a host tensor: each is a window (im2col), the channels of its
/// first tap first. Pairs are rows and columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Patches {
    /// Images in the tensor.
    pub images: usize,
    /// Rows, columns and channels of an image.
    pub image: [usize; 3],
    /// Taps.
    pub kernel: [usize; 2],
    /// From window to window.
    pub stride: [usize; 2],
    /// From tap to tap.
    pub dilation: [usize; 2],
    /// By which the first window reaches beyond the image.
    pub pad: [usize; 2],
}

impl fmt::Display for Patches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pair = |[rows, columns]: [usize; 2]| format!("{rows}x{columns}");
        write!(f, "windows of {}", pair(self.kernel))?;
        for (what, size, usual) in [
            ("stride", self.stride, 1),
            ("dilation", self.dilation, 1),
            ("pad", self.pad, 0),
        ] {
            if size != [usual; 2] {
                write!(f, " {what} {}", pair(size))?;
            }
        }
        let [h, w, c] = self.image;
        write!(f, " on {h}x{w}x{c}")?;
        if self.images != 1 {
            write!(f, ", {} images", self.images)?;
        }
        Ok(())
    }
}

/// A tensor's place on the device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Port {
    /// Graph tensor.
    pub tensor: TensorId,
    /// Where it lies.
    pub region: Region,
    /// How it lies there.
    pub layout: Layout,
    /// Feature map size: height, width, channels (batch folded into height, or more ports).
    pub shape: [usize; 3],
    /// What the map is made of on entry, where that is not the tensor as it is.
    pub patches: Option<Patches>,
    /// Element type on the device (I8, or I32 for raw accumulators).
    pub dtype: DType,
    /// Added (wrapping, in 8 bits) to host values on entry and subtracted on exit: 128 turns uint8
    /// into centred int8 and back; 0 for int8.
    pub bias: u8,
    /// Value on entry of every byte of the region that holds no element: channels up to the end of
    /// the last surface, further surfaces, gaps between surfaces. Also that of what windows see beyond
    /// the edge of an image.
    pub pad_value: u8,
}

/// Per-channel requantisation of raw int32 accumulators on the host, with TFLite's rounding.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HostRequant {
    /// Added to the accumulator of each channel first.
    pub bias: Vec<i32>,
    /// Q31 multiplier of each channel.
    pub multiplier: Vec<i32>,
    /// Left shift of each channel (negative: right).
    pub shift: Vec<i32>,
    /// Output zero point.
    pub zero_point: i32,
    /// Lower clamp in output units.
    pub min: i32,
    /// Upper clamp in output units.
    pub max: i32,
}

/// One task: a command list the NPU runs from start to completion interrupt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Task {
    /// The command list.
    pub commands: Region,
    /// Command words of this task, tail included.
    pub words: usize,
}

/// Tasks that run in order on one core.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
pub struct Job {
    /// Tasks in order.
    pub tasks: Vec<Task>,
    /// Earlier jobs of the same submission that must have finished.
    pub after: Vec<usize>,
    /// Buffers read.
    pub reads: Vec<BufferId>,
    /// Buffers written.
    pub writes: Vec<BufferId>,
    /// Graph operators this job works for (for traces, errors and profiles).
    pub ops: Vec<OpId>,
}

/// One step of an inference. Steps run in order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Step {
    /// Run a graph operator on the CPU.
    Cpu(OpId),
    /// Bring a host tensor into the device's layout.
    Enter(Port),
    /// Run jobs and wait for them.
    Submit(Vec<Job>),
    /// Bring a device tensor back into the host tensor.
    Leave(Port),
    /// Requantise a raw int32 cube into the host tensor `port.tensor`.
    Requantise {
        /// The accumulators.
        port: Port,
        /// Per-channel parameters.
        requant: HostRequant,
    },
}

/// Where an operator was placed, and why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Placement {
    /// On the NPU; `lowering` names how, `evidence` the weakest grade it rests on.
    Npu {
        /// Short name of the lowering.
        lowering: Cow<'static, str>,
        /// Weakest evidence grade it rests on.
        evidence: Evidence,
    },
    /// On the CPU.
    Cpu {
        /// What the target cannot do here.
        reason: String,
        /// What would change that, if anything.
        remedy: Option<String>,
    },
    /// No work at run time: folded into its neighbours, or a view.
    Folded,
    /// On the NPU, with other weights than the model's: results differ by more than rounding.
    Approximate {
        /// Short name of the lowering.
        lowering: Cow<'static, str>,
        /// Weakest evidence it rests on.
        evidence: Evidence,
        /// What the results gain as error, estimated from the weights: the root of its mean square, in
        /// steps of the result.
        error: f32,
    },
}

impl Placement {
    /// Name of the lowering to the NPU, and the weakest evidence it rests on.
    pub fn on_npu(&self) -> Option<(&str, Evidence)> {
        match self {
            Placement::Npu { lowering, evidence }
            | Placement::Approximate {
                lowering, evidence, ..
            } => Some((lowering, *evidence)),
            Placement::Cpu { .. } | Placement::Folded => None,
        }
    }

    /// Error of an operator with other weights than the model's: [`Placement::Approximate`].
    pub fn error(&self) -> Option<f32> {
        match self {
            Placement::Approximate { error, .. } => Some(*error),
            _ => None,
        }
    }
}

/// A compiled model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Executable {
    /// Which NPU.
    pub target: Target,
    /// All device buffers.
    pub buffers: PrimaryMap<BufferId, Buffer>,
    /// Address patches, applied once after the buffers got their device addresses.
    pub relocations: Vec<Relocation>,
    /// The inference.
    pub steps: Vec<Step>,
    /// One entry for each graph operator.
    pub placements: PrimaryMap<OpId, Placement>,
    /// Multiply-accumulates of each graph operator.
    pub macs: PrimaryMap<OpId, u64>,
}
