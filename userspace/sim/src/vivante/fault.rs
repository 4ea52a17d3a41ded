//! Everything the strict model refuses to do, with the values that made it refuse.

use crate::memory::MemoryFault;
use ferrite_hw::Grade;
use ferrite_hw::vivante::{Field, Words, field, mmu};

/// The engine that issued a memory access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Front end: commands.
    FrontEnd,
    /// Descriptors of either unit.
    Descriptor,
    /// Coefficient stream of an NN job.
    Coefficients,
    /// Input image of an NN job.
    Image,
    /// Output of an NN job.
    Output,
    /// Table of a TP job.
    TpTable,
    /// Input of a TP job.
    TpInput,
    /// Output of a TP job.
    TpOutput,
}

/// A fault and the job (from 0) of the stream in which it happened.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("job {job}: {kind}")]
pub struct Fault {
    /// Jobs that finished before.
    pub job: u32,
    /// What happened.
    pub kind: FaultKind,
}

/// What happened. The NPU stops.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum FaultKind {
    /// Memory refused an access.
    #[error("{unit:?}: {fault}")]
    Memory {
        /// The engine.
        unit: Unit,
        /// The access.
        fault: MemoryFault,
    },
    /// The MMU refused a translation.
    #[error("MMU: {address:#x}: {why}")]
    Mmu {
        /// Virtual address.
        address: u32,
        /// Kind of fault.
        why: mmu::Fault,
    },
    /// A command that cannot be executed.
    #[error("command {word:#010x} at {at:#x}: {why}")]
    Command {
        /// Address, or offset in the stream, in bytes.
        at: u64,
        /// First word.
        word: u32,
        /// What is wrong.
        why: &'static str,
    },
    /// A state that no evidence covers, or of such a value.
    #[error("state {state:#06x} = {value:#x}: {why}")]
    State {
        /// Byte address of the state.
        state: u32,
        /// Value loaded.
        value: u32,
        /// Why it is refused.
        why: &'static str,
    },
    /// A descriptor field of a value that cannot work or that no evidence covers.
    #[error("{field} = {value}: {why}")]
    Field {
        /// Field.
        field: &'static str,
        /// Its value.
        value: i64,
        /// Why it is refused.
        why: &'static str,
    },
    /// Bits of a descriptor that belong to no field.
    #[error("reserved bits {bits:#x} of descriptor word {word} are set")]
    Reserved {
        /// Word.
        word: usize,
        /// Bits.
        bits: u32,
    },
    /// A coefficient stream that is malformed.
    #[error("coefficients of core {core}: {why} ({value})")]
    Stream {
        /// NN core.
        core: usize,
        /// What is wrong.
        why: &'static str,
        /// The value in question.
        value: u64,
    },
    /// A buffer on the chip is too small for what the job puts there.
    #[error("{what} needs {needed}, has {available}")]
    Room {
        /// What needs room, with its unit.
        what: &'static str,
        /// Need.
        needed: u64,
        /// What there is.
        available: u64,
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
    /// A feature that this model does not implement.
    #[error("not modelled: {0}")]
    NotModelled(&'static str),
}

/// Result of a check or an engine step.
pub(crate) type Check<T = ()> = Result<T, FaultKind>;

impl FaultKind {
    pub(crate) fn memory(unit: Unit) -> impl Fn(MemoryFault) -> FaultKind {
        move |fault| FaultKind::Memory { unit, fault }
    }
}

/// An error unless the field's value is one that works.
pub(crate) fn expect(field: &Field, words: &Words, holds: bool, why: &'static str) -> Check {
    if holds {
        return Ok(());
    }
    Err(FaultKind::Field {
        field: field.name,
        value: field.get(words),
        why,
    })
}

/// An error unless each field has the only value that is known to work.
pub(crate) fn fixed(words: &Words, fields: &[(&Field, i64)]) -> Check {
    fields.iter().try_for_each(|(field, value)| {
        let why = "only one value of this field is known to work";
        expect(field, words, field.get(words) == *value, why)
    })
}

/// An error if bits that belong to no field are set.
pub(crate) fn no_reserved(fields: &[&Field], words: &Words) -> Check {
    let rest = field::reserved(fields, words);
    match rest.iter().position(|&bits| bits != 0) {
        None => Ok(()),
        Some(word) => Err(FaultKind::Reserved {
            word,
            bits: rest[word],
        }),
    }
}

/// An error unless there is room.
pub(crate) fn room(what: &'static str, needed: u64, available: u64) -> Check {
    if needed <= available {
        return Ok(());
    }
    Err(FaultKind::Room {
        what,
        needed,
        available,
    })
}
