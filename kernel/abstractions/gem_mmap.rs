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

/// Maps what [`mmap`] has not, and what was taken away since, as unbinding the driver does. The helper
/// counts pages from the area's beginning, which may be in the middle of the object.
extern "C" fn fault(fault: *mut bindings::vm_fault) -> bindings::vm_fault_t {
    // SAFETY: Called with a valid fault of an area that `mmap` has set up: the object's pages stay as
    // long as the object, which the area keeps.
    unsafe {
        let area = (*fault).__bindgen_anon_1.vma;
        let object = (*area).vm_private_data.cast::<bindings::drm_gem_object>();
        if !c::ferrite_gem_is_imported(object) && first_page(object, area) != 0 {
            let page = (*fault).__bindgen_anon_1.pgoff as usize - base_page(object);
            let shmem: *mut bindings::drm_gem_shmem_object = object.cast();
            if page >= (*object).size >> bindings::PAGE_SHIFT || (*shmem).pages.is_null() {
                return bindings::vm_fault_reason_VM_FAULT_SIGBUS;
            }
            let frame = c::ferrite_page_frame(*(*shmem).pages.add(page));
            return bindings::vmf_insert_pfn(area, (*fault).__bindgen_anon_1.address, frame);
        }
    }
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

/// Where the object begins in the offsets of areas.
///
/// # Safety
///
/// The object must be valid.
unsafe fn base_page(object: *mut bindings::drm_gem_object) -> usize {
    // SAFETY: By the safety requirements.
    (unsafe { c::ferrite_gem_mmap_offset(object) } >> bindings::PAGE_SHIFT) as usize
}

/// The page of the object with which an area begins.
///
/// # Safety
///
/// The area must be valid, and map the object.
unsafe fn first_page(
    object: *mut bindings::drm_gem_object,
    area: *mut bindings::vm_area_struct,
) -> usize {
    // SAFETY: By the safety requirements.
    unsafe { ((*area).vm_pgoff as usize).saturating_sub(base_page(object)) }
}

/// `drm_gem_object_funcs::mmap`: called with a valid shmem object, and a new area that is to map it,
/// of an exported one perhaps from the middle.
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
        // there are as many as the object has. The area ends within the object, as those who call
        // check, and as is checked here.
        unsafe {
            let bounds = &(*area).__bindgen_anon_1.__bindgen_anon_1;
            let count = (bounds.vm_end - bounds.vm_start) >> bindings::PAGE_SHIFT;
            let first = first_page(object, area);
            if first + count <= (*object).size >> bindings::PAGE_SHIFT {
                map_pages((*shmem).pages.add(first), area);
            }
        }
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
