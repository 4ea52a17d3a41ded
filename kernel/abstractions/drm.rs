// SPDX-License-Identifier: GPL-2.0-only
//! DRM compute accelerators.
//!
//! `kernel::drm` has no accel nodes, no fdinfo, and needs `CONFIG_DRM=y`.
//!
//! C header: [`include/drm/drm_accel.h`](srctree/include/drm/drm_accel.h)

use super::{
    bindings as c,
    gem,
    platform,
    print::Printer,
    versions, //
};
use core::{
    marker::PhantomData,
    mem::offset_of,
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
    seq_file::SeqFile,
    str::as_char_ptr_in_const_context,
    sync::{
        aref::{
            ARef,
            AlwaysRefCounted, //
        },
        Arc, //
    },
    types::Opaque,
    uaccess::{
        UserPtr,
        UserSlice, //
    }, //
};

/// A file in a device's debugfs folder: its name, and what prints it.
pub(crate) type DebugfsFile<T> = (&'static CStr, fn(&Device<T>, &SeqFile));

/// A driver of compute accelerators.
pub(crate) trait Driver: Sized + 'static {
    /// Name, description, and version: major, minor, patch level.
    const INFO: (&'static CStr, &'static CStr, [i32; 3]);
    /// What belongs to a device.
    type Data: Send + Sync;
    /// What belongs to an open file.
    type File: Send + Sync;
    /// What belongs to a buffer.
    type Buffer: Send + Sync;
    /// The ioctls, from [`ioctls!`].
    const IOCTLS: &'static [bindings::drm_ioctl_desc];
    /// Files in the device's debugfs folder.
    const DEBUGFS: &'static [DebugfsFile<Self>];

    /// A file is opened.
    fn open(device: &Device<Self>, id: u64) -> Result<Arc<Self::File>>;
    /// A file is closed; its handles are gone.
    fn close(file: Arc<Self::File>);
    /// A buffer is being made. It must own nothing yet: if the C side cannot go on, it frees the
    /// memory and drops nothing.
    fn buffer() -> impl PinInit<Self::Buffer, Error>;
    /// A buffer is about to be freed.
    fn buffer_freed(device: &Device<Self>, buffer: &Self::Buffer);
    /// A file gets a handle for a buffer.
    fn handle_opened(file: &Self::File, object: &gem::Object<Self>) -> Result;
    /// A file loses a handle for a buffer.
    fn handle_closed(file: &Self::File, object: &gem::Object<Self>);
    /// Prints a file's usage; memory is printed already.
    fn fdinfo(file: &Self::File, printer: &Printer);
}

/// A DRM device with the driver's data. Counted by its DRM device.
#[repr(C)]
pub(crate) struct Device<T: Driver> {
    dev: Opaque<bindings::drm_device>,
    data: T::Data,
}

// SAFETY: The C device may be used from any thread, and `Data` is `Send`.
unsafe impl<T: Driver> Send for Device<T> {}
// SAFETY: The C device may be used from any thread at the same time, and `Data` is `Sync`.
unsafe impl<T: Driver> Sync for Device<T> {}

// SAFETY: The DRM device's reference count keeps the whole allocation.
unsafe impl<T: Driver> AlwaysRefCounted for Device<T> {
    fn inc_ref(&self) {
        // SAFETY: The device is valid.
        unsafe { bindings::drm_dev_get(self.as_raw()) }
    }

    unsafe fn dec_ref(obj: NonNull<Self>) {
        // SAFETY: The caller gives up a reference.
        unsafe { bindings::drm_dev_put(obj.cast::<bindings::drm_device>().as_ptr()) }
    }
}

impl<T: Driver> Deref for Device<T> {
    type Target = T::Data;

    fn deref(&self) -> &T::Data {
        &self.data
    }
}

impl<T: Driver> Device<T> {
    const DRIVER: bindings::drm_driver = bindings::drm_driver {
        driver_features: bindings::drm_driver_feature_DRIVER_COMPUTE_ACCEL
            | bindings::drm_driver_feature_DRIVER_GEM
            | bindings::drm_driver_feature_DRIVER_SYNCOBJ
            | bindings::drm_driver_feature_DRIVER_SYNCOBJ_TIMELINE,
        open: Some(Callbacks::<T>::open),
        postclose: Some(Callbacks::<T>::postclose),
        release: Some(Callbacks::<T>::release),
        show_fdinfo: Some(Callbacks::<T>::show_fdinfo),
        gem_create_object: Some(gem::Functions::<T>::create),
        gem_prime_import_sg_table: Some(bindings::drm_gem_shmem_prime_import_sg_table),
        name: as_char_ptr_in_const_context(T::INFO.0).cast_mut(),
        desc: as_char_ptr_in_const_context(T::INFO.1).cast_mut(),
        major: T::INFO.2[0],
        minor: T::INFO.2[1],
        patchlevel: T::INFO.2[2],
        ioctls: T::IOCTLS.as_ptr(),
        num_ioctls: T::IOCTLS.len() as i32,
        fops: &raw const FOPS.0,
        ..pin_init::zeroed()
    };

