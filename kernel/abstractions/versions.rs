// SPDX-License-Identifier: GPL-2.0-only
//! What the `kernel` crate of Linux 7.3 has under other names than that of 7.2.

use kernel::{
    bindings,
    module_param::ModuleParamAccess,
    prelude::*, //
};

/// What an interrupt handler returns if the interrupt was its own.
#[cfg(linux_7_3)]
pub(super) const IRQ_HANDLED: bindings::irqreturn_t = bindings::irqreturn::IRQ_HANDLED;
#[cfg(not(linux_7_3))]
pub(super) const IRQ_HANDLED: bindings::irqreturn_t = bindings::irqreturn_IRQ_HANDLED;

/// What an interrupt handler returns if the interrupt was another's.
#[cfg(linux_7_3)]
pub(super) const IRQ_NONE: bindings::irqreturn_t = bindings::irqreturn::IRQ_NONE;
#[cfg(not(linux_7_3))]
pub(super) const IRQ_NONE: bindings::irqreturn_t = bindings::irqreturn_IRQ_NONE;

/// C's `THIS_MODULE`.
#[cfg(linux_7_3)]
pub(super) const THIS_MODULE: *mut bindings::module =
    <crate::Module as kernel::ModuleMetadata>::THIS_MODULE.as_ptr();
#[cfg(not(linux_7_3))]
pub(super) const THIS_MODULE: *mut bindings::module = crate::THIS_MODULE.as_ptr();

/// Initialises `slot`.
///
/// # Safety
///
/// `slot` must be valid for writes and not move until it is dropped. After an error it holds
/// nothing.
pub(super) unsafe fn init<T>(slot: *mut T, init: impl PinInit<T, Error>) -> Result {
    #[cfg(linux_7_3)]
    // SAFETY: By this function's requirements.
    return unsafe { pin_init::raw_try_init(slot, init) };
    #[cfg(not(linux_7_3))]
    // SAFETY: By this function's requirements.
    return unsafe { init.__pinned_init(slot) };
}

/// Value of a module parameter.
pub(crate) fn parameter<T: Copy>(parameter: &ModuleParamAccess<T>) -> T {
    #[cfg(linux_7_3)]
    return parameter.value();
    #[cfg(not(linux_7_3))]
    return *parameter.value();
}
