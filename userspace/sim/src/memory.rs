//! What a model sees of memory: the addresses its DMA engines put on the bus.

/// A DMA access that memory refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} of {len} bytes at {address:#x} is not mapped", if *write { "write" } else { "read" })]
pub struct MemoryFault {
    /// First address that could not be accessed.
    pub address: u64,
    /// Length of the access in bytes.
    pub len: usize,
    /// Direction.
    pub write: bool,
}

/// Memory as the NPU's DMA engines address it (IOVA for a core behind an IOMMU).
///
/// Implementations: a flat buffer map for the in-process simulator, and page-table walks over
/// guest memory for the virtual board. Several cores may use one memory at once.
pub trait Memory: Sync {
    /// Fills `out` from `address`.
    fn read(&self, address: u64, out: &mut [u8]) -> Result<(), MemoryFault>;
    /// Stores `data` at `address`.
    fn write(&self, address: u64, data: &[u8]) -> Result<(), MemoryFault>;
}
