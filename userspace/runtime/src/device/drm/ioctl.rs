//! The ioctls of the DRM core, dma-bufs and sync files, as safe functions.
#![allow(unsafe_code)]

use ferrite_uapi::{drm, sync};
use nix::errno::Errno;
use nix::libc;
use std::fs::File;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

/// Calls the kernel until no signal interrupts it.
///
/// # Safety
/// `request` must be an ioctl whose argument is a `T`, and pointers inside `argument` must be valid
/// for what the ioctl does with them.
pub unsafe fn call<T>(file: &impl AsRawFd, request: u32, argument: &mut T) -> Result<(), Errno> {
    loop {
        // SAFETY: `argument` is a live, exclusive `T`; the rest is the caller's promise.
        let result =
            unsafe { libc::ioctl(file.as_raw_fd(), request as _, std::ptr::from_mut(argument)) };
        match Errno::result(result) {
            Ok(_) => return Ok(()),
            Err(Errno::EINTR | Errno::EAGAIN) => {}
            Err(errno) => return Err(errno),
        }
    }
}

/// The descriptor that an ioctl has made; `EBADF` if the driver has left that out.
///
/// # Safety
/// If `fd` is not negative, it is open, and nothing else owns it.
pub unsafe fn owned(fd: RawFd) -> Result<OwnedFd, Errno> {
    if fd < 0 {
        return Err(Errno::EBADF);
    }
    // SAFETY: by the caller's promise.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Name and version of the node's driver.
pub fn version(node: &File) -> Result<(String, (i32, i32)), Errno> {
    let mut name = [0u8; 64];
    let mut version = drm::Version {
        name_len: name.len(),
        name: name.as_mut_ptr() as usize,
        ..Default::default()
    };
    // SAFETY: the kernel writes at most `name_len` bytes to `name`, which outlives the call; the
    // other two strings have no room and are left out.
    unsafe { call(node, drm::IOCTL_VERSION, &mut version)? };
    let len = version.name_len.min(name.len());
    Ok((
        String::from_utf8_lossy(&name[..len]).into_owned(),
        (version.version_major, version.version_minor),
    ))
}

/// Drops a GEM handle.
pub fn gem_close(node: &File, handle: u32) -> Result<(), Errno> {
    let mut close = drm::GemClose { handle, pad: 0 };
    // SAFETY: the argument has no pointers.
    unsafe { call(node, drm::IOCTL_GEM_CLOSE, &mut close) }
}

/// A dma-buf of the buffer object.
pub fn export(node: &File, handle: u32) -> Result<OwnedFd, Errno> {
    let mut prime = drm::PrimeHandle {
        handle,
        flags: libc::O_CLOEXEC as u32,
        fd: -1,
    };
    // SAFETY: the argument has no pointers.
    unsafe { call(node, drm::IOCTL_PRIME_HANDLE_TO_FD, &mut prime)? };
    // SAFETY: the kernel has just made this descriptor for us alone.
    unsafe { owned(prime.fd) }
}

/// A sync file of the writes to a dma-buf that have not ended yet.
pub fn export_sync_file(dma_buf: &OwnedFd) -> Result<OwnedFd, Errno> {
    let mut export = sync::ExportSyncFile {
        flags: sync::DMA_BUF_SYNC_READ,
        fd: -1,
    };
    // SAFETY: the argument has no pointers.
    unsafe { call(dma_buf, sync::IOCTL_EXPORT_SYNC_FILE, &mut export)? };
    // SAFETY: the kernel has just made this descriptor for us alone.
    unsafe { owned(export.fd) }
}

/// State of a sync file: 1 signalled, 0 pending, negative errno.
pub fn sync_status(sync_file: &OwnedFd) -> Result<i32, Errno> {
    let mut info = sync::FileInfo::default();
    // SAFETY: with `num_fences` zero the kernel does not follow `sync_fence_info`.
    unsafe { call(sync_file, sync::IOCTL_FILE_INFO, &mut info)? };
    Ok(info.status)
}
