//! What the simulators have in common: an executable's buffers in simulated memory.

use super::{DeviceError, images};
use ferrite_compiler::executable::{BufferId, Executable, Region};
use ferrite_hw::Grade;
use ferrite_ir::PrimaryMap;
use ferrite_sim::flat::{Buffer, FlatMemory};
use std::sync::Arc;

/// Buffers with their initial contents.
pub struct Loaded {
    pub memory: FlatMemory,
    buffers: PrimaryMap<BufferId, Arc<Buffer>>,
    addresses: PrimaryMap<BufferId, u64>,
}

impl Loaded {
    /// Allocates and fills the buffers of an executable.
    pub fn new(executable: &Executable) -> Result<Loaded, DeviceError> {
        let memory = FlatMemory::new();
        let mut buffers: PrimaryMap<_, Arc<Buffer>> =
            PrimaryMap::with_capacity(executable.buffers.len());
        let mut addresses = PrimaryMap::with_capacity(executable.buffers.len());
        for buffer in executable.buffers.values() {
            let (address, bytes) = memory.alloc(buffer.size).ok_or_else(|| {
                let size = buffer.size;
                DeviceError::Unsupported(format!(
                    "a buffer of {size} bytes does not fit the NPU's 32-bit address space or this machine's memory"
                ))
            })?;
            buffers.push(bytes);
            addresses.push(address);
        }
        for (buffer, image) in buffers
            .values()
            .zip(images(executable, &addresses)?.values())
        {
            buffer.with_mut(0..image.len(), |bytes| image.write(bytes));
        }
        Ok(Loaded {
            memory,
            buffers,
            addresses,
        })
    }

    /// Where a region lies in simulated memory.
    pub fn address(&self, region: Region) -> u64 {
        self.addresses[region.buffer] + region.offset as u64
    }

    /// Has `fill` write a region.
    pub fn write(&self, region: Region, fill: &mut dyn FnMut(&mut [u8])) {
        self.buffers[region.buffer].with_mut(range(region), fill);
    }

    /// Shows a region to `take`.
    pub fn read(&self, region: Region, take: &mut dyn FnMut(&[u8])) {
        self.buffers[region.buffer].with(|bytes| take(&bytes[range(region)]));
    }
}

/// The bytes of a region in its buffer.
fn range(region: Region) -> std::ops::Range<usize> {
    region.offset..region.offset + region.len
}

/// The weakest grade that the executable says it rests on.
pub fn evidence(executable: &Executable) -> Grade {
    executable
        .placements
        .values()
        .filter_map(|placement| Some(placement.on_npu()?.1))
        .max()
        .unwrap_or_default()
}
