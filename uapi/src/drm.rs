// SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note OR MIT
//! The core DRM calls that a client of an accel or render node needs (`include/uapi/drm/drm.h`).

use super::ioctl::{drm_iow, drm_iowr};
use core::mem::size_of;

/// Asks for the driver's name and version ([`Version`]).
pub const IOCTL_VERSION: u32 = drm_iowr::<Version>(0x00);
/// Drops a GEM handle ([`GemClose`]).
pub const IOCTL_GEM_CLOSE: u32 = drm_iow::<GemClose>(0x09);
/// Exports a GEM handle as a dma-buf file descriptor ([`PrimeHandle`]).
pub const IOCTL_PRIME_HANDLE_TO_FD: u32 = drm_iowr::<PrimeHandle>(0x2d);
/// Imports a dma-buf file descriptor as a GEM handle ([`PrimeHandle`]).
pub const IOCTL_PRIME_FD_TO_HANDLE: u32 = drm_iowr::<PrimeHandle>(0x2e);
/// Creates a synchronisation object ([`SyncobjCreate`]).
pub const IOCTL_SYNCOBJ_CREATE: u32 = drm_iowr::<SyncobjCreate>(0xbf);
/// Destroys a synchronisation object ([`SyncobjDestroy`]).
pub const IOCTL_SYNCOBJ_DESTROY: u32 = drm_iowr::<SyncobjDestroy>(0xc0);
/// Waits for synchronisation objects ([`SyncobjWait`]).
pub const IOCTL_SYNCOBJ_WAIT: u32 = drm_iowr::<SyncobjWait>(0xc3);

/// Makes a sync file of a synchronisation object ([`SyncobjHandle`]).
pub const IOCTL_SYNCOBJ_HANDLE_TO_FD: u32 = drm_iowr::<SyncobjHandle>(0xc1);
/// Gives a sync file's fence to a synchronisation object ([`SyncobjHandle`]).
pub const IOCTL_SYNCOBJ_FD_TO_HANDLE: u32 = drm_iowr::<SyncobjHandle>(0xc2);

/// Argument of [`IOCTL_VERSION`]. The `*_len` are capacities on entry, full lengths on return.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Version {
    /// Out: major version.
    pub version_major: i32,
    /// Out: minor version.
    pub version_minor: i32,
    /// Out: patch level.
    pub version_patchlevel: i32,
    /// Keeps the next field aligned on 64-bit machines.
    pub pad: i32,
    /// In and out: length of the name in bytes.
    pub name_len: usize,
    /// In: user pointer to a buffer for the name.
    pub name: usize,
    /// In and out: length of the date in bytes.
    pub date_len: usize,
    /// In: user pointer to a buffer for the date.
    pub date: usize,
    /// In and out: length of the description in bytes.
    pub desc_len: usize,
    /// In: user pointer to a buffer for the description.
    pub desc: usize,
}

/// Argument of [`IOCTL_GEM_CLOSE`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GemClose {
    /// In: the handle.
    pub handle: u32,
    /// Must be zero.
    pub pad: u32,
}

/// Argument of [`IOCTL_PRIME_HANDLE_TO_FD`] and [`IOCTL_PRIME_FD_TO_HANDLE`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PrimeHandle {
    /// GEM handle.
    pub handle: u32,
    /// In: `O_CLOEXEC` and `O_RDWR` for the exported descriptor.
    pub flags: u32,
    /// dma-buf file descriptor.
    pub fd: i32,
}

/// Argument of [`IOCTL_SYNCOBJ_CREATE`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SyncobjCreate {
    /// Out: the handle.
    pub handle: u32,
    /// In: 1 = already signalled.
    pub flags: u32,
}

/// Argument of [`IOCTL_SYNCOBJ_DESTROY`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SyncobjDestroy {
    /// In: the handle.
    pub handle: u32,
    /// Must be zero.
    pub pad: u32,
}

/// Argument of [`IOCTL_SYNCOBJ_HANDLE_TO_FD`] and [`IOCTL_SYNCOBJ_FD_TO_HANDLE`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SyncobjHandle {
    /// The handle.
    pub handle: u32,
    /// In: 1 = `fd` is a sync file, not a synchronisation object.
    pub flags: u32,
    /// The file descriptor.
    pub fd: i32,
    /// Must be zero.
    pub pad: u32,
}

/// Argument of [`IOCTL_SYNCOBJ_WAIT`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SyncobjWait {
    /// In: user pointer to the `u32` handles.
    pub handles: u64,
    /// In: absolute `CLOCK_MONOTONIC` deadline in nanoseconds.
    pub timeout_nsec: i64,
    /// In: number of handles.
    pub count_handles: u32,
    /// In: 1 = wait for all, 2 = wait for a fence to be attached first.
    pub flags: u32,
    /// Out: index of the first signalled handle when not waiting for all.
    pub first_signaled: u32,
    /// Must be zero.
    pub pad: u32,
    /// In: deadline hint in nanoseconds, used with flag 8.
    pub deadline_nsec: u64,
}

const _: () = {
    assert!(size_of::<GemClose>() == 8);
    assert!(size_of::<PrimeHandle>() == 12);
    assert!(size_of::<SyncobjCreate>() == 8);
    assert!(size_of::<SyncobjDestroy>() == 8);
    assert!(size_of::<SyncobjWait>() == 40);
    assert!(IOCTL_GEM_CLOSE == 0x4008_6409);
};

#[cfg(target_pointer_width = "64")]
const _: () = assert!(size_of::<Version>() == 64 && IOCTL_VERSION == 0xc040_6400);
