// SPDX-License-Identifier: GPL-2.0-only
//! DMA fences.
//!
//! C header: [`include/linux/dma-fence.h`](srctree/include/linux/dma-fence.h)

use super::bindings as c;
use core::{
    mem::MaybeUninit,
    ops::Deref,
    ptr::NonNull,
    sync::atomic::{
        AtomicBool,
        Ordering, //
    }, //
};
use kernel::{
    bindings,
    prelude::*,
    types::Opaque, //
};

/// A counted reference to a DMA fence.
///
/// # Invariants
///
/// Points to an initialised fence and owns one of its references.
pub(crate) struct Fence(NonNull<bindings::dma_fence>);

// SAFETY: Fences may be used and released from any thread.
unsafe impl Send for Fence {}
// SAFETY: Fences may be used from any thread at the same time.
unsafe impl Sync for Fence {}

impl Clone for Fence {
    fn clone(&self) -> Self {
        // SAFETY: By the type invariant the fence is valid.
        // INVARIANT: The new reference is owned by the new value.
        Fence(unsafe { NonNull::new_unchecked(c::ferrite_fence_get(self.0.as_ptr())) })
    }
}

impl Drop for Fence {
    fn drop(&mut self) {
        // SAFETY: By the type invariant this gives up a reference that we own.
        unsafe { c::ferrite_fence_put(self.0.as_ptr()) }
    }
}

extern "C" fn driver_name(_: *mut bindings::dma_fence) -> *const kernel::ffi::c_char {
    c"rocket".as_char_ptr()
}

extern "C" fn timeline_name(_: *mut bindings::dma_fence) -> *const kernel::ffi::c_char {
    c"rockchip-npu".as_char_ptr()
}

/// Without `release` and `wait` a fence lets go of these once it is signalled, so that fences may
/// outlive the module.
static OPS: bindings::dma_fence_ops = bindings::dma_fence_ops {
    get_driver_name: Some(driver_name),
    get_timeline_name: Some(timeline_name),
    ..pin_init::zeroed()
};

impl Fence {
    /// A new fence in a timeline of its own. It must be signalled before its last reference goes.
    fn new() -> Result<Self> {
        let memory: KBox<MaybeUninit<bindings::dma_fence>> = KBox::new_uninit(GFP_KERNEL)?;
        let fence = KBox::into_raw(memory).cast::<bindings::dma_fence>();
        // SAFETY: `fence` is valid for writes, and `OPS` is static. Without `release` the fence is
        // freed by `kfree_rcu`, which suits memory from `kmalloc`.
        unsafe {
            let context = bindings::dma_fence_context_alloc(1);
            bindings::dma_fence_init(fence, &raw const OPS, core::ptr::null_mut(), context, 1);
        }
        // INVARIANT: A new fence has one reference, which we own.
        // SAFETY: `KBox::into_raw` does not return null.
        Ok(Fence(unsafe { NonNull::new_unchecked(fence) }))
    }

    /// Takes over a reference.
    ///
    /// # Safety
    ///
    /// `fence` must be valid, and the caller must own a reference, which passes to the new value.
    pub(super) unsafe fn from_raw(fence: NonNull<bindings::dma_fence>) -> Self {
        Fence(fence)
    }

    /// The C fence.
    pub(super) fn as_raw(&self) -> *mut bindings::dma_fence {
        self.0.as_ptr()
    }

    /// Identifies the fence while it lives.
    pub(crate) fn id(&self) -> usize {
        self.0.as_ptr() as usize
    }

    /// Whether the fence is signalled.
    pub(crate) fn is_signaled(&self) -> bool {
        // SAFETY: By the type invariant the fence is valid.
        unsafe { c::ferrite_fence_is_signaled(self.as_raw()) }
    }

    /// Whether the fence is signalled with an error.
    pub(crate) fn has_failed(&self) -> bool {
        // SAFETY: By the type invariant the fence is valid.
        self.is_signaled() && unsafe { c::ferrite_fence_error(self.as_raw()) != 0 }
    }
}

/// A fence of ours, which only we signal. Signalled as cancelled when dropped before that.
pub(crate) struct OwnFence(Fence);

impl OwnFence {
    /// A new fence in a timeline of its own.
    pub(crate) fn new() -> Result<Self> {
        Fence::new().map(OwnFence)
    }

