// SPDX-License-Identifier: GPL-2.0-only
//! Printing to `struct drm_printer`.

use super::bindings as c;
use kernel::{
    bindings,
    fmt,
    prelude::*, //
};

/// Where fdinfo and dumps are printed to.
pub(crate) struct Printer(*mut bindings::drm_printer);

impl Printer {
    /// # Safety
    ///
    /// `raw` must be valid as long as the value is used.
    pub(super) unsafe fn from_raw(raw: *mut bindings::drm_printer) -> Self {
        Printer(raw)
    }

    /// Prints.
    pub(crate) fn print(&self, args: fmt::Arguments<'_>) {
        // SAFETY: The printer is valid; `%pA` takes a pointer to Rust's format arguments.
        unsafe {
            c::drm_printf(
                self.0,
                c"%pA".as_char_ptr(),
                core::ptr::from_ref(&args).cast::<kernel::ffi::c_void>(),
            )
        }
    }
}
