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

impl Syncobj {
    /// The object with a handle of the file.
    pub(crate) fn lookup<T: Driver>(file: &File<T>, handle: u32) -> Result<Self> {
        // SAFETY: The file is valid.
        let raw = unsafe { c::drm_syncobj_find(file.as_raw(), handle) };
        // INVARIANT: The lookup took a reference.
        NonNull::new(raw).map(Syncobj).ok_or(ENOENT)
    }

    /// The fence that the object with a handle of the file has now.
    pub(crate) fn fence<T: Driver>(file: &File<T>, handle: u32) -> Result<Fence> {
        let mut fence = core::ptr::null_mut();
        // SAFETY: The file is valid; the result is valid for writes.
        to_result(unsafe {
            c::drm_syncobj_find_fence(file.as_raw(), handle, 0, 0, &mut fence)
        })
        .map_err(|error| if error == EINVAL { ENOENT } else { error })?;
        // SAFETY: The call succeeded, so there is a fence, with a reference for us.
        NonNull::new(fence)
            .map(|fence| unsafe { Fence::from_raw(fence) })
            .ok_or(ENOENT)
    }

    /// Gives the object another fence.
    pub(crate) fn replace(&self, fence: &Fence) {
        // SAFETY: Object and fence are valid; the object takes its own reference.
        unsafe { c::drm_syncobj_replace_fence(self.0.as_ptr(), fence.as_raw()) }
    }
}

impl Drop for Syncobj {
    fn drop(&mut self) {
        // SAFETY: By the type invariant the reference is ours.
        unsafe { c::ferrite_syncobj_put(self.0.as_ptr()) }
    }
}
