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

/// Whether the calling task may watch what others do (`CAP_PERFMON`).
pub(crate) fn may_watch() -> bool {
    // SAFETY: No requirements.
    unsafe { c::ferrite_may_watch() }
}

/// Number of the calling task's user.
pub(crate) fn owner() -> u32 {
    // SAFETY: No requirements.
    unsafe { c::ferrite_current_user() }
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

/// Sleeps for about a jiffy, whatever signals are pending.
pub(crate) fn sleep_jiffy() {
    // SAFETY: Called in process context without spinlocks.
    unsafe { bindings::schedule_timeout_uninterruptible(1) };
}

/// Whether one more message of a kind that clients can cause at will may go to the log now.
pub(crate) fn may_log() -> bool {
    // SAFETY: No requirements.
    unsafe { c::ferrite_may_log() }
}

/// Sleeps for `us` to twice as many microseconds.
pub(crate) fn sleep_us(us: usize) {
    // SAFETY: Called in process context without spinlocks.
    unsafe { bindings::usleep_range_state(us, 2 * us, bindings::TASK_UNINTERRUPTIBLE) }
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
