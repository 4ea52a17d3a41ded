// SPDX-License-Identifier: GPL-2.0-only
//! GEM objects in shared memory, or imported from other devices.
//!
//! C header: [`include/drm/drm_gem_shmem_helper.h`](srctree/include/drm/drm_gem_shmem_helper.h)

use super::{
    bindings as c,
    drm::{
        Device,
        Driver,
        File, //
    },
    gem_mmap, //
};
use core::{
    marker::PhantomData,
    ops::Deref,
    ptr::NonNull, //
};
use kernel::{
    bindings,
    error::{
        from_err_ptr,
        from_result,
        to_result, //
    },
    prelude::*,
    types::Opaque, //
};

/// A GEM object with the driver's data.
#[repr(C)]
#[pin_data]
pub(crate) struct Object<T: Driver> {
    shmem: Opaque<bindings::drm_gem_shmem_object>,
    #[pin]
    data: T::Buffer,
}

// SAFETY: The C object may be used from any thread at the same time, and `Buffer` is `Sync`.
unsafe impl<T: Driver> Sync for Object<T> {}

impl<T: Driver> Deref for Object<T> {
    type Target = T::Buffer;

    fn deref(&self) -> &T::Buffer {
        &self.data
    }
}

/// The object's scatter-gather table; it lives as long as the object.
pub(super) struct Table(*mut bindings::sg_table);

impl Table {
    pub(super) fn as_ptr(&self) -> *mut bindings::sg_table {
        self.0
    }
}

impl<T: Driver> Object<T> {
    /// # Safety
    ///
    /// `raw` must be a valid object of a device of driver `T`, as long as `'a`.
    unsafe fn from_raw<'a>(raw: *mut bindings::drm_gem_object) -> &'a Self {
        // The GEM object is the first field of the shmem object, which is our first field.
        // SAFETY: All objects of the driver are made by `create`.
        unsafe { &*raw.cast_const().cast() }
    }

    fn as_raw(&self) -> *mut bindings::drm_gem_object {
        self.shmem.get().cast()
    }

    /// Identifies the object while it lives.
    pub(crate) fn id(&self) -> usize {
        self.as_raw() as usize
    }

    /// Size in bytes, whole pages.
    pub(crate) fn size(&self) -> u64 {
        // SAFETY: The object is valid; its size does not change.
        unsafe { (*self.as_raw()).size as u64 }
    }

    /// Whether the memory belongs to another device.
    pub(crate) fn is_imported(&self) -> bool {
        // SAFETY: The object is valid.
        unsafe { c::ferrite_gem_is_imported(self.as_raw()) }
    }

    /// Whether the CPU's mappings are write-combined.
    pub(crate) fn is_write_combined(&self) -> bool {
        // SAFETY: The object is valid; this does not change after it was made.
        unsafe { (*self.shmem.get()).map_wc() }
    }

    /// Whether the CPU's caches are between its mappings and the memory, and are the driver's to care
    /// for.
    fn is_cached(&self) -> bool {
        !self.is_imported() && !self.is_write_combined()
    }

    /// Offset for `mmap` on the device node.
    pub(crate) fn mmap_offset(&self) -> u64 {
        // SAFETY: The object is valid.
        unsafe { c::ferrite_gem_mmap_offset(self.as_raw()) }
    }

    /// The table of the object's pages, which are allocated now if they were not. May sleep.
    pub(super) fn table(&self) -> Result<Table> {
        if self.is_imported() {
            // SAFETY: An imported object has its table from the beginning.
            return Ok(Table(unsafe { (*self.shmem.get()).sgt }));
        }
        // SAFETY: The object is valid and not imported.
        let table =
            from_err_ptr(unsafe { bindings::drm_gem_shmem_get_pages_sgt(self.shmem.get()) })?;
        Ok(Table(table))
    }

    /// The device for which the pages are mapped.
    fn dma_device(&self) -> *mut bindings::device {
        // SAFETY: The object is valid, and its device outlives it.
        unsafe { (*(*self.as_raw()).dev).dev }
    }

    /// Makes what the NPU wrote to a part visible to the CPU, and tells of how many bytes that took
    /// care. The pages must have been allocated.
    pub(crate) fn sync_for_cpu(&self, (offset, len): (u64, u64)) -> Result<u64> {
        if !self.is_cached() {
            return Ok(0);
        }
        let table = self.table()?;
        // SAFETY: The table is mapped for the device.
        unsafe { c::ferrite_sync_for_cpu(self.dma_device(), table.as_ptr(), offset, len) };
        Ok(len)
    }

    /// Makes what the CPU wrote to a part visible to the NPU, and tells of how many bytes that took
    /// care. The pages must have been allocated.
    pub(crate) fn sync_for_device(&self, (offset, len): (u64, u64)) -> Result<u64> {
        if !self.is_cached() {
            return Ok(0);
        }
        let table = self.table()?;
        // SAFETY: The table is mapped for the device.
        unsafe { c::ferrite_sync_for_device(self.dma_device(), table.as_ptr(), offset, len) };
        Ok(len)
    }

