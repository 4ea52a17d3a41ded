// SPDX-License-Identifier: GPL-2.0-only
//! DRM synchronisation objects.
//!
//! C header: [`include/drm/drm_syncobj.h`](srctree/include/drm/drm_syncobj.h)

use super::{
    bindings as c,
    drm::{
        Driver,
        File, //
    },
    fence::Fence, //
};
use core::ptr::NonNull;
use kernel::{
    error::to_result,
    prelude::*, //
};

/// A counted reference to a synchronisation object.
///
/// # Invariants
///
/// Points to a valid object and owns one of its references.
pub(crate) struct Syncobj(NonNull<c::drm_syncobj>);

/// The fence that the object with a handle of the file has now: its only one, or that of a point of
/// its timeline, which is not 0.
pub(crate) fn fence<T: Driver>(file: &File<T>, handle: u32, point: u64) -> Result<Fence> {
    let mut fence = core::ptr::null_mut();
    // SAFETY: The file is valid; the result is valid for writes.
    to_result(unsafe { c::drm_syncobj_find_fence(file.as_raw(), handle, point, 0, &mut fence) })
        .map_err(|error| if error == EINVAL { ENOENT } else { error })?;
    // SAFETY: The call succeeded, so there is a fence, with a reference for us.
    NonNull::new(fence)
        .map(|fence| unsafe { Fence::from_raw(fence) })
        .ok_or(ENOENT)
}

impl Drop for Syncobj {
    fn drop(&mut self) {
        // SAFETY: By the type invariant the reference is ours.
        unsafe { c::ferrite_syncobj_put(self.0.as_ptr()) }
    }
}

/// An object that is to get a fence.
pub(crate) struct Signal {
    object: Syncobj,
    /// A point of its timeline, and the link that takes the fence there.
    point: Option<(u64, Link)>,
}

impl Signal {
    /// The object with a handle of the file; as its only fence, or at a point that is not 0.
    pub(crate) fn new<T: Driver>(file: &File<T>, handle: u32, point: u64) -> Result<Self> {
        // SAFETY: The file is valid.
        let raw = unsafe { c::drm_syncobj_find(file.as_raw(), handle) };
        // INVARIANT: The lookup took a reference.
        let object = NonNull::new(raw).map(Syncobj).ok_or(ENOENT)?;
        let point = match point {
            0 => None,
            point => Some((point, Link::new()?)),
        };
        Ok(Signal { object, point })
    }

    /// Gives the object its fence. Cannot fail.
    pub(crate) fn give(self, fence: &Fence) {
        let object = self.object.0.as_ptr();
        match self.point {
            // SAFETY: Object and fence are valid; the object takes its own reference.
            None => unsafe { c::drm_syncobj_replace_fence(object, fence.as_raw()) },
            Some((point, link)) => {
                let link = core::mem::ManuallyDrop::new(link);
                // SAFETY: As above; the object takes the link over, which is new.
                unsafe {
                    c::drm_syncobj_add_point(object, link.0.as_ptr(), fence.as_raw(), point)
                }
            }
        }
    }
}

/// A link of a timeline that is in no timeline yet.
///
/// # Invariants
///
/// Points to memory from `dma_fence_chain_alloc` that this value owns.
struct Link(NonNull<c::dma_fence_chain>);

impl Link {
    fn new() -> Result<Self> {
        // SAFETY: No requirements.
        let raw = unsafe { c::ferrite_fence_chain_alloc() };
        // INVARIANT: Just allocated for us.
        NonNull::new(raw).map(Link).ok_or(ENOMEM)
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        // SAFETY: By the type invariant the memory is ours.
        unsafe { c::ferrite_fence_chain_free(self.0.as_ptr()) }
    }
}
