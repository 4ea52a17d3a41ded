// SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note OR MIT
//! Extensions of the Ferrite driver to mainline's `rocket` interface, since version 1.1.
//!
//! A client asks for the driver's version first (`drm::IOCTL_VERSION`): these calls exist from 1.1
//! on, and [`DeviceInfo::features`] says which of them. All structs are extensible:
//! they may only grow at the end, the kernel takes shorter ones as if continued with zeroes, and
//! refuses longer ones whose unknown part is not zero (`E2BIG`). Reserved fields must be zero
//! (`EINVAL`). Pointers are user addresses in 64 bits. Times are in nanoseconds, sizes in bytes.

use super::ioctl::{DRM_COMMAND_BASE, drm_iow, drm_iowr};
use core::mem::{offset_of, size_of};

/// First number of the extensions, relative to `DRM_COMMAND_BASE`.
pub const FIRST: u32 = 0x10;

/// Asks for information ([`Query`]).
///
/// Errors: `EINVAL` for an unknown kind, `ENOENT` for a core that is not there, `EFAULT`.
pub const IOCTL_QUERY: u32 = drm_iowr::<Query>(DRM_COMMAND_BASE + FIRST);
/// Makes a buffer, with flags and 64 bits of size ([`CreateBuffer`]).
///
/// Errors: `EINVAL` for size 0 or unknown flags, `ENOSPC` when the address space is full, `ENOMEM`.
pub const IOCTL_CREATE_BUFFER: u32 = drm_iowr::<CreateBuffer>(DRM_COMMAND_BASE + FIRST + 1);
/// Asks for a buffer's place and size, also for imported ones ([`BufferInfo`]).
///
/// Errors: `ENOENT` for an unknown handle.
pub const IOCTL_BUFFER_INFO: u32 = drm_iowr::<BufferInfo>(DRM_COMMAND_BASE + FIRST + 2);
/// Queues jobs with dependencies, cores, priority and synchronisation objects ([`Submit`]).
///
/// Errors: those of mainline's SUBMIT, and `EINVAL` for a dependency on the job itself or a later
/// one, `ENODEV` for a core mask without a core that is there, `EACCES` for high priority without
/// `CAP_SYS_NICE`, `ENOENT` for an unknown synchronisation object or one without a fence.
pub const IOCTL_SUBMIT: u32 = drm_iowr::<Submit>(DRM_COMMAND_BASE + FIRST + 3);
/// Waits for a submission of this file and says how it ended ([`Wait`]).
///
/// Errors: `ENOENT` for a number that was never given, or so long ago that its end is forgotten
/// (the last [`RESULTS`] are kept), `ETIMEDOUT`. That a job failed is no error of the call.
pub const IOCTL_WAIT: u32 = drm_iowr::<Wait>(DRM_COMMAND_BASE + FIRST + 4);
/// Waits for a buffer and hands it to the CPU for a purpose ([`Prepare`]).
///
/// Errors: those of mainline's PREP_BO.
pub const IOCTL_PREPARE: u32 = drm_iow::<Prepare>(DRM_COMMAND_BASE + FIRST + 5);

/// Submissions whose end is remembered for [`IOCTL_WAIT`].
pub const RESULTS: usize = 64;

/// [`Query::kind`]: fills a [`DeviceInfo`].
pub const QUERY_DEVICE: u32 = 0;
/// [`Query::kind`]: fills a [`CoreInfo`] for the core `index`.
pub const QUERY_CORE: u32 = 1;

/// Argument of [`IOCTL_QUERY`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// In: what is asked for.
    pub kind: u32,
    /// In: of which one.
    pub index: u32,
    /// In: room at `data`. Out: bytes that were stored there, at most that.
    pub size: u32,
    /// Zero.
    pub reserved: u32,
    /// In: user pointer to the answer.
    pub data: u64,
}

/// Answer to [`QUERY_DEVICE`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeviceInfo {
    /// Bit mask of the cores that are there.
    pub cores: u32,
    /// Bit mask of `FEATURE_*`.
    pub features: u32,
    /// Most jobs in one submission.
    pub max_jobs: u32,
    /// Most tasks in one submission, over all jobs.
    pub max_tasks: u32,
    /// Time that a task may take.
    pub timeout_ns: u64,
    /// First device address that buffers can have.
    pub address_start: u64,
    /// First device address after those that buffers can have.
    pub address_end: u64,
}

/// [`DeviceInfo::features`]: [`IOCTL_SUBMIT`] and [`IOCTL_WAIT`].
pub const FEATURE_SUBMIT: u32 = 1 << 0;
/// [`DeviceInfo::features`]: buffers of other devices can be imported.
pub const FEATURE_IMPORT: u32 = 1 << 1;
/// [`DeviceInfo::features`]: synchronisation objects in submissions.
pub const FEATURE_SYNCOBJ: u32 = 1 << 2;
/// [`DeviceInfo::features`]: tasks that end in the PPU complete by interrupt.
pub const FEATURE_PPU: u32 = 1 << 3;

/// Answer to [`QUERY_CORE`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CoreInfo {
    /// Version that the hardware reports.
    pub version: u32,
    /// Whether it runs a job now.
    pub busy: u32,
    /// Time that it ran jobs.
    pub busy_ns: u64,
    /// Jobs that it ran.
    pub jobs: u64,
    /// Jobs that it was taken away from, with a reset.
    pub resets: u64,
}

/// [`CreateBuffer::flags`]: the CPU's mapping is write-combined instead of cached: for data that the
/// CPU only writes.
pub const BUFFER_WRITE_COMBINED: u32 = 1 << 0;
/// [`BufferInfo::flags`]: the memory belongs to another device.
pub const BUFFER_IMPORTED: u32 = 1 << 1;

