// SPDX-License-Identifier: GPL-2.0-only
//! Register windows.
//!
//! `kernel::io` ties a window to the bound device, and asks at each access whether it still is. Here
//! the window is its owner's: as long as that lives the addresses are valid, whether the device is
//! bound or not. That it has power when it is accessed is the owner's business; if it has none the
//! bus says so.

use super::platform::Device;
use core::ptr::NonNull;
use kernel::{
    bindings,
    prelude::*, //
};

/// A register window of `SIZE` bytes.
///
/// # Invariants
///
/// `base` is a mapping of `SIZE` bytes that this value owns.
pub(crate) struct Mmio<const SIZE: usize> {
    base: NonNull<u8>,
}

// SAFETY: Registers may be accessed from any thread.
unsafe impl<const SIZE: usize> Send for Mmio<SIZE> {}
// SAFETY: Registers may be accessed from any thread at the same time.
unsafe impl<const SIZE: usize> Sync for Mmio<SIZE> {}

impl<const SIZE: usize> Mmio<SIZE> {
    /// Maps the device's window `name`.
    pub(crate) fn new(device: &Device, name: &CStr) -> Result<Self> {
        // SAFETY: The device is bound and the name is a C string.
        let resource = unsafe {
            bindings::platform_get_resource_byname(
                device.as_raw(),
                bindings::IORESOURCE_MEM,
                name.as_char_ptr(),
            )
        };
        // SAFETY: A resource that is found is valid as long as the device.
        if resource.is_null() || unsafe { (*resource).end - (*resource).start + 1 } < SIZE as u64 {
            return Err(EINVAL);
        }
        // SAFETY: As above; the driver core gives a device to one driver at a time.
        let base = unsafe { bindings::ioremap((*resource).start, SIZE) };
        // INVARIANT: Just mapped.
        NonNull::new(base)
            .map(|base| Mmio { base: base.cast() })
            .ok_or(ENOMEM)
    }

    /// Reads the 32-bit register at `OFFSET`.
    #[inline(always)]
    pub(crate) fn read<const OFFSET: usize>(&self) -> u32 {
        const { assert!(OFFSET + 4 <= SIZE && OFFSET % 4 == 0) };
        // SAFETY: By the type invariant the window is mapped, and the offset is inside.
        unsafe { bindings::readl(self.base.as_ptr().add(OFFSET).cast()) }
    }

    /// Writes the 32-bit register at `OFFSET`, after all earlier memory writes.
    #[inline(always)]
    pub(crate) fn write<const OFFSET: usize>(&self, value: u32) {
        const { assert!(OFFSET + 4 <= SIZE && OFFSET % 4 == 0) };
        // SAFETY: By the type invariant the window is mapped, and the offset is inside.
        unsafe { bindings::writel(value, self.base.as_ptr().add(OFFSET).cast()) }
    }
}

impl<const SIZE: usize> Drop for Mmio<SIZE> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant the mapping is ours.
        unsafe { bindings::iounmap(self.base.as_ptr().cast()) }
    }
}