    /// A new device without a node; see [`register`](Self::register).
    pub(crate) fn new(
        parent: &platform::Device,
        data: impl PinInit<T::Data, Error>,
    ) -> Result<ARef<Self>> {
        struct Tables<T>(PhantomData<T>);
        impl<T: Driver> Tables<T> {
            const FULL: &'static bindings::drm_driver = &Device::<T>::DRIVER;
            /// Until the data is there, nothing must drop it.
            const EARLY: &'static bindings::drm_driver = &bindings::drm_driver {
                release: None,
                ..Device::<T>::DRIVER
            };
        }
        // SAFETY: The parent and the tables are valid.
        let raw = from_err_ptr(unsafe {
            bindings::__drm_dev_alloc(
                parent.as_raw_device(),
                Tables::<T>::EARLY,
                kernel::alloc::allocator::Kmalloc::aligned_layout(
                    core::alloc::Layout::new::<Self>(),
                )
                .size(),
                offset_of!(Self, dev),
            )
        })?
        .cast::<Self>();
        // SAFETY: The memory is ours; the data does not move until it is dropped in `release`.
        unsafe {
            if let Err(error) = versions::init(&raw mut (*raw).data, data) {
                bindings::drm_dev_put(raw.cast());
                return Err(error);
            }
            (*raw.cast::<bindings::drm_device>()).driver = Tables::<T>::FULL;
            // Buffers in pages as large as fit into them cost less to make. A kernel that does not
            // know how takes small ones.
            let _ = c::ferrite_gem_huge_mnt_create(raw.cast(), c"within_size".as_ptr());
            // The reference of a new device is ours.
            Ok(ARef::from_raw(NonNull::new_unchecked(raw)))
        }
    }

    /// # Safety
    ///
    /// `raw` must be a valid device of driver `T`, as long as `'a`.
    pub(super) unsafe fn from_raw<'a>(raw: *mut bindings::drm_device) -> &'a Self {
        // SAFETY: The DRM device is the first field.
        unsafe { &*raw.cast_const().cast() }
    }

    pub(super) fn as_raw(&self) -> *mut bindings::drm_device {
        self.dev.get()
    }

    /// Makes the device's node appear.
    pub(crate) fn register(&self) -> Result {
        for (index, (name, _)) in T::DEBUGFS.iter().enumerate() {
            // SAFETY: The device is valid, and the name is static.
            unsafe {
                c::drm_debugfs_add_file(
                    self.as_raw(),
                    name.as_char_ptr(),
                    Some(Callbacks::<T>::debugfs),
                    index as *mut kernel::ffi::c_void,
                )
            }
        }
        // SAFETY: The device is valid and complete.
        to_result(unsafe { bindings::drm_dev_register(self.as_raw(), 0) })
    }

    /// Takes the node away. Files stay open but make no new calls; those that are under way go on.
    pub(crate) fn unplug(&self) {
        // SAFETY: The device was registered.
        unsafe { bindings::drm_dev_unplug(self.as_raw()) }
    }

    /// Whether the device has not been unplugged yet.
    fn is_plugged(&self) -> bool {
        let mut index = 0;
        // SAFETY: The device is valid, and left when it was entered.
        unsafe {
            let entered = bindings::drm_dev_enter(self.as_raw(), &mut index);
            if entered {
                bindings::drm_dev_exit(index);
            }
            entered
        }
    }
}

/// An open file.
///
/// # Invariants
///
/// A valid `drm_file` of driver `T` whose `open` succeeded.
#[repr(transparent)]
pub(crate) struct File<T: Driver>(Opaque<bindings::drm_file>, PhantomData<T>);

impl<T: Driver> File<T> {
    /// # Safety
    ///
    /// `raw` must be an open file of driver `T`, as long as `'a`.
    pub(super) unsafe fn from_raw<'a>(raw: *mut bindings::drm_file) -> &'a Self {
        // SAFETY: The type is transparent.
        unsafe { &*raw.cast_const().cast() }
    }

    pub(super) fn as_raw(&self) -> *mut bindings::drm_file {
        self.0.get()
    }

    /// The driver's data.
    pub(crate) fn data(&self) -> &T::File {
        // SAFETY: `open` put an `Arc` there that lives until `postclose`.
        unsafe { &*(*self.as_raw()).driver_priv.cast_const().cast::<T::File>() }
    }