    /// Signals the fence, with an error if there was one. Callbacks of others run now; the caller
    /// must not hold a lock that they may take.
    pub(crate) fn signal(&self, error: Option<Error>) {
        // SAFETY: The fence is valid.
        unsafe { c::ferrite_fence_signal(self.0.as_raw(), error.map_or(0, |e| e.to_errno())) }
    }
}

impl Deref for OwnFence {
    type Target = Fence;

    fn deref(&self) -> &Fence {
        &self.0
    }
}

impl Drop for OwnFence {
    fn drop(&mut self) {
        if !self.0.is_signaled() {
            self.signal(Some(super::task::cancelled()));
        }
    }
}

/// A section of code that fences which others can see wait for: in it nothing may wait for memory, nor
/// for a reservation's lock. Where the kernel watches locks, it is told.
pub(crate) struct Signalling(bool);

impl Signalling {
    /// Begins the section; it ends when this is dropped.
    pub(crate) fn begin() -> Self {
        // SAFETY: The section ends in the same task.
        Signalling(unsafe { c::ferrite_fence_begin_signalling() })
    }
}

impl Drop for Signalling {
    fn drop(&mut self) {
        // SAFETY: Begun in `begin`.
        unsafe { c::ferrite_fence_end_signalling(self.0) }
    }
}

/// What to do when a fence is signalled.
///
/// # Safety
///
/// Whoever implements this keeps each armed [`Wait`] of the type valid and in place until
/// [`signaled`](Self::signaled) is called for it. That call may be what lets the wait go: it is the
/// last use of it.
pub(crate) unsafe trait OnSignal: Send + Sync + 'static {
    /// The fence was signalled, or the wait was given up. Called once, in any context, with the
    /// fence's lock held: it must not sleep and not signal fences.
    fn signaled(&self, failed: bool);
}

/// A wait for a fence.
#[repr(C)]
pub(crate) struct Wait<T: OnSignal> {
    callback: Opaque<bindings::dma_fence_cb>,
    armed: AtomicBool,
    fence: Fence,
    /// What to call.
    pub(crate) target: T,
}

// SAFETY: All fields may be sent.
unsafe impl<T: OnSignal> Send for Wait<T> {}
// SAFETY: `callback` is only touched by the fence's own synchronised functions.
unsafe impl<T: OnSignal> Sync for Wait<T> {}

impl<T: OnSignal> Wait<T> {
    /// Prepares to call `target` when `fence` is signalled.
    pub(crate) fn new(fence: Fence, target: T) -> Self {
        Wait {
            callback: Opaque::uninit(),
            armed: AtomicBool::new(false),
            fence,
            target,
        }
    }

    fn raw(&self) -> *mut bindings::dma_fence_cb {
        self.callback.get()
    }

    /// Starts to wait. To be called once. A fence that is signalled already calls the target now.
    pub(crate) fn arm(&self) {
        // The wait may be gone when the callback was added.
        let fence = self.fence.clone();
        // SAFETY: By the promise of `OnSignal` the wait stays in place until the callback has run
        // or is removed.
        let ret = unsafe {
            bindings::dma_fence_add_callback(fence.as_raw(), self.raw(), Some(Self::run))
        };
        if ret != 0 {
            self.target.signaled(fence.has_failed());
        }
    }

    /// Gives up the wait: if the fence was not signalled yet, the target is called now, with
    /// `failed` set. The caller keeps the wait in place meanwhile. Returns false if the wait is not
    /// armed.
    pub(crate) fn abandon(&self) -> bool {
        if !self.armed.load(Ordering::Acquire) {
            return false;
        }
        // SAFETY: The wait was armed, so the callback is initialised and belongs to this fence.
        let removed =
            unsafe { bindings::dma_fence_remove_callback(self.fence.as_raw(), self.raw()) };
        if removed {
            self.target.signaled(true);
        }
        true
    }

    /// The wait is armed and can be abandoned. To be called by who arms it, while it keeps the wait
    /// in place.
    pub(crate) fn settle(&self) {
        self.armed.store(true, Ordering::Release);
    }

    extern "C" fn run(
        fence: *mut bindings::dma_fence,
        callback: *mut bindings::dma_fence_cb,
    ) {
        // SAFETY: The callback is the first field of a wait, which is in place until `signaled` is
        // called for it. The fence is valid while it calls back.
        let (this, failed) = unsafe {
            let failed = c::ferrite_fence_error(fence) != 0;
            (&*callback.cast::<Self>(), failed)
        };
        this.target.signaled(failed);
    }
}
