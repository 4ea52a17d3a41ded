// SPDX-License-Identifier: GPL-2.0-only
//! Workqueues of one's own: for work that fences wait for, and for the rest.
//!
//! C header: [`include/linux/workqueue.h`](srctree/include/linux/workqueue.h)

use super::bindings as c;
use core::ptr::NonNull;
use kernel::{
    bindings,
    prelude::*,
    sync::Arc,
    workqueue::{
        HasDelayedWork,
        HasWork,
        Queue,
        Work,
        WorkItem, //
    }, //
};

/// An unbound workqueue. Waits for its work when dropped.
///
/// # Invariants
///
/// Points to a workqueue that this value owns.
pub(crate) struct OwnQueue(NonNull<bindings::workqueue_struct>);

// SAFETY: Workqueues may be used from any thread.
unsafe impl Send for OwnQueue {}
// SAFETY: Workqueues may be used from any thread at the same time.
unsafe impl Sync for OwnQueue {}

impl OwnQueue {
    /// A workqueue of high priority that makes progress under memory pressure: its work must not
    /// wait for memory.
    pub(crate) fn urgent(name: &CStr) -> Result<Self> {
        Self::new(name, true)
    }

    /// A workqueue for what nobody waits for.
    pub(crate) fn ordinary(name: &CStr) -> Result<Self> {
        Self::new(name, false)
    }

    fn new(name: &CStr, urgent: bool) -> Result<Self> {
        // SAFETY: The name is a C string, which is copied.
        let queue = unsafe { c::ferrite_workqueue(name.as_char_ptr(), urgent) };
        // INVARIANT: Just made for us.
        NonNull::new(queue).map(OwnQueue).ok_or(ENOMEM)
    }

    /// The queue, to put work on.
    pub(crate) fn queue(&self) -> &Queue {
        // SAFETY: By the type invariant it is valid as long as `self`.
        unsafe { Queue::from_raw(self.0.as_ptr()) }
    }

    /// Waits for all work that is on the queue now.
    pub(crate) fn flush(&self) {
        // SAFETY: By the type invariant the queue is valid.
        unsafe { bindings::__flush_workqueue(self.0.as_ptr()) }
    }
}

impl Drop for OwnQueue {
    fn drop(&mut self) {
        // SAFETY: By the type invariant the queue is ours.
        unsafe { bindings::destroy_workqueue(self.0.as_ptr()) }
    }
}

/// Stops work, and waits for it if it runs.
pub(crate) fn cancel<T, const ID: u64>(item: &Arc<T>)
where
    T: WorkItem<ID, Pointer = Arc<T>> + HasWork<T, ID>,
{
    let raw = Arc::as_ptr(item).cast_mut();
    // SAFETY: `raw` is valid, and so is its work.
    let pending = unsafe {
        bindings::cancel_work_sync(Work::raw_get(<T as HasWork<T, ID>>::raw_get_work(raw)))
    };
    if pending {
        // SAFETY: The queue gave up the reference that it took when the work was queued.
        drop(unsafe { Arc::from_raw(raw.cast_const()) });
    }
}

/// Stops delayed work, and waits for it if it runs.
pub(crate) fn cancel_delayed<T, const ID: u64>(item: &Arc<T>)
where
    T: WorkItem<ID, Pointer = Arc<T>> + HasDelayedWork<T, ID> + HasWork<T, ID>,
{
    let raw = Arc::as_ptr(item).cast_mut();
    // SAFETY: `raw` is valid. By `HasDelayedWork` the work is the first field of a delayed work.
    let pending = unsafe {
        let work = Work::raw_get(<T as HasWork<T, ID>>::raw_get_work(raw));
        bindings::cancel_delayed_work_sync(work.cast::<bindings::delayed_work>())
    };
    if pending {
        // SAFETY: The queue gave up the reference that it took when the work was queued.
        drop(unsafe { Arc::from_raw(raw.cast_const()) });
    }
}