    /// The driver's data as a counted reference.
    pub(crate) fn shared(&self) -> Arc<T::File> {
        // SAFETY: As in `data`; the file keeps its own reference.
        let own = core::mem::ManuallyDrop::new(unsafe {
            Arc::<T::File>::from_raw((*self.as_raw()).driver_priv.cast_const().cast())
        });
        (*own).clone()
    }
}

struct Fops(bindings::file_operations);

// SAFETY: The table is constant.
unsafe impl Sync for Fops {}

static FOPS: Fops = {
    let mut fops: bindings::file_operations = pin_init::zeroed();
    fops.owner = versions::THIS_MODULE;
    fops.open = Some(c::accel_open);
    fops.release = Some(bindings::drm_release);
    fops.unlocked_ioctl = Some(ioctl_strictly);
    #[cfg(CONFIG_COMPAT)]
    {
        fops.compat_ioctl = Some(compat_ioctl_strictly);
    }
    fops.poll = Some(bindings::drm_poll);
    fops.read = Some(bindings::drm_read);
    fops.llseek = Some(bindings::noop_llseek);
    fops.mmap = Some(bindings::drm_gem_mmap);
    fops.show_fdinfo = Some(bindings::drm_show_fdinfo);
    fops.fop_flags = bindings::FOP_UNSIGNED_OFFSET;
    Fops(fops)
};

/// Refuses a driver's argument that is longer than the driver's struct, and not zero there. The DRM
/// core would cut it off.
///
/// # Safety
///
/// `filp` must be an open file of a DRM device.
unsafe fn check_tail(filp: *mut bindings::file, cmd: u32, arg: usize) -> Result {
    const COMMAND_BASE: u32 = 0x40;
    let size = |cmd: u32| (cmd >> 16 & 0x3fff) as usize;
    // SAFETY: An open DRM file has a device, whose driver has a table of that length.
    let known = unsafe {
        let file = (*filp).private_data.cast::<bindings::drm_file>();
        let driver = &*(*(*(*file).minor).dev).driver;
        match (cmd & 0xff).checked_sub(COMMAND_BASE) {
            Some(number) if (number as i32) < driver.num_ioctls => {
                size((*driver.ioctls.add(number as usize)).cmd)
            }
            _ => return Ok(()),
        }
    };
    let Some(mut left) = size(cmd).checked_sub(known).filter(|_| known > 0) else {
        return Ok(());
    };
    let tail = UserPtr::from_addr(arg).wrapping_byte_add(known);
    let mut reader = UserSlice::new(tail, left).reader();
    let mut bytes = [0u8; 64];
    while left > 0 {
        let part = &mut bytes[..left.min(64)];
        reader.read_slice(part)?;
        if part.iter().any(|&byte| byte != 0) {
            return Err(E2BIG);
        }
        left -= part.len();
    }
    Ok(())
}

extern "C" fn ioctl_strictly(filp: *mut bindings::file, cmd: u32, arg: usize) -> isize {
    // SAFETY: Called with an open file of a DRM device.
    match unsafe { check_tail(filp, cmd, arg) } {
        // SAFETY: As above.
        Ok(()) => unsafe { bindings::drm_ioctl(filp, cmd, arg) },
        Err(error) => error.to_errno() as isize,
    }
}

#[cfg(CONFIG_COMPAT)]
extern "C" fn compat_ioctl_strictly(filp: *mut bindings::file, cmd: u32, arg: usize) -> isize {
    // SAFETY: Called with an open file of a DRM device.
    match unsafe { check_tail(filp, cmd, arg) } {
        // SAFETY: As above.
        Ok(()) => unsafe { bindings::drm_compat_ioctl(filp, cmd, arg) },
        Err(error) => error.to_errno() as isize,
    }
}

struct Callbacks<T>(PhantomData<T>);

impl<T: Driver> Callbacks<T> {
    extern "C" fn open(
        device: *mut bindings::drm_device,
        file: *mut bindings::drm_file,
    ) -> i32 {
        from_result(|| {
            // SAFETY: The DRM core opens files of the driver's devices.
            let (device, id) = unsafe { (Device::<T>::from_raw(device), (*file).client_id) };
            let data = T::open(device, id)?;
            // SAFETY: The field is the driver's.
            unsafe { (*file).driver_priv = Arc::into_raw(data).cast_mut().cast() };
            Ok(0)
        })
    }

    extern "C" fn postclose(_: *mut bindings::drm_device, file: *mut bindings::drm_file) {
        // SAFETY: `open` put the reference there, and nobody uses the file any more.
        T::close(unsafe { Arc::from_raw((*file).driver_priv.cast_const().cast()) })
    }

