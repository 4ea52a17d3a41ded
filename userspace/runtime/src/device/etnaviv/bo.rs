//! Buffer objects at addresses of our choice.

use super::super::DeviceError;
use super::super::drm::gem::Gem;
use super::super::drm::{Node, deadline, system};
use super::address_space::{AddressSpace, PAGE};
use super::{GRACE, ioctl};
use ferrite_uapi::etnaviv::SubmitBo;
use nix::errno::Errno;
use std::sync::{Arc, Mutex, PoisonError};

/// A mapped buffer object.
#[derive(Debug)]
pub struct Bo {
    gem: Gem,
    address: u64,
    space: Arc<Mutex<AddressSpace>>,
}

impl Bo {
    /// Allocates and maps `size` bytes, rounded up to pages, all zero.
    pub fn new(
        node: &Arc<Node>,
        space: &Arc<Mutex<AddressSpace>>,
        size: usize,
    ) -> Result<Bo, DeviceError> {
        let len = size.max(1).next_multiple_of(PAGE as usize);
        let what = || format!("allocating a buffer of {len} bytes");
        let handle = ioctl::gem_new(node, len as u64).map_err(|e| system(what(), e))?;
        let gem = Gem::map(node, handle, len, || ioctl::map_offset(node, handle))?;
        let address = space
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take(len as u64)
            .ok_or_else(|| system(what(), Errno::ENOSPC))?;
        Ok(Bo {
            gem,
            address,
            space: Arc::clone(space),
        })
    }

    /// Address in the NPU's address space.
    pub fn address(&self) -> u64 {
        self.address
    }

    /// How a job that uses it in the ways of `flags` names it.
    pub fn operand(&self, flags: u32) -> SubmitBo {
        SubmitBo {
            flags,
            handle: self.gem.handle(),
            presumed: self.address,
        }
    }

    /// Lets the CPU work on the bytes: waits for jobs first, and gives them back to the NPU after.
    pub fn with<T>(&mut self, work: impl FnOnce(&mut [u8]) -> T) -> Result<T, DeviceError> {
        let handle = self.gem.handle();
        ioctl::cpu_prep(self.gem.node(), handle, deadline(GRACE)?)
            .map_err(|e| system("waiting for the NPU to leave a buffer".to_owned(), e))?;
        let result = work(self.gem.bytes_mut());
        ioctl::cpu_fini(self.gem.node(), handle)
            .map_err(|e| system("giving a buffer to the NPU".to_owned(), e))?;
        Ok(result)
    }
}

impl Drop for Bo {
    fn drop(&mut self) {
        // In a forked child the lock may be held by a thread that only the parent has.
        if !self.gem.node().is_ours() {
            return;
        }
        let mut space = self.space.lock().unwrap_or_else(PoisonError::into_inner);
        space.release(self.address);
    }
}
