//! Buffer objects in this process: a handle and a mapping.
#![allow(unsafe_code)]

use super::super::DeviceError;
use super::{Node, ioctl, system};
use nix::errno::Errno;
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};
use std::ffi::c_void;
use std::num::NonZeroUsize;
use std::ptr::NonNull;
use std::sync::Arc;

/// A mapped buffer object; closed when dropped, but never by a forked child.
#[derive(Debug)]
pub struct Gem {
    node: Arc<Node>,
    handle: u32,
    map: NonNull<c_void>,
    len: usize,
}

// SAFETY: the mapping belongs to this value alone, and any thread may use it.
unsafe impl Send for Gem {}
// SAFETY: what can be done with a shared reference is to read.
unsafe impl Sync for Gem {}

impl Gem {
    /// Takes over the handle of a buffer object of `len` bytes and maps it; `offset` asks for the
    /// place in the node where it can be mapped. On failure the handle is closed.
    pub fn map(
        node: &Arc<Node>,
        handle: u32,
        len: usize,
        offset: impl FnOnce() -> Result<u64, Errno>,
    ) -> Result<Gem, DeviceError> {
        let mapped = offset().and_then(|offset| {
            let len = NonZeroUsize::new(len).ok_or(Errno::EINVAL)?;
            let offset = nix::libc::off_t::try_from(offset).map_err(|_| Errno::EOVERFLOW)?;
            let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
            // SAFETY: a new mapping at an address of the kernel's choice.
            unsafe {
                mmap(
                    None,
                    len,
                    access,
                    MapFlags::MAP_SHARED,
                    &**node.as_ref(),
                    offset,
                )
            }
        });
        match mapped {
            Ok(map) => Ok(Gem {
                node: Arc::clone(node),
                handle,
                map,
                len,
            }),
            Err(errno) => {
                // The error to report is the first one.
                let _ = ioctl::gem_close(node, handle);
                Err(system(format!("mapping a buffer of {len} bytes"), errno))
            }
        }
    }

    /// The node it belongs to.
    pub fn node(&self) -> &Arc<Node> {
        &self.node
    }

    /// GEM handle.
    pub fn handle(&self) -> u32 {
        self.handle
    }

    /// The bytes. Whether the device writes to them at the same time is for the caller to know.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: the mapping has `len` bytes and lives as long as `self`, and nothing in this process
        // writes to them while `self` is borrowed: that takes an exclusive borrow. Any byte that a
        // device writes meanwhile is a valid `u8`.
        unsafe { std::slice::from_raw_parts(self.map.as_ptr().cast(), self.len) }
    }

    /// The bytes. Whether the device uses them at the same time is for the caller to know.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: the mapping has `len` bytes and lives as long as `self`, whose exclusive borrow
        // keeps other threads away. Any byte that a device writes meanwhile is a valid `u8`.
        unsafe { std::slice::from_raw_parts_mut(self.map.as_ptr().cast(), self.len) }
    }
}

impl Drop for Gem {
    fn drop(&mut self) {
        // SAFETY: the mapping is `self`'s own, and no borrow of its bytes outlives `self`.
        if let Err(error) = unsafe { munmap(self.map, self.len) } {
            log::warn!("unmapping a buffer: {error}");
        }
        // In a child of the process that opened it the handle is still the parent's.
        if !self.node.is_ours() {
            return;
        }
        if let Err(error) = ioctl::gem_close(&self.node, self.handle) {
            log::warn!("closing a buffer: {error}");
        }
    }
}