    /// Reads eight bytes at an aligned offset, as the CPU sees them. `None` outside of the object,
    /// for imported ones, for those that are not written through the caches, and for those without
    /// pages.
    pub(crate) fn peek(&self, offset: u64) -> Option<u64> {
        let page = usize::try_from(offset >> bindings::PAGE_SHIFT).ok()?;
        let within = (offset & (bindings::PAGE_SIZE as u64 - 1)) as u32;
        if offset % 8 != 0 || offset >= self.size() || !self.is_cached() {
            return None;
        }
        // SAFETY: The object is valid. Pages that were allocated stay as long as the object: the
        // driver never gives them back.
        unsafe {
            let pages = (*self.shmem.get()).pages;
            if pages.is_null() {
                return None;
            }
            Some(c::ferrite_page_read64(*pages.add(page), within))
        }
    }
}

impl<T: Driver> Object<T> {
    /// Stores eight bytes at an aligned offset, if [`peek`](Self::peek) would read there.
    pub(crate) fn poke(&self, offset: u64, value: u64) {
        if self.peek(offset).is_some() {
            let within = (offset & (bindings::PAGE_SIZE as u64 - 1)) as u32;
            // SAFETY: As in `peek`, which has found the page.
            unsafe {
                let page = *(*self.shmem.get()).pages.add((offset >> bindings::PAGE_SHIFT) as usize);
                c::ferrite_page_write64(page, within, value);
            }
        }
    }
}

/// A counted reference to an object.
///
/// # Invariants
///
/// Points to a valid object and owns one of its references.
pub(crate) struct GemRef<T: Driver>(NonNull<bindings::drm_gem_object>, PhantomData<T>);

// SAFETY: Objects may be used and released from any thread.
unsafe impl<T: Driver> Send for GemRef<T> {}
// SAFETY: Objects may be used from any thread at the same time.
unsafe impl<T: Driver> Sync for GemRef<T> {}

impl<T: Driver> Deref for GemRef<T> {
    type Target = Object<T>;

    fn deref(&self) -> &Object<T> {
        // SAFETY: By the type invariant.
        unsafe { Object::from_raw(self.0.as_ptr()) }
    }
}

impl<T: Driver> Drop for GemRef<T> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant the reference is ours.
        unsafe { c::ferrite_gem_put(self.0.as_ptr()) }
    }
}

impl<T: Driver> From<&Object<T>> for GemRef<T> {
    fn from(object: &Object<T>) -> Self {
        // SAFETY: The object is valid.
        unsafe { c::ferrite_gem_get(object.as_raw()) };
        // INVARIANT: We took a reference.
        // SAFETY: References are not null.
        GemRef(
            unsafe { NonNull::new_unchecked(object.as_raw()) },
            PhantomData,
        )
    }
}

impl<T: Driver> GemRef<T> {
    pub(super) fn as_raw(&self) -> *mut bindings::drm_gem_object {
        self.0.as_ptr()
    }

    /// A new object of `size` bytes, rounded up to whole pages. The CPU's mappings are cached, or
    /// else write-combined.
    pub(crate) fn new(device: &Device<T>, size: usize, combined: bool) -> Result<Self> {
        let size = size.checked_next_multiple_of(4096).ok_or(ENOSPC)?;
        // SAFETY: The device is valid. The object is made by `create`.
        let shmem = from_err_ptr(unsafe {
            bindings::drm_gem_shmem_create(device.as_raw(), size)
        })?;
        // SAFETY: Nobody else has the object yet.
        unsafe { (*shmem).set_map_wc(combined) };
        // INVARIANT: A new object has one reference, which is ours.
        NonNull::new(shmem.cast())
            .map(|raw| GemRef(raw, PhantomData))
            .ok_or(ENOMEM)
    }

    /// The object with a handle of the file.
    pub(crate) fn lookup(file: &File<T>, handle: u32) -> Result<Self> {
        // SAFETY: The file is valid.
        let raw = unsafe { bindings::drm_gem_object_lookup(file.as_raw(), handle) };
        // INVARIANT: The lookup took a reference.
        NonNull::new(raw)
            .map(|raw| GemRef(raw, PhantomData))
            .ok_or(ENOENT)
    }

    /// Makes a handle for the object in the file. This calls [`Driver::handle_opened`].
    pub(crate) fn create_handle(&self, file: &File<T>) -> Result<u32> {
        let mut handle = 0;
        // SAFETY: File and object are valid.
        to_result(unsafe {
            bindings::drm_gem_handle_create(file.as_raw(), self.as_raw(), &mut handle)
        })?;
        Ok(handle)
    }
}

/// The C side's functions.
pub(super) struct Functions<T>(PhantomData<T>);

