//! Everything a strict model refuses to do, with the values that made it refuse.

use crate::memory::{MemoryFault, Refusal};
use ferrite_hw::Grade;

/// The engine that issued a memory access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DmaUnit {
    /// Command fetch.
    Commands,
    /// CNA features.
    Features,
    /// CNA weights.
    Weights,
    /// BRDMA or NRDMA: per-channel operands.
    ChannelOperands,
    /// MRDMA: source of a task without convolution.
    Source,
    /// MRDMA and ERDMA: element-wise operand.
    Elementwise,
    /// PPU source.
    PoolSource,
    /// DPU or PPU output.
    Output,
}

/// A fault and the task (from 0) of the kick in which it happened.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("task {task}: {kind}")]
pub struct Fault {
    /// Task of the kick, from 0.
    pub task: u32,
    /// What happened.
    pub kind: FaultKind,
}

/// What happened. The core stops and does not signal completion, as a hung engine on the chip.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum FaultKind {
    /// Memory refused an access.
    #[error("{unit:?}: {fault}")]
    Memory {
        /// The engine.
        unit: DmaUnit,
        /// The access.
        fault: MemoryFault,
    },
    /// A command word that addresses nothing known.
    #[error("command word {index} ({word:#018x}): {why}")]
    Command {
        /// Index in its segment.
        index: usize,
        /// The word.
        word: u64,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A segment or start that cannot work.
    #[error("{why} ({value:#x})")]
    Segment {
        /// What is wrong.
        why: &'static str,
        /// The value in question.
        value: u32,
    },
    /// A register value that no evidence covers.
    #[error("{register} = {value:#x}: {why}")]
    Undocumented {
        /// Register, as BLOCK.NAME or field name.
        register: &'static str,
        /// The value.
        value: u32,
        /// Why it is refused.
        why: &'static str,
    },
    /// Two blocks, or two registers, disagree.
    #[error("{left_name} = {left} but {right_name} = {right}")]
    Inconsistent {
        /// One side.
        left_name: &'static str,
        /// Its value.
        left: i64,
        /// The other side.
        right_name: &'static str,
        /// Its value.
        right: i64,
    },
    /// The convolution buffer cannot hold what the task needs.
    #[error("CBUF: {what} needs {needed}, has {available}")]
    Cbuf {
        /// What needs room.
        what: &'static str,
        /// Need, in the unit that `what` names.
        needed: u64,
        /// What there is.
        available: u64,
    },
    /// Reuse of CBUF contents that are not what the task expects.
    #[error("{what} reuse: {why}")]
    Reuse {
        /// Data or weights.
        what: &'static str,
        /// What differs from the previous task.
        why: &'static str,
    },
    /// An address that is not aligned.
    #[error("{register} = {address:#x} is not a multiple of {align}")]
    Misaligned {
        /// Register.
        register: &'static str,
        /// Its value.
        address: u32,
        /// Required alignment in bytes.
        align: u32,
    },
    /// A behaviour that rests on weaker evidence than the configuration allows.
    #[error("{behaviour} rests on {grade} evidence, only {allowed} is allowed")]
    Evidence {
        /// The behaviour.
        behaviour: &'static str,
        /// Its grade.
        grade: Grade,
        /// Weakest allowed grade.
        allowed: Grade,
    },
    /// A documented feature that this model does not implement.
    #[error("not modelled: {0}")]
    NotModelled(&'static str),
    /// The engine would wait for ever.
    #[error("the engine hangs: {0}")]
    Hang(&'static str),
    /// The core was reset while the job ran.
    #[error("reset while running")]
    Reset,
}

/// Result of a check or an engine step.
pub(crate) type Check<T = ()> = Result<T, FaultKind>;

impl FaultKind {
    /// Whether it is the read of memory that nothing has written.
    pub(crate) fn is_never_written(&self) -> bool {
        let FaultKind::Memory { fault, .. } = self else {
            return false;
        };
        fault.why == Refusal::NeverWritten
    }

    pub(crate) fn memory(unit: DmaUnit) -> impl Fn(MemoryFault) -> FaultKind {
        move |fault| FaultKind::Memory { unit, fault }
    }
}

/// An error unless both values are equal.
pub(crate) fn same(
    left_name: &'static str,
    left: impl Into<i64>,
    right_name: &'static str,
    right: impl Into<i64>,
) -> Check {
    let (left, right) = (left.into(), right.into());
    if left == right {
        return Ok(());
    }
    Err(FaultKind::Inconsistent {
        left_name,
        left,
        right_name,
        right,
    })
}

/// An error unless the condition holds.
pub(crate) fn documented(
    holds: bool,
    register: &'static str,
    value: u32,
    why: &'static str,
) -> Check {
    if holds {
        return Ok(());
    }
    Err(FaultKind::Undocumented {
        register,
        value,
        why,
    })
}

/// Largest map that a task without convolution may have, in pixels. The fields allow 2^26; real
/// tasks stay far below, and a hostile one must not exhaust the host's memory.
const PIXEL_LIMIT: u64 = 1 << 22;

/// An error if a map is larger than any real one.
pub(crate) fn bounded(width: u32, height: u32) -> Check {
    if u64::from(width) * u64::from(height) <= PIXEL_LIMIT {
        return Ok(());
    }
    Err(FaultKind::NotModelled("maps of more than 2^22 pixels"))
}

/// An error unless the address is aligned.
pub(crate) fn aligned(register: &'static str, address: u32, align: u32) -> Check {
    if address.is_multiple_of(align) {
        return Ok(());
    }
    Err(FaultKind::Misaligned {
        register,
        address,
        align,
    })
}
