//! Buffer objects: allocation, mapping, and who may touch the bytes.
#![allow(unsafe_code)]

use super::super::DeviceError;
use super::fence::Fence;
use super::{DRIVER_JOB_TIMEOUT, GRACE, ioctl, system};
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};
use nix::time::{ClockId, clock_gettime};
use std::ffi::c_void;
use std::fs::File;
use std::num::NonZeroUsize;
use std::os::fd::OwnedFd;
use std::ptr::NonNull;
use std::sync::Arc;
use std::time::Duration;

/// The IOMMU's page: mainline maps whole pages only and trips over other sizes.
const PAGE: usize = 4096;

/// Who may touch the bytes now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    Cpu,
    Npu,
}

/// A mapped buffer object.
#[derive(Debug)]
pub struct Bo {
    node: Arc<File>,
    handle: u32,
    address: u64,
    map: NonNull<c_void>,
    len: usize,
    owner: Owner,
    /// For the fences of its jobs; `None` where the driver does not export.
    dma_buf: Option<OwnedFd>,
}

// SAFETY: the mapping belongs to this value alone, and any thread may use it.
unsafe impl Send for Bo {}

impl Bo {
    /// Allocates and maps `size` bytes, rounded up to pages, all zero.
    pub fn new(node: &Arc<File>, size: usize) -> Result<Bo, DeviceError> {
        let len = size.max(1).next_multiple_of(PAGE);
        let what = || format!("allocating a buffer of {len} bytes");
        let size = u32::try_from(len).map_err(|_| system(what(), nix::errno::Errno::EOVERFLOW))?;
        let created = ioctl::create_bo(node, size).map_err(|e| system(what(), e))?;
        let close = |errno| {
            // The error to report is the first one.
            let _ = ioctl::gem_close(node, created.handle);
            system(format!("mapping a buffer of {len} bytes"), errno)
        };
        // SAFETY: a new mapping at an address of the kernel's choice.
        let map = unsafe {
            mmap(
                None,
                NonZeroUsize::new(len).unwrap_or(NonZeroUsize::MIN),
                ProtFlags::PROT_READ | ProtFlags::PROT_WRITE,
                MapFlags::MAP_SHARED,
                node.as_ref(),
                created.offset as nix::libc::off_t,
            )
        }
        .map_err(close)?;
        let dma_buf = ioctl::export(node, created.handle)
            .inspect_err(|e| log::debug!("no dma-buf for a buffer, job errors stay unseen: {e}"))
            .ok();
        Ok(Bo {
            node: Arc::clone(node),
            handle: created.handle,
            address: created.dma_address,
            map,
            len,
            // The driver zeroes pages through the CPU's caches; the first submission flushes them.
            owner: Owner::Cpu,
            dma_buf,
        })
    }

    /// GEM handle.
    pub fn handle(&self) -> u32 {
        self.handle
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
        // SAFETY: the mapping has `len` bytes and lives as long as `self`; the exclusive borrow and
        // the owner keep both other threads and the NPU away.
        Ok(unsafe { std::slice::from_raw_parts_mut(self.map.as_ptr().cast(), self.len) })
    }

    /// Gives the bytes to the NPU, if the CPU has had them.
    pub fn give_to_npu(&mut self) -> Result<(), DeviceError> {
        if self.owner == Owner::Cpu {
            ioctl::fini_bo(&self.node, self.handle)
                .map_err(|e| system("giving a buffer to the NPU".to_owned(), e))?;
            self.owner = Owner::Npu;
        }
        Ok(())
    }

    /// Waits for pending jobs and gives the bytes to the CPU.
    pub fn wait_for_npu(&mut self, patience: Duration) -> Result<(), DeviceError> {
        let now = clock_gettime(ClockId::CLOCK_MONOTONIC)
            .map_err(|e| system("reading the clock".to_owned(), e))?;
        let deadline = Duration::from(now) + patience;
        let deadline = i64::try_from(deadline.as_nanos()).unwrap_or(i64::MAX);
        ioctl::prep_bo(&self.node, self.handle, deadline)
            .map_err(|e| system("waiting for the NPU's writes to a buffer".to_owned(), e))?;
        self.owner = Owner::Cpu;
        Ok(())
    }

    /// The end of the writes that are pending now.
    pub fn fence(&self) -> Result<Option<Fence>, DeviceError> {
        self.dma_buf.as_ref().map(Fence::of).transpose()
    }
}

impl Drop for Bo {
    fn drop(&mut self) {
        // SAFETY: the mapping is `self`'s own, and no borrow of its bytes outlives `self`.
        if let Err(error) = unsafe { munmap(self.map, self.len) } {
            log::warn!("unmapping a buffer: {error}");
        }
        if let Err(error) = ioctl::gem_close(&self.node, self.handle) {
            log::warn!("closing a buffer: {error}");
        }
    }
}
