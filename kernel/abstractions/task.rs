// SPDX-License-Identifier: GPL-2.0-only
//! The calling task, clocks and delays.

use super::bindings as c;
use kernel::{
    bindings,
    error::Error, //
};

/// Whether the calling task is being killed.
pub(crate) fn is_killed() -> bool {
    // SAFETY: No requirements.
    unsafe { c::ferrite_task_is_killed() }
}

/// Whether the calling task may raise priorities (`CAP_SYS_NICE`).
pub(crate) fn may_prioritise() -> bool {
    // SAFETY: No requirements.
    unsafe { bindings::capable(bindings::CAP_SYS_NICE as i32) }
}

/// Monotonic time in nanoseconds.
pub(crate) fn now_ns() -> u64 {
    // SAFETY: No requirements.
    unsafe { bindings::ktime_get() as u64 }
}

/// Busy-waits for some microseconds, rounded up.
pub(crate) fn delay_us(us: usize) {
    // SAFETY: No requirements.
    unsafe { bindings::udelay(us) }
}

/// Turns an absolute monotonic deadline in nanoseconds into jiffies from now.
pub(crate) fn jiffies_until(deadline_ns: i64) -> usize {
    // SAFETY: No requirements.
    unsafe { c::drm_timeout_abs_to_jiffies(deadline_ns) as usize }
}

/// Waits until all that was inside an RCU read section is out.
pub(crate) fn wait_for_rcu() {
    // SAFETY: Called in process context without locks.
    unsafe {
        bindings::synchronize_rcu();
        bindings::rcu_barrier();
    }
}

/// The error of what was cancelled.
pub(crate) fn cancelled() -> Error {
    Error::from_errno(-(bindings::ECANCELED as i32))
}

/// Bytes of memory that the machine has.
pub(crate) fn ram_bytes() -> u64 {
    // SAFETY: No requirements.
    unsafe { c::ferrite_ram_bytes() }
}
