//! Buffer objects: allocation, and who may touch the bytes.

use super::super::super::DeviceError;
use super::super::super::drm::fence::Fence;
use super::super::super::drm::gem::Gem;
use super::super::super::drm::{self, Node, deadline_ns, system};
use super::super::{GRACE, PAGE};
use super::{DRIVER_JOB_TIMEOUT, ioctl};
use nix::errno::Errno;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

/// Who may touch the bytes now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    Cpu,
    Npu,
}

/// A mapped buffer object.
#[derive(Debug)]
pub struct Bo {
    gem: Gem,
    address: u64,
    owner: Owner,
    /// For the fences of its jobs, without which mainline's driver does not tell how they ended.
    dma_buf: OwnedFd,
}

impl Bo {
    /// Allocates and maps `size` bytes, rounded up to pages, all zero.
    pub fn new(node: &Arc<Node>, size: usize) -> Result<Bo, DeviceError> {
        let len = size.max(1).next_multiple_of(PAGE);
        let what = || format!("allocating a buffer of {len} bytes");
        let size = u32::try_from(len).map_err(|_| system(what(), Errno::EOVERFLOW))?;
        let created = ioctl::create_bo(node, size).map_err(|e| system(what(), e))?;
        let gem = Gem::map(node, created.handle, len, || Ok(created.offset))?;
        let dma_buf = drm::ioctl::export(node, created.handle)
            .map_err(|e| system("exporting a buffer for its fences".to_owned(), e))?;
        Ok(Bo {
            gem,
            address: created.dma_address,
            // The driver zeroes pages through the CPU's caches; the first submission flushes them.
            owner: Owner::Cpu,
            dma_buf,
        })
    }

    /// GEM handle.
    pub fn handle(&self) -> u32 {
        self.gem.handle()
    }

    /// Address in the NPU's address space.
    pub fn address(&self) -> u64 {
        self.address
    }

    /// The bytes, for the CPU: waits for pending jobs first.
    pub fn bytes_mut(&mut self) -> Result<&mut [u8], DeviceError> {
        if self.owner == Owner::Npu {
            self.wait_for_npu(GRACE + DRIVER_JOB_TIMEOUT)?;
        }
        Ok(self.gem.bytes_mut())
    }

    /// Gives the bytes to the NPU, if the CPU has had them.
    pub fn give_to_npu(&mut self) -> Result<(), DeviceError> {
        if self.owner == Owner::Cpu {
            ioctl::fini_bo(self.gem.node(), self.handle())
                .map_err(|e| system("giving a buffer to the NPU".to_owned(), e))?;
            self.owner = Owner::Npu;
        }
        Ok(())
    }

    /// Waits for pending jobs and gives the bytes to the CPU. After a failed job they are undefined.
    pub fn wait_for_npu(&mut self, patience: Duration) -> Result<(), DeviceError> {
        let waited = ioctl::prep_bo(self.gem.node(), self.handle(), deadline_ns(patience)?);
        // With an I/O error our driver says that a job failed which was to write to the buffer; the
        // NPU is done with it all the same.
        if matches!(waited, Ok(()) | Err(Errno::EIO)) {
            self.owner = Owner::Cpu;
        }
        waited.map_err(|e| system("waiting for the NPU's writes to a buffer".to_owned(), e))
    }

    /// The end of the writes that are pending now.
    pub fn fence(&self) -> Result<Fence, DeviceError> {
        Fence::of(&self.dma_buf)
    }
}