/// Argument of [`IOCTL_CREATE_BUFFER`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CreateBuffer {
    /// In: size; rounded up to whole pages.
    pub size: u64,
    /// In: `BUFFER_WRITE_COMBINED` or 0.
    pub flags: u32,
    /// Out: GEM handle.
    pub handle: u32,
    /// Out: device address.
    pub dma_address: u64,
    /// Out: offset for `mmap`.
    pub offset: u64,
}

/// Argument of [`IOCTL_BUFFER_INFO`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BufferInfo {
    /// In: GEM handle.
    pub handle: u32,
    /// Out: `BUFFER_*`.
    pub flags: u32,
    /// Out: size.
    pub size: u64,
    /// Out: device address in this file's address space.
    pub dma_address: u64,
    /// Out: offset for `mmap`.
    pub offset: u64,
}

/// A job of [`Submit`]. Its first 40 bytes are mainline's job.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Job {
    /// In: user pointer to an array of `rocket::Task`.
    pub tasks: u64,
    /// In: user pointer to the `u32` handles of the buffers the job reads.
    pub in_bo_handles: u64,
    /// In: user pointer to the `u32` handles of the buffers the job writes.
    pub out_bo_handles: u64,
    /// In: number of tasks.
    pub task_count: u32,
    /// In: `size_of::<rocket::Task>()` as the caller knows it.
    pub task_struct_size: u32,
    /// In: number of handles at `in_bo_handles`.
    pub in_bo_handle_count: u32,
    /// In: number of handles at `out_bo_handles`.
    pub out_bo_handle_count: u32,
    /// In: user pointer to the `u32` indexes of jobs of this submission that must have succeeded.
    pub after: u64,
    /// In: number of indexes at `after`.
    pub after_count: u32,
    /// In: bit mask of the cores that may run it; 0 = any.
    pub cores: u32,
    /// In: jobs of equal, non-zero affinity prefer the core that ran the last of them, for the
    /// weights that are left there; 0 = none.
    pub affinity: u32,
    /// Zero.
    pub reserved: u32,
}

/// [`Submit::priority`]: only when nothing else wants to run.
pub const PRIORITY_LOW: i32 = -1;
/// [`Submit::priority`]: the usual one.
pub const PRIORITY_NORMAL: i32 = 0;
/// [`Submit::priority`]: before all others. Needs `CAP_SYS_NICE`.
pub const PRIORITY_HIGH: i32 = 1;

/// [`Submit::flags`]: the jobs of this submission depend on each other only as [`Job::after`] says,
/// not by the buffers that they share. Buffers still order them against other submissions.
pub const SUBMIT_EXPLICIT: u32 = 1 << 0;

/// Argument of [`IOCTL_SUBMIT`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Submit {
    /// In: user pointer to an array of [`Job`].
    pub jobs: u64,
    /// In: number of jobs; not 0.
    pub job_count: u32,
    /// In: `size_of::<Job>()` as the caller knows it.
    pub job_struct_size: u32,
    /// In: user pointer to the `u32` handles of synchronisation objects to wait for.
    pub in_syncobjs: u64,
    /// In: user pointer to the `u32` handles of synchronisation objects that get the fence of the
    /// submission's end.
    pub out_syncobjs: u64,
    /// In: number of handles at `in_syncobjs`.
    pub in_syncobj_count: u32,
    /// In: number of handles at `out_syncobjs`.
    pub out_syncobj_count: u32,
    /// In: `SUBMIT_*`.
    pub flags: u32,
    /// In: `PRIORITY_*`.
    pub priority: i32,
    /// Out: the submission's number in this file, for [`IOCTL_WAIT`]; never 0.
    pub number: u64,
}

/// Argument of [`IOCTL_WAIT`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wait {
    /// In: the submission's number.
    pub number: u64,
    /// In: absolute `CLOCK_MONOTONIC` deadline.
    pub timeout_ns: i64,
    /// Out: 0, or the error number of the first job that failed: `ETIMEDOUT` its task took too long,
    /// `EFAULT` the IOMMU refused an access, `EIO` other DMA failed, `ECANCELED` a job that it
    /// needed failed, or it was cancelled.
    pub error: u32,
    /// Out: index of that job.
    pub failed_job: u32,
    /// Out: time that the jobs ran on cores, summed up.
    pub busy_ns: u64,
}

/// [`Prepare::flags`]: the CPU will only read: readers on the NPU are not waited for.
pub const PREPARE_READ: u32 = 1 << 0;
/// [`Prepare::flags`]: the CPU will write.
pub const PREPARE_WRITE: u32 = 1 << 1;

/// Argument of [`IOCTL_PREPARE`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Prepare {
    /// In: GEM handle.
    pub handle: u32,
    /// In: `PREPARE_*`, at least one of them.
    pub flags: u32,
    /// In: absolute `CLOCK_MONOTONIC` deadline.
    pub timeout_ns: i64,
}

const _: () = {
    assert!(size_of::<Query>() == 24 && offset_of!(Query, data) == 16);
    assert!(size_of::<DeviceInfo>() == 40 && size_of::<CoreInfo>() == 32);
    assert!(size_of::<CreateBuffer>() == 32 && size_of::<BufferInfo>() == 32);
    assert!(size_of::<Job>() == 64 && offset_of!(Job, after) == 40);
    assert!(size_of::<Submit>() == 56 && offset_of!(Submit, number) == 48);
    assert!(size_of::<Wait>() == 32 && size_of::<Prepare>() == 16);
};