impl<T: Driver> Functions<T> {
    const FUNCS: &'static bindings::drm_gem_object_funcs = &bindings::drm_gem_object_funcs {
        free: Some(Self::free),
        open: Some(Self::open),
        close: Some(Self::close),
        print_info: Some(Self::print_info),
        pin: Some(Self::pin),
        unpin: Some(Self::unpin),
        get_sg_table: Some(Self::get_sg_table),
        vmap: Some(Self::vmap),
        vunmap: Some(Self::vunmap),
        mmap: Some(gem_mmap::mmap),
        status: Some(Self::status),
        vm_ops: gem_mmap::VM_OPS,
        ..pin_init::zeroed()
    };

    /// `drm_driver::gem_create_object`.
    pub(super) extern "C" fn create(
        _device: *mut bindings::drm_device,
        _size: usize,
    ) -> *mut bindings::drm_gem_object {
        let made = (|| -> Result<*mut Object<T>> {
            let init = try_pin_init!(Object::<T> {
                // SAFETY: The slot is valid for writes; zeroes are what the helpers expect.
                shmem <- unsafe {
                    pin_init::init_from_closure::<_, core::convert::Infallible>(
                        |slot: *mut Opaque<bindings::drm_gem_shmem_object>| {
                            slot.write_bytes(0, 1);
                            Ok(())
                        }
                    )
                },
                data <- T::buffer(),
            }? Error);
            let object = KBox::pin_init(init, GFP_KERNEL)?;
            // SAFETY: The C side does not move it.
            Ok(KBox::into_raw(unsafe { Pin::into_inner_unchecked(object) }))
        })();
        match made {
            Ok(object) => {
                let raw = object.cast::<bindings::drm_gem_object>();
                // SAFETY: Just made.
                unsafe { (*raw).funcs = Self::FUNCS };
                raw
            }
            Err(error) => error.to_ptr(),
        }
    }

    extern "C" fn free(raw: *mut bindings::drm_gem_object) {
        let object = raw.cast::<Object<T>>();
        // SAFETY: The last reference is gone; the object's device outlives it. The C helper frees the
        // memory, which came from `kmalloc`, after we dropped what it does not know.
        unsafe {
            T::buffer_freed(Device::from_raw((*raw).dev), &(*object).data);
            core::ptr::drop_in_place(&raw mut (*object).data);
            bindings::drm_gem_shmem_free(raw.cast());
        }
    }

    extern "C" fn open(
        raw: *mut bindings::drm_gem_object,
        file: *mut bindings::drm_file,
    ) -> i32 {
        from_result(|| {
            // SAFETY: Called with a valid object and an open file of the driver.
            let (object, file) = unsafe { (Object::<T>::from_raw(raw), File::<T>::from_raw(file)) };
            T::handle_opened(file.data(), object).map(|()| 0)
        })
    }

    extern "C" fn close(
        raw: *mut bindings::drm_gem_object,
        file: *mut bindings::drm_file,
    ) {
        // SAFETY: Called with a valid object and an open file of the driver.
        let (object, file) = unsafe { (Object::<T>::from_raw(raw), File::<T>::from_raw(file)) };
        T::handle_closed(file.data(), object);
    }

    extern "C" fn print_info(
        printer: *mut bindings::drm_printer,
        indent: u32,
        raw: *const bindings::drm_gem_object,
    ) {
        // SAFETY: All objects are shmem objects.
        unsafe { bindings::drm_gem_shmem_print_info(raw.cast(), printer, indent) }
    }

    extern "C" fn pin(raw: *mut bindings::drm_gem_object) -> i32 {
        // SAFETY: All objects are shmem objects; the caller holds the reservation.
        unsafe { bindings::drm_gem_shmem_pin_locked(raw.cast()) }
    }

    extern "C" fn unpin(raw: *mut bindings::drm_gem_object) {
        // SAFETY: As in `pin`.
        unsafe { bindings::drm_gem_shmem_unpin_locked(raw.cast()) }
    }

    extern "C" fn get_sg_table(
        raw: *mut bindings::drm_gem_object,
    ) -> *mut bindings::sg_table {
        // SAFETY: All objects are shmem objects.
        unsafe { bindings::drm_gem_shmem_get_sg_table(raw.cast()) }
    }

    extern "C" fn vmap(
        raw: *mut bindings::drm_gem_object,
        map: *mut bindings::iosys_map,
    ) -> i32 {
        // SAFETY: All objects are shmem objects; the caller holds the reservation.
        unsafe { bindings::drm_gem_shmem_vmap_locked(raw.cast(), map) }
    }

    extern "C" fn vunmap(
        raw: *mut bindings::drm_gem_object,
        map: *mut bindings::iosys_map,
    ) {
        // SAFETY: As in `vmap`.
        unsafe { bindings::drm_gem_shmem_vunmap_locked(raw.cast(), map) }
    }

    extern "C" fn status(
        raw: *mut bindings::drm_gem_object,
    ) -> bindings::drm_gem_object_status {
        // SAFETY: The object is valid.
        let resident = unsafe { !(*raw.cast::<bindings::drm_gem_shmem_object>()).pages.is_null() };
        if resident {
            bindings::drm_gem_object_status_DRM_GEM_OBJECT_RESIDENT
        } else {
            0
        }
    }
}
