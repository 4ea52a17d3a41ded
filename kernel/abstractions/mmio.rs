// SPDX-License-Identifier: GPL-2.0-only
//! Register windows that stay mapped as long as their driver is bound.

use super::platform::Device;
use core::ptr::NonNull;
use kernel::{
    bindings,
    error::from_err_ptr,
    prelude::*, //
};

/// A register window of `SIZE` bytes.
///
/// # Invariants
///
/// `base` is a mapping of at least `SIZE` bytes that lives until the device is unbound; the owner
/// makes no accesses after that (see [`Mmio::new`]).
pub(crate) struct Mmio<const SIZE: usize> {
    base: NonNull<u8>,
}

// SAFETY: Registers may be accessed from any thread.
unsafe impl<const SIZE: usize> Send for Mmio<SIZE> {}
// SAFETY: Registers may be accessed from any thread at the same time.
unsafe impl<const SIZE: usize> Sync for Mmio<SIZE> {}

impl<const SIZE: usize> Mmio<SIZE> {
    /// Maps the device's window `name`.
    ///
    /// The mapping goes when the driver is unbound: the owner must have stopped all accesses when
    /// its `remove` returns.
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
        // SAFETY: The device is bound and the resource is one of its own.
        let base = unsafe {
            bindings::devm_ioremap_resource(device.as_raw_device(), resource.cast_const())
        };
        let base = NonNull::new(from_err_ptr(base)?).ok_or(ENOMEM)?;
        // INVARIANT: Just mapped, and long enough.
        Ok(Mmio { base: base.cast() })
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
