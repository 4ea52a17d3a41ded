//! Recordings of what clients make an NPU do: on the RK3588 every register write, and for every kick
//! the memory it touched and what it wrote there; on the A311D the same of every job. Made by the virtual board, printed by `ferrite disasm`, and
//! replayed by the simulator without a guest.
//!
//! A trace is a file header and records, each a tag, a length and a payload, all little endian.
//! Memory is kept as pages of 4 KiB; equal pages are kept once, so weights that many inferences
//! share cost their size once.

mod reader;
mod recorder;
mod replay;
mod writer;

pub use reader::{TraceError, TraceReader};
pub use recorder::{Recorder, Touched};
pub use replay::{NotStarted, Replayed, Replayer, TracedMemory, Work};
pub use writer::TraceWriter;

use ferrite_hw::vivante::disasm::Kind;

/// The first bytes of a trace, with the version of its form.
pub const MAGIC: [u8; 16] = *b"FERRITE TRACE 1\n";
/// Bytes of a page.
pub const PAGE: usize = 4096;

/// One event of a trace, in the order in which the events happened on one core; those of different
/// cores may be ordered otherwise than in time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The client wrote a register.
    Write {
        /// The core.
        core: u8,
        /// Byte offset from the core's base.
        offset: u32,
        /// What was written.
        value: u32,
    },
    /// The client reset the core.
    Reset {
        /// The core.
        core: u8,
    },
    /// The core has run what the last register write started.
    Kick(Kick),
    /// A unit of the A311D's NPU has run a job.
    Job(Job),
}

/// What one job of the A311D's NPU did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// The unit.
    pub kind: Kind,
    /// Address of its descriptor.
    pub descriptor: u32,
    /// Synchronisation id it was started with.
    pub id: u8,
    /// What it touched, in the addresses that the NPU sees.
    pub did: Kick,
}

/// What one kick did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kick {
    /// The core.
    pub core: u8,
    /// When it started: nanoseconds of the guest's time.
    pub started: u64,
    /// Pages it touched as they were before, by address, ascending.
    pub before: Vec<Page>,
    /// Runs of bytes it wrote, as they were afterwards, by address, ascending, apart from each other.
    pub written: Vec<Run>,
    /// How it ended: empty when it completed, an explanation otherwise.
    pub fault: String,
}

/// A page of memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Its address, as the core puts it on the bus.
    pub address: u64,
    /// Its bytes.
    pub bytes: std::sync::Arc<[u8; PAGE]>,
}

/// Bytes at an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// The first byte's address.
    pub address: u64,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// Tags of the records.
mod tag {
    pub(super) const PAGE: u32 = 1;
    pub(super) const WRITE: u32 = 2;
    pub(super) const RESET: u32 = 3;
    pub(super) const KICK: u32 = 4;
    pub(super) const JOB: u32 = 5;
}

#[cfg(test)]
mod tests;
