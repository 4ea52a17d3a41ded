//! What a model sees of memory: the addresses its DMA engines put on the bus.

/// Why memory refused an access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Nothing is mapped there (an IOMMU page fault on the chip).
    Unmapped,
    /// The page does not allow this direction.
    Forbidden,
    /// It was never written: its content is accidental.
    NeverWritten,
    /// The bus answered with an error.
    Bus,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Refusal::Unmapped => "is not mapped",
            Refusal::Forbidden => "is not allowed by the page",
            Refusal::NeverWritten => "was never written",
            Refusal::Bus => "ended in a bus error",
        })
    }
}

/// A DMA access that memory refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} of {len} bytes at {address:#x} {why}", if *write { "write" } else { "read" })]
pub struct MemoryFault {
    /// First address that could not be accessed.
    pub address: u64,
    /// Length of the access in bytes.
    pub len: usize,
    /// Direction.
    pub write: bool,
    /// Reason.
    pub why: Refusal,
}

/// Memory as the NPU's DMA engines address it (IOVA for a core behind an IOMMU).
///
/// Implementations: [`crate::FlatMemory`] for the in-process simulator, and page-table walks over
/// guest memory for the virtual board. Several cores may use one memory at once. Accesses are as
/// large as the layout allows (whole surfaces), so that a call may be costly.
pub trait Memory: Sync {
    /// Fills `out` from `address`.
    fn read(&self, address: u64, out: &mut [u8]) -> Result<(), MemoryFault>;
    /// Stores `data` at `address`.
    fn write(&self, address: u64, data: &[u8]) -> Result<(), MemoryFault>;
}
