// SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note OR MIT
//! Fences as file descriptors: `include/uapi/linux/dma-buf.h` and `sync_file.h`.

use core::mem::size_of;

/// Exports the fences of a dma-buf as a sync file ([`ExportSyncFile`]).
pub const IOCTL_EXPORT_SYNC_FILE: u32 = iowr::<ExportSyncFile>(b'b', 2);
/// Asks for the state of a sync file ([`FileInfo`]).
pub const IOCTL_FILE_INFO: u32 = iowr::<FileInfo>(b'>', 4);

/// [`ExportSyncFile::flags`]: the fences that a reader has to wait for, which are the writes.
pub const DMA_BUF_SYNC_READ: u32 = 1;

/// Argument of [`IOCTL_EXPORT_SYNC_FILE`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExportSyncFile {
    /// In: which fences.
    pub flags: u32,
    /// Out: the sync file.
    pub fd: i32,
}

/// Argument of [`IOCTL_FILE_INFO`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FileInfo {
    /// Out: name, ends with a zero byte.
    pub name: [u8; 32],
    /// Out: 1 signalled, 0 pending, negative: the error that a job ended with.
    pub status: i32,
    /// In: zero.
    pub flags: u32,
    /// In: room for fences at `sync_fence_info`; zero asks for `status` only.
    pub num_fences: u32,
    /// Zero.
    pub pad: u32,
    /// In: user pointer to per-fence records.
    pub sync_fence_info: u64,
}

const fn iowr<T>(class: u8, nr: u8) -> u32 {
    0xc000_0000 | (size_of::<T>() as u32) << 16 | (class as u32) << 8 | nr as u32
}

const _: () = {
    assert!(size_of::<ExportSyncFile>() == 8 && IOCTL_EXPORT_SYNC_FILE == 0xc008_6202);
    assert!(size_of::<FileInfo>() == 56 && IOCTL_FILE_INFO == 0xc038_3e04);
};
