// SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note OR MIT
//! Ioctl request numbers (the generic layout, which arm64 and x86-64 use).

/// First number of the ioctls that belong to a DRM driver and not to the DRM core.
pub const DRM_COMMAND_BASE: u32 = 0x40;

const WRITE: u32 = 1;
const READ: u32 = 2;

const fn request<T>(direction: u32, nr: u32) -> u32 {
    direction << 30 | (core::mem::size_of::<T>() as u32) << 16 | (b'd' as u32) << 8 | nr
}

/// Number of the DRM ioctl `nr` whose argument `T` the kernel reads.
pub const fn drm_iow<T>(nr: u32) -> u32 {
    request::<T>(WRITE, nr)
}

/// Number of the DRM ioctl `nr` whose argument `T` the kernel reads and writes.
pub const fn drm_iowr<T>(nr: u32) -> u32 {
    request::<T>(READ | WRITE, nr)
}
