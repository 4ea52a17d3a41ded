// SPDX-License-Identifier: GPL-2.0-only
//! Clocks, resets and runtime power management of a platform device.

use super::{
    bindings as c,
    platform::Device,
    task, //
};
use kernel::{
    bindings,
    error::to_result,
    prelude::*, //
};

/// A set of clocks that are switched together.
///
/// # Invariants
///
/// The clocks were acquired, and are put when this is dropped.
pub(crate) struct Clocks<const N: usize>([bindings::clk_bulk_data; N]);

// SAFETY: Clocks may be switched from any thread.
unsafe impl<const N: usize> Send for Clocks<N> {}
// SAFETY: Switching clocks is synchronised by the clock framework.
unsafe impl<const N: usize> Sync for Clocks<N> {}

impl<const N: usize> Clocks<N> {
    /// Gets the device's clocks by name.
    pub(crate) fn new(device: &Device, names: [&'static CStr; N]) -> Result<Self> {
        let mut clocks = names.map(|name| bindings::clk_bulk_data {
            id: name.as_char_ptr(),
            ..pin_init::zeroed()
        });
        // SAFETY: The device is valid; the array is valid for writes.
        to_result(unsafe {
            bindings::clk_bulk_get(device.as_raw_device(), N as i32, clocks.as_mut_ptr())
        })?;
        // INVARIANT: Just acquired.
        Ok(Clocks(clocks))
    }

    /// Starts all of them, or none.
    pub(crate) fn enable(&self) -> Result {
        // SAFETY: By the type invariant the clocks are valid.
        unsafe {
            to_result(bindings::clk_bulk_prepare(N as i32, self.0.as_ptr()))?;
            to_result(bindings::clk_bulk_enable(N as i32, self.0.as_ptr()))
                .inspect_err(|_| bindings::clk_bulk_unprepare(N as i32, self.0.as_ptr()))
        }
    }

    /// Hertz of one of them. May sleep.
    pub(crate) fn rate(&self, index: usize) -> u64 {
        // SAFETY: By the type invariant the clocks are valid.
        unsafe { bindings::clk_get_rate(self.0[index].clk) as u64 }
    }

    /// Gives one of them another rate, or one near it. May sleep.
    pub(crate) fn set_rate(&self, index: usize, hertz: u64) -> Result {
        // SAFETY: By the type invariant the clocks are valid.
        to_result(unsafe { bindings::clk_set_rate(self.0[index].clk, hertz as usize) })
    }

    /// Stops all of them, after they were enabled.
    pub(crate) fn disable(&self) {
        // SAFETY: By the type invariant the clocks are valid.
        unsafe {
            bindings::clk_bulk_disable(N as i32, self.0.as_ptr());
            bindings::clk_bulk_unprepare(N as i32, self.0.as_ptr());
        }
    }
}

impl<const N: usize> Drop for Clocks<N> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant the clocks are ours.
        unsafe { bindings::clk_bulk_put(N as i32, self.0.as_mut_ptr()) }
    }
}

/// A set of reset lines that are pulsed together.
///
/// # Invariants
///
/// The resets were acquired, and are put when this is dropped.
pub(crate) struct Resets<const N: usize>([c::reset_control_bulk_data; N]);

// SAFETY: Resets may be used from any thread.
unsafe impl<const N: usize> Send for Resets<N> {}
// SAFETY: Asserting resets is synchronised by the reset framework.
unsafe impl<const N: usize> Sync for Resets<N> {}

impl<const N: usize> Resets<N> {
    /// Gets the device's resets by name.
    pub(crate) fn new(device: &Device, names: [&'static CStr; N]) -> Result<Self> {
        let mut resets = names.map(|name| c::reset_control_bulk_data {
            id: name.as_char_ptr(),
            rstc: core::ptr::null_mut(),
        });
        // SAFETY: The device is valid; the array is valid for writes.
        to_result(unsafe {
            c::ferrite_resets_get(device.as_raw_device(), N as i32, resets.as_mut_ptr())
        })?;
        // INVARIANT: Just acquired.
        Ok(Resets(resets))
    }

    /// Holds all resets for `us` microseconds. Busy-waits. If one cannot be released, or all are
    /// held already, they stay held.
    pub(crate) fn pulse(&self, us: usize) -> Result {
        self.hold()?;
        task::delay_us(us);
        // SAFETY: By the type invariant the resets are valid.
        to_result(unsafe {
            c::reset_control_bulk_deassert(N as i32, self.0.as_ptr().cast_mut())
        })
    }

    /// Holds all resets, until they are pulsed.
    pub(crate) fn hold(&self) -> Result {
        // SAFETY: By the type invariant the resets are valid.
        to_result(unsafe { c::reset_control_bulk_assert(N as i32, self.0.as_ptr().cast_mut()) })
    }
}

impl<const N: usize> Drop for Resets<N> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant the resets are ours.
        unsafe { c::reset_control_bulk_put(N as i32, self.0.as_mut_ptr()) }
    }
}

/// Powers the device up and keeps it so. May sleep. Undo with [`put`].
pub(crate) fn get(device: &Device) -> Result {
    // SAFETY: The device is valid.
    to_result(unsafe { c::ferrite_pm_get(device.as_raw_device()) })
}

/// Lets the device lose power. May sleep.
pub(crate) fn put(device: &Device) {
    // SAFETY: The device is valid.
    unsafe { c::ferrite_pm_put(device.as_raw_device()) }
}
