// SPDX-License-Identifier: GPL-2.0-only
//! Reservation objects: the fences of a buffer's readers and writers.
//!
//! C header: [`include/linux/dma-resv.h`](srctree/include/linux/dma-resv.h)

use super::{
    drm::Driver,
    fence::Fence,
    gem::GemRef, //
};
use core::{
    marker::PhantomData,
    ptr::NonNull, //
};
use kernel::{
    bindings,
    error::to_result,
    prelude::*,
    types::Opaque, //
};

/// How a fence's job uses a buffer.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Usage {
    /// It writes. Waiting for it means: for all writers.
    Write,
    /// It reads. Waiting for it means: for all readers and writers.
    Read,
}

impl Usage {
    fn raw(self) -> bindings::dma_resv_usage {
        match self {
            Usage::Write => bindings::dma_resv_usage_DMA_RESV_USAGE_WRITE,
            Usage::Read => bindings::dma_resv_usage_DMA_RESV_USAGE_READ,
        }
    }
}

/// Waits for the users of a buffer, at most `jiffies`; returns whether they are done.
pub(crate) fn wait<T: Driver>(
    buffer: &GemRef<T>,
    usage: Usage,
    jiffies: usize,
) -> Result<bool> {
    // SAFETY: The object is valid, and so is its reservation object.
    let left = unsafe {
        bindings::dma_resv_wait_timeout((*buffer.as_raw()).resv, usage.raw(), true, jiffies)
    };
    if left < 0 {
        return Err(Error::from_errno(left as i32));
    }
    Ok(left > 0)
}

/// Locks the reservation objects of several buffers; keeps its memory from time to time.
pub(crate) struct Locker<T> {
    objects: KVVec<*mut bindings::drm_gem_object>,
    rooms: KVVec<u32>,
    context: Option<KBox<Opaque<bindings::ww_acquire_ctx>>>,
    _driver: PhantomData<T>,
}

// SAFETY: The pointers are only used while the objects are borrowed.
unsafe impl<T> Send for Locker<T> {}

impl<T> Default for Locker<T> {
    fn default() -> Self {
        Locker {
            objects: KVVec::new(),
            rooms: KVVec::new(),
            context: None,
            _driver: PhantomData,
        }
    }
}

impl<T: Driver> Locker<T> {
    /// Does `work` with the buffers locked, which must all be different. Interruptible.
    pub(crate) fn with<'a, R>(
        &'a mut self,
        buffers: impl Iterator<Item = &'a GemRef<T>>,
        work: impl FnOnce(&mut Reservations<'_>) -> Result<R>,
    ) -> Result<R> {
        self.objects.clear();
        self.rooms.clear();
        for buffer in buffers {
            self.objects.push(buffer.as_raw(), GFP_KERNEL_ACCOUNT)?;
            self.rooms.push(0, GFP_KERNEL_ACCOUNT)?;
        }
        let context = match &mut self.context {
            Some(context) => context,
            none => none.insert(KBox::new(Opaque::uninit(), GFP_KERNEL_ACCOUNT)?),
        };
        let (raw, len) = (self.objects.as_mut_ptr(), self.objects.len() as i32);
        // SAFETY: The objects are valid; the context has a stable address until it is unlocked.
        to_result(unsafe { bindings::drm_gem_lock_reservations(raw, len, context.get()) })?;
        // INVARIANT: Just locked, and unlocked below, where the borrow ends.
        let result = work(&mut Reservations {
            objects: &self.objects,
            rooms: &mut self.rooms,
        });
        // SAFETY: Locked above with this context. The driver does not unwind.
        unsafe { bindings::drm_gem_unlock_reservations(raw, len, context.get()) };
        result
    }
}

/// The locked reservation objects of several buffers.
///
/// # Invariants
///
/// All of `objects` are locked and kept alive by the borrow `'a`. `rooms` has as many elements: the
/// fences for which room was made and that were not added yet.
pub(crate) struct Reservations<'a> {
    objects: &'a [*mut bindings::drm_gem_object],
    rooms: &'a mut [u32],
}

impl Reservations<'_> {
    fn resv(&self, index: usize) -> *mut bindings::dma_resv {
        // SAFETY: By the type invariant the objects are valid.
        unsafe { (*self.objects[index]).resv }
    }

    /// Makes room for `count` fences on a buffer.
    pub(crate) fn reserve(&mut self, index: usize, count: u32) -> Result {
        // SAFETY: By the type invariant the reservation object is valid and locked.
        to_result(unsafe { bindings::dma_resv_reserve_fences(self.resv(index), count) })?;
        // INVARIANT: There is room for as many, whatever there was before.
        self.rooms[index] = self.rooms[index].max(count);
        Ok(())
    }

    /// Adds a fence for which [`reserve`](Self::reserve) made room; without room it adds none.
    pub(crate) fn add(&mut self, index: usize, fence: &Fence, usage: Usage) {
        let Some(left) = self.rooms[index].checked_sub(1) else {
            pr_err!("no room was made for a fence\n");
            return;
        };
        self.rooms[index] = left;
        // SAFETY: By the type invariant the reservation object is valid and locked, and has room.
        unsafe { bindings::dma_resv_add_fence(self.resv(index), fence.as_raw(), usage.raw()) }
    }

    /// Calls `each` with every fence of the buffer's users that is not signalled.
    pub(crate) fn pending(
        &self,
        index: usize,
        usage: Usage,
        mut each: impl FnMut(Fence) -> Result,
    ) -> Result {
        let resv = self.resv(index);
        // SAFETY: By the type invariant the reservation object is valid and locked.
        if unsafe { bindings::dma_resv_test_signaled(resv, usage.raw()) } {
            return Ok(());
        }
        let mut count: u32 = 0;
        let mut fences: *mut *mut bindings::dma_fence = core::ptr::null_mut();
        // SAFETY: As above; the results are valid for writes.
        to_result(unsafe {
            bindings::dma_resv_get_fences(resv, usage.raw(), &mut count, &mut fences)
        })?;
        let mut result = Ok(());
        for at in 0..count as usize {
            // SAFETY: The array has `count` references to fences, each of which we take over.
            let fence = unsafe { Fence::from_raw(NonNull::new_unchecked(*fences.add(at))) };
            if result.is_ok() && !fence.is_signaled() {
                result = each(fence);
            }
        }
        // SAFETY: `dma_resv_get_fences` allocated the array for us.
        unsafe { bindings::kfree(fences.cast()) };
        result
    }
}
