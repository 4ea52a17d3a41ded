// SPDX-License-Identifier: GPL-2.0-only
//! A spinlock that may be taken in interrupt handlers.
//!
//! C header: [`include/linux/spinlock.h`](srctree/include/linux/spinlock.h)

use super::bindings as c;
use kernel::{
    bindings,
    prelude::*,
    sync::lock::{
        Backend,
        Guard,
        Lock, //
    }, //
};

/// A spinlock that disables interrupts on the local CPU while it is held.
pub(crate) type IrqLock<T> = Lock<T, IrqSave>;

/// A held [`IrqLock`].
pub(crate) type IrqGuard<'a, T> = Guard<'a, T, IrqSave>;

/// `spin_lock_irqsave` as a lock backend.
pub(crate) struct IrqSave;

// SAFETY: The spinlock ensures mutual exclusion. The guard's state holds the interrupt flags of the
// locking call, and `relock` uses the default that locks the same way.
unsafe impl Backend for IrqSave {
    type State = bindings::spinlock_t;
    type GuardState = usize;

    unsafe fn init(
        ptr: *mut Self::State,
        name: *const kernel::ffi::c_char,
        key: *mut bindings::lock_class_key,
    ) {
        // SAFETY: The caller guarantees that `ptr` is valid for writes, and `name` and `key` are
        // valid indefinitely.
        unsafe { bindings::__spin_lock_init(ptr, name, key) }
    }

    unsafe fn lock(ptr: *mut Self::State) -> Self::GuardState {
        // SAFETY: The caller guarantees that `ptr` points to an initialised lock.
        unsafe { c::ferrite_spin_lock_irqsave(ptr) }
    }

    unsafe fn try_lock(_ptr: *mut Self::State) -> Option<Self::GuardState> {
        // Nothing needs it, and failing is always allowed.
        None
    }

    unsafe fn unlock(ptr: *mut Self::State, guard_state: &Self::GuardState) {
        // SAFETY: The caller guarantees that it holds the lock, and `guard_state` is what locking
        // returned.
        unsafe { c::ferrite_spin_unlock_irqrestore(ptr, *guard_state) }
    }

    unsafe fn assert_is_held(ptr: *mut Self::State) {
        // SAFETY: The caller guarantees that `ptr` points to an initialised lock.
        unsafe { bindings::spin_assert_is_held(ptr) }
    }
}

/// Makes an [`IrqLock`] with its own lock class.
macro_rules! new_irq_lock {
    ($inner:expr, $name:expr) => {
        $crate::abstractions::irq_lock::new($inner, $name, ::kernel::static_lock_class!())
    };
}
pub(crate) use new_irq_lock;

/// Use [`new_irq_lock!`].
pub(crate) fn new<T>(
    inner: impl PinInit<T>,
    name: &'static CStr,
    key: Pin<&'static kernel::sync::LockClassKey>,
) -> impl PinInit<IrqLock<T>> {
    Lock::new(inner, name, key)
}