    extern "C" fn release(device: *mut bindings::drm_device) {
        // SAFETY: The last reference is gone; the DRM core frees the memory afterwards.
        unsafe { core::ptr::drop_in_place(&raw mut (*device.cast::<Device<T>>()).data) }
    }

    extern "C" fn show_fdinfo(
        printer: *mut bindings::drm_printer,
        file: *mut bindings::drm_file,
    ) {
        // SAFETY: The DRM core shows open files of the driver's devices.
        unsafe {
            bindings::drm_show_memory_stats(printer, file);
            T::fdinfo(File::<T>::from_raw(file).data(), &Printer::from_raw(printer));
        }
    }

    extern "C" fn debugfs(
        seq: *mut bindings::seq_file,
        _: *mut kernel::ffi::c_void,
    ) -> i32 {
        // SAFETY: The file was added in `register`: its private data is the entry.
        unsafe {
            let entry = (*seq).private.cast::<c::drm_debugfs_entry>();
            let device = Device::<T>::from_raw((*entry).dev);
            let index = (*entry).file.data as usize;
            (T::DEBUGFS[index].1)(device, SeqFile::from_raw(seq));
        }
        0
    }
}

/// One entry of [`Driver::IOCTLS`]; use [`ioctls!`].
pub(crate) const fn ioctl(
    cmd: u32,
    name: &'static CStr,
    func: unsafe extern "C" fn(
        *mut bindings::drm_device,
        *mut kernel::ffi::c_void,
        *mut bindings::drm_file,
    ) -> i32,
) -> bindings::drm_ioctl_desc {
    bindings::drm_ioctl_desc {
        cmd,
        flags: 0,
        func: Some(func),
        name: as_char_ptr_in_const_context(name),
    }
}

/// Calls a handler, unless the device is unplugged. It may be while the handler runs: that may wait
/// for long, and all DRM devices of the system share what keeps them plugged.
///
/// # Safety
///
/// `device`, `data` and `file` must be what the DRM core gives to an ioctl of driver `T` whose
/// argument is an `A`.
pub(crate) unsafe fn dispatch<T: Driver, A: kernel::transmute::FromBytes>(
    device: *mut bindings::drm_device,
    data: *mut kernel::ffi::c_void,
    file: *mut bindings::drm_file,
    handler: fn(&Device<T>, &mut A, &File<T>) -> Result,
) -> i32 {
    let data = data.cast::<A>();
    // SAFETY: By the caller's promise. The DRM core copies small arguments to an array of bytes on
    // its stack, which has no alignment.
    let (device, mut arg, file) = unsafe {
        (
            Device::<T>::from_raw(device),
            data.read_unaligned(),
            File::<T>::from_raw(file),
        )
    };
    let result = from_result(|| {
        if !device.is_plugged() {
            return Err(ENODEV);
        }
        handler(device, &mut arg, file).map(|()| 0)
    });
    // SAFETY: As above; the core copies it to the caller.
    unsafe { data.write_unaligned(arg) };
    result
}

/// An entry for a number that is not used.
pub(crate) const NO_IOCTL: bindings::drm_ioctl_desc = bindings::drm_ioctl_desc {
    cmd: 0,
    flags: 0,
    func: None,
    name: core::ptr::null(),
};

/// The table of ioctls: `(number, ARGUMENT => handler),`. `SIZE` is above the last number, relative
/// to `DRM_COMMAND_BASE`.
macro_rules! ioctls {
    ($driver:ty, $size:expr; $(($cmd:expr, $arg:ty => $handler:path),)*) => {{
        let mut table = [$crate::abstractions::drm::NO_IOCTL; $size];
        $({
            extern "C" fn call(
                device: *mut ::kernel::bindings::drm_device,
                data: *mut ::kernel::ffi::c_void,
                file: *mut ::kernel::bindings::drm_file,
            ) -> i32 {
                const {
                    assert!(($cmd >> 16 & 0x3fff) as usize == ::core::mem::size_of::<$arg>());
                };
                // SAFETY: The DRM core calls this for the ioctl of this number, whose argument
                // has the size and thus is the struct that the number was made of.
                unsafe {
                    $crate::abstractions::drm::dispatch::<$driver, $arg>(
                        device, data, file, $handler,
                    )
                }
            }
            table[($cmd & 0xff) as usize - 0x40] = $crate::abstractions::drm::ioctl(
                $cmd,
                match ::core::ffi::CStr::from_bytes_with_nul(
                    concat!(stringify!($handler), "\0").as_bytes(),
                ) {
                    Ok(name) => name,
                    Err(_) => panic!(),
                },
                call,
            );
        })*
        table
    }};
}
pub(crate) use ioctls;
