// SPDX-License-Identifier: GPL-2.0-only
//! Mapping GEM objects into processes, all pages at once.
//!
//! The shmem helper maps a page when it is touched, for reading at first, so that every page that
//! is written faults twice: the second time is to note that it is dirty. Here pages stay with their
//! object until it goes, so that nobody needs to know, and they are there when they are mapped.
//!
//! C header: [`include/drm/drm_gem_shmem_helper.h`](srctree/include/drm/drm_gem_shmem_helper.h)

use super::bindings as c;
use kernel::bindings;

/// The helper's operations, without the one that is told of writing.
pub(super) const VM_OPS: &bindings::vm_operations_struct = &bindings::vm_operations_struct {
    fault: Some(fault),
    open: Some(open),
    close: Some(close),
    ..pin_init::zeroed()
};

/// Maps what [`mmap`] has not, and what was taken away since, as unbinding the driver does.
extern "C" fn fault(fault: *mut bindings::vm_fault) -> bindings::vm_fault_t {
    // SAFETY: The helper's operations are constant.
    match unsafe { bindings::drm_gem_shmem_vm_ops.fault } {
        // SAFETY: Called for an area that the helper has set up, with the caller's argument.
        Some(helper) => unsafe { helper(fault) },
        None => bindings::vm_fault_reason_VM_FAULT_SIGBUS,
    }
}

extern "C" fn open(area: *mut bindings::vm_area_struct) {
    // SAFETY: The helper's operations are constant.
    if let Some(helper) = unsafe { bindings::drm_gem_shmem_vm_ops.open } {
        // SAFETY: As in `fault`.
        unsafe { helper(area) }
    }
}

extern "C" fn close(area: *mut bindings::vm_area_struct) {
    // SAFETY: The helper's operations are constant.
    if let Some(helper) = unsafe { bindings::drm_gem_shmem_vm_ops.close } {
        // SAFETY: As in `fault`.
        unsafe { helper(area) }
    }
}

/// `drm_gem_object_funcs::mmap`: called with a valid shmem object, and a new area that is to map it
/// from its beginning.
pub(super) extern "C" fn mmap(
    object: *mut bindings::drm_gem_object,
    area: *mut bindings::vm_area_struct,
) -> i32 {
    let shmem: *mut bindings::drm_gem_shmem_object = object.cast();
    // SAFETY: The DRM core calls this with a valid object and area.
    let result = unsafe { bindings::drm_gem_shmem_mmap(shmem, area) };
    // SAFETY: As above. An imported object belongs to its exporter, who maps it.
    if result == 0 && !unsafe { c::ferrite_gem_is_imported(object) } {
        // SAFETY: The helper has taken a reference to the object's pages for the area, so that
        // there are as many as the object has, and the area is not larger than the object.
        unsafe { map_pages((*shmem).pages, area) };
    }
    result
}

/// Maps the pages from the first on; those that cannot be are left to [`fault`].
///
/// # Safety
///
/// `pages` must have a page for each of the area's.
unsafe fn map_pages(pages: *mut *mut bindings::page, area: *mut bindings::vm_area_struct) {
    // SAFETY: Nobody else has the new area.
    let (start, end, protection) = unsafe {
        let bounds = &(*area).__bindgen_anon_1.__bindgen_anon_1;
        let protection = c::ferrite_pgprot_dirty((*area).vm_page_prot);
        (bounds.vm_start, bounds.vm_end, protection)
    };
    let count = (end - start) >> bindings::PAGE_SHIFT;
    // SAFETY: By the safety requirements `page` is within the table, which has valid pages.
    let frame = |page: usize| unsafe { c::ferrite_page_frame(*pages.add(page)) };
    let mut first = 0;
    while first < count {
        let frames = frame(first);
        let mut len = 1;
        while first + len < count && frame(first + len) == frames + len {
            len += 1;
        }
        let at = start + (first << bindings::PAGE_SHIFT);
        // SAFETY: The range is within the new area, and its frames belong to the object, which
        // outlives the area.
        let result = unsafe {
            bindings::remap_pfn_range(area, at, frames, len << bindings::PAGE_SHIFT, protection)
        };
        if result != 0 {
            return;
        }
        first += len;
    }
}
