//! The guest's memory, as devices that master the bus see it.

use std::ffi::c_void;
use std::ptr::NonNull;

use super::symbols::symbols;
use super::{BoardError, Bql};
use ferrite_sim::memory::{Memory, MemoryFault, Refusal};

/// The guest's RAM at its physical addresses. Cores reach it from threads of their own, without
/// the big lock, as DMA goes past a processor.
pub struct GuestRam {
    base: u64,
    host: NonNull<u8>,
    length: usize,
}

// SAFETY: the mapping belongs to no thread. What several threads do to it at once, and the guest's
// processors too, is plain copying of bytes through raw pointers; no reference to it is ever made.
unsafe impl Send for GuestRam {}
// SAFETY: as above.
unsafe impl Sync for GuestRam {}

impl GuestRam {
    /// All RAM from `base` on.
    ///
    /// The mapping is held until QEMU ends: a `virt` machine's RAM is one block that stays. Writes
    /// past QEMU's own functions do not tell it that translated code may be stale; the NPU's
    /// buffers hold no code, and a page that is given back and then gets code is written by the
    /// guest's processor first, which QEMU does see.
    pub fn map(_bql: &Bql, base: u64) -> Result<Self, BoardError> {
        let mut length = 1u64 << 40;
        // SAFETY: `length` is a valid place for the answer; attributes of zero are those of an
        // ordinary access; the big lock is held.
        let pointer = unsafe {
            (symbols().address_space_map)(
                symbols().address_space_memory as *mut c_void,
                base,
                &raw mut length,
                true,
                0,
            )
        };
        // A bounce buffer of a page would be handed out for an address that is not RAM.
        let host = NonNull::new(pointer.cast::<u8>()).filter(|_| length > 1 << 20);
        match (host, usize::try_from(length)) {
            (Some(host), Ok(length)) => Ok(Self { base, host, length }),
            _ => Err(BoardError::NoRam(base)),
        }
    }

    /// The host's address of `length` bytes of RAM.
    fn at(&self, address: u64, length: usize, write: bool) -> Result<NonNull<u8>, MemoryFault> {
        let offset = address
            .checked_sub(self.base)
            .and_then(|offset| usize::try_from(offset).ok());
        match offset {
            Some(offset) if offset <= self.length && length <= self.length - offset => {
                // SAFETY: offset + length is within the mapping, by the condition.
                Ok(unsafe { self.host.add(offset) })
            }
            _ => Err(MemoryFault {
                address,
                len: length,
                write,
                why: Refusal::Bus,
            }),
        }
    }
}

impl Memory for GuestRam {
    fn read(&self, address: u64, out: &mut [u8]) -> Result<(), MemoryFault> {
        let from = self.at(address, out.len(), false)?;
        // SAFETY: both ends have that many bytes, and a Rust slice cannot lie in the guest's RAM.
        unsafe {
            from.as_ptr()
                .copy_to_nonoverlapping(out.as_mut_ptr(), out.len())
        };
        Ok(())
    }

    fn write(&self, address: u64, data: &[u8]) -> Result<(), MemoryFault> {
        let to = self.at(address, data.len(), true)?;
        // SAFETY: as in `read`.
        unsafe {
            to.as_ptr()
                .copy_from_nonoverlapping(data.as_ptr(), data.len())
        };
        Ok(())
    }
}
