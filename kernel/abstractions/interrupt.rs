// SPDX-License-Identifier: GPL-2.0-only
//! Shared interrupt lines.
//!
//! The `kernel` crate's registration is tied to the bound device and lives as long as it; here the
//! owner decides when the handler goes.

use super::{
    platform::Device,
    versions, //
};
use kernel::{
    bindings,
    error::to_result,
    prelude::*,
    sync::Arc, //
};

/// Handles interrupts.
pub(crate) trait Handler: Send + Sync + 'static {
    /// Called in hard interrupt context, also for the interrupts of others on the same line.
    /// Returns whether the interrupt was this device's.
    fn handle(this: &Arc<Self>) -> bool;
}

/// A registered handler.
///
/// # Invariants
///
/// `target` came from `Arc::into_raw` and is registered for `irq`.
pub(crate) struct Registration<T: Handler> {
    irq: u32,
    target: *const T,
}

// SAFETY: The handler may be called and freed from any thread.
unsafe impl<T: Handler> Send for Registration<T> {}
// SAFETY: There are no methods.
unsafe impl<T: Handler> Sync for Registration<T> {}

impl<T: Handler> Registration<T> {
    /// Has `target` called for the device's first interrupt.
    pub(crate) fn new(device: &Device, target: Arc<T>) -> Result<Self> {
        // SAFETY: The device is valid.
        let irq = unsafe { bindings::platform_get_irq(device.as_raw(), 0) };
        if irq < 0 {
            return Err(Error::from_errno(irq));
        }
        let target = Arc::into_raw(target);
        // SAFETY: `run` takes what `target` is, which stays valid until it is freed in `drop`.
        let result = to_result(unsafe {
            bindings::request_threaded_irq(
                irq as u32,
                Some(Self::run),
                None,
                bindings::IRQF_SHARED as usize,
                device.name(),
                target.cast_mut().cast(),
            )
        });
        if let Err(error) = result {
            // SAFETY: It was not registered, so the reference is still ours.
            drop(unsafe { Arc::from_raw(target) });
            return Err(error);
        }
        // INVARIANT: Just registered.
        Ok(Registration {
            irq: irq as u32,
            target,
        })
    }

    extern "C" fn run(_irq: i32, data: *mut kernel::ffi::c_void) -> bindings::irqreturn_t {
        // SAFETY: `data` is from `Arc::into_raw`, and its owner frees it after the handler. The
        // reference is not given up here.
        let this = core::mem::ManuallyDrop::new(unsafe { Arc::from_raw(data.cast_const().cast()) });
        if T::handle(&this) {
            versions::IRQ_HANDLED
        } else {
            versions::IRQ_NONE
        }
    }
}

impl<T: Handler> Drop for Registration<T> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant it is registered. This waits for running handlers.
        unsafe { bindings::free_irq(self.irq, self.target.cast_mut().cast()) };
        // SAFETY: The reference was given to the registration, which is gone.
        drop(unsafe { Arc::from_raw(self.target) });
    }
}
