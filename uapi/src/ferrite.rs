// SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note OR MIT
//! Extensions of the Ferrite driver to mainline's `rocket` interface.
//!
//! A client calls [`IOCTL_QUERY`]: a driver without the extensions answers `ENOTTY` or `EINVAL`, and
//! [`DeviceInfo::features`] says what there is. The driver's version says nothing of them: it is
//! mainline's.
//!
//! All structs are extensible: they may only grow at the end, the kernel takes shorter ones as if
//! continued with zeroes, and refuses longer ones whose unknown part is not zero (`E2BIG`). That
//! holds for arguments and for elements of arrays, mainline's included. Unknown flags and reserved
//! fields that are not zero are refused (`EINVAL`). Pointers are user addresses in 64 bits. Times
//! are in nanoseconds, sizes in bytes, deadlines absolute in `CLOCK_MONOTONIC`.

use super::ioctl::{DRM_COMMAND_BASE, drm_iow, drm_iowr};
use core::mem::{offset_of, size_of};

/// First number of the extensions, relative to `DRM_COMMAND_BASE`: the end of the range that a
/// driver has, where mainline's next calls will be last to come.
pub const FIRST: u32 = 0x50;

/// Asks for information ([`Query`]).
///
/// Errors: `EINVAL` for an unknown kind or an index where there is none, `ENOENT` for a core that is
/// not there, `EFAULT`.
pub const IOCTL_QUERY: u32 = drm_iowr::<Query>(DRM_COMMAND_BASE + FIRST);
/// Makes a buffer, with flags and 64 bits of size ([`CreateBuffer`]).
///
/// Errors: `EINVAL` for size 0 or unknown flags, `ENOSPC` when the address space is full, `ENOMEM`.
pub const IOCTL_CREATE_BUFFER: u32 = drm_iowr::<CreateBuffer>(DRM_COMMAND_BASE + FIRST + 1);
/// Asks for a buffer's place and size, also for imported ones ([`BufferInfo`]).
///
/// Errors: `ENOENT` for an unknown handle, `EINVAL` for flags.
pub const IOCTL_BUFFER_INFO: u32 = drm_iowr::<BufferInfo>(DRM_COMMAND_BASE + FIRST + 2);
/// Queues jobs with dependencies, cores, priority and synchronisation objects ([`Submit`]).
///
/// Errors: those of mainline's SUBMIT, and `EINVAL` for a dependency on the job itself or a later
/// one, for cores that no chip has, or for a task without a completion, `E2BIG` for a chain that is
/// too long, `ENODEV` for a core mask without a core that is there, `EACCES` for high priority
/// without `CAP_SYS_NICE`, `ENOENT` for an unknown synchronisation object or one without a fence.
pub const IOCTL_SUBMIT: u32 = drm_iowr::<Submit>(DRM_COMMAND_BASE + FIRST + 3);
/// Waits for a submission of this file and says how it ended ([`Wait`]).
///
/// Errors: `EBUSY` if it has not ended and the deadline has passed before the call, `ETIMEDOUT` if
/// it passed in the call, `ENOENT` for a number that was never given, or whose submission has ended
/// so long ago that it is forgotten (the last [`RESULTS`] are kept, and those waited for), `EINVAL`
/// for flags. That a job failed is no error of the call.
pub const IOCTL_WAIT: u32 = drm_iowr::<Wait>(DRM_COMMAND_BASE + FIRST + 4);
/// Waits for a buffer and hands it, or a part of it, to the CPU for a purpose ([`Prepare`]).
///
/// Errors: those of mainline's PREP_BO, and `EINVAL` for a range that is not in the buffer.
pub const IOCTL_PREPARE: u32 = drm_iow::<Prepare>(DRM_COMMAND_BASE + FIRST + 5);
/// Hands a buffer, or a part of it, back to the NPU ([`Finish`]).
///
/// Errors: those of mainline's FINI_BO, and `EINVAL` for a range that is not in the buffer.
pub const IOCTL_FINISH: u32 = drm_iow::<Finish>(DRM_COMMAND_BASE + FIRST + 6);

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
    /// In: of which one; 0 if there is only one.
    pub index: u32,
    /// In: room at `data`; what fits is stored. Out: bytes that the answer has in this kernel.
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
    /// Most tasks of a job with [`JOB_CHAINED`].
    pub max_chain: u32,
    /// Zero.
    pub reserved: u32,
    /// Time that a chain may take if the hardware does not show its progress.
    pub chain_timeout_ns: u64,
    /// Hertz of the cores' clock while they work.
    pub clock_hz: u64,
}

/// [`DeviceInfo::features`]: [`IOCTL_SUBMIT`] and [`IOCTL_WAIT`].
pub const FEATURE_SUBMIT: u32 = 1 << 0;
/// [`DeviceInfo::features`]: buffers of other devices can be imported.
pub const FEATURE_IMPORT: u32 = 1 << 1;
/// [`DeviceInfo::features`]: synchronisation objects in submissions.
pub const FEATURE_SYNCOBJ: u32 = 1 << 2;
/// [`DeviceInfo::features`]: tasks that end in the PPU complete by interrupt.
pub const FEATURE_PPU: u32 = 1 << 3;
/// [`DeviceInfo::features`]: [`JOB_CHAINED`].
pub const FEATURE_CHAIN: u32 = 1 << 4;
/// [`DeviceInfo::features`]: points of timelines in [`Sync`].
pub const FEATURE_TIMELINE: u32 = 1 << 5;
/// [`DeviceInfo::features`]: ranges in [`Prepare`] and [`Finish`].
pub const FEATURE_RANGE: u32 = 1 << 6;

/// Answer to [`QUERY_CORE`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CoreInfo {
    /// Version that the hardware reports.
    pub version: u32,
    /// Out: `CORE_*`.
    pub flags: u32,
    /// Time that it ran jobs, of all clients; 0 without [`CORE_ACTIVITY`].
    pub busy_ns: u64,
    /// Jobs that it ran, of all clients; 0 without [`CORE_ACTIVITY`].
    pub jobs: u64,
    /// Jobs that it was taken away from, with a reset; 0 without [`CORE_ACTIVITY`].
    pub resets: u64,
}

/// [`CoreInfo::flags`]: the rest of the flags and the figures are told: the caller has `CAP_PERFMON`.
pub const CORE_ACTIVITY: u32 = 1 << 0;
/// [`CoreInfo::flags`]: it runs a job now.
pub const CORE_BUSY: u32 = 1 << 1;

/// [`CreateBuffer::flags`]: the CPU's mapping is write-combined instead of cached: for data that the
/// CPU only writes. The driver does not read commands in such a buffer: others wait for the whole job
/// where they could have run between its tasks.
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
    /// In: 0. Out: `BUFFER_*`.
    pub flags: u32,
    /// Out: size.
    pub size: u64,
    /// Out: device address in this file's address space.
    pub dma_address: u64,
    /// Out: offset for `mmap`.
    pub offset: u64,
}

/// A task of [`Job`]. Its first 8 bytes are mainline's task.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Task {
    /// In: device address of the first command.
    pub regcmd: u32,
    /// In: number of commands; not 0.
    pub regcmd_count: u32,
    /// In: what completes the task, as bits of the interrupt mask: [`COMPLETION_DPU`] or
    /// [`COMPLETION_PPU`]. Of a chain, the last task's counts.
    pub int_mask: u32,
    /// In: 0.
    pub flags: u32,
}

/// [`Task::int_mask`]: the DPU has written its output.
pub const COMPLETION_DPU: u32 = 0x300;
/// [`Task::int_mask`]: the PPU has written its output.
pub const COMPLETION_PPU: u32 = 0xc00;

/// A job of [`Submit`]. Its first 40 bytes are mainline's job, but for the kind of the tasks.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Job {
    /// In: user pointer to an array of [`Task`].
    pub tasks: u64,
    /// In: user pointer to the `u32` handles of the buffers the job reads.
    pub in_bo_handles: u64,
    /// In: user pointer to the `u32` handles of the buffers the job writes.
    pub out_bo_handles: u64,
    /// In: number of tasks.
    pub task_count: u32,
    /// In: `size_of::<Task>()` as the caller knows it.
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
    /// In: jobs of this file with equal, non-zero affinity prefer the core that ran the last of
    /// them, for the weights that may be left there; 0 = none. What another file's jobs left in a
    /// core is cleared before a job of this file runs there.
    pub affinity: u32,
    /// In: `JOB_*`.
    pub flags: u32,
}

/// [`Job::flags`]: all tasks are run by one start and end with one interrupt. Each task's commands
/// must link to the next one's (PC `BASE_ADDRESS` and `REGISTER_AMOUNTS`); the driver starts the
/// first. Other jobs come between such jobs only.
pub const JOB_CHAINED: u32 = 1 << 0;

/// A synchronisation object in [`Submit`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sync {
    /// In: handle.
    pub handle: u32,
    /// In: `SYNC_*`.
    pub flags: u32,
    /// In: point of its timeline, not 0, with [`SYNC_TIMELINE`]; 0 without.
    pub point: u64,
}

/// [`Sync::flags`]: a point of the object's timeline, not its only fence.
pub const SYNC_TIMELINE: u32 = 1 << 0;

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
    /// In: user pointer to an array of [`Sync`] to wait for.
    pub in_syncs: u64,
    /// In: user pointer to an array of [`Sync`] that get the fence of the submission's end.
    pub out_syncs: u64,
    /// In: number of elements at `in_syncs`.
    pub in_sync_count: u32,
    /// In: number of elements at `out_syncs`.
    pub out_sync_count: u32,
    /// In: `size_of::<Sync>()` as the caller knows it.
    pub sync_struct_size: u32,
    /// In: `SUBMIT_*`.
    pub flags: u32,
    /// In: `PRIORITY_*`.
    pub priority: i32,
    /// Zero.
    pub reserved: u32,
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
    /// `EFAULT` the IOMMU refused an access, `EIO` other DMA failed or the core did not start,
    /// `ECANCELED` a job that it needed failed, or it was cancelled.
    pub error: u32,
    /// Out: index of that job.
    pub failed_job: u32,
    /// Out: index of the task that the job had reached; of a chain, as far as the hardware shows it.
    pub failed_task: u32,
    /// In: 0.
    pub flags: u32,
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
    /// In: where the part begins.
    pub offset: u64,
    /// In: how long it is; 0 = up to the end of the buffer.
    pub size: u64,
}

/// Argument of [`IOCTL_FINISH`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Finish {
    /// In: GEM handle.
    pub handle: u32,
    /// In: 0.
    pub flags: u32,
    /// In: where the part begins.
    pub offset: u64,
    /// In: how long it is; 0 = up to the end of the buffer.
    pub size: u64,
}

const _: () = {
    assert!(size_of::<Query>() == 24 && offset_of!(Query, data) == 16);
    assert!(size_of::<DeviceInfo>() == 64 && size_of::<CoreInfo>() == 32);
    assert!(size_of::<CreateBuffer>() == 32 && size_of::<BufferInfo>() == 32);
    assert!(size_of::<Task>() == 16 && size_of::<Sync>() == 16);
    assert!(size_of::<Job>() == 64 && offset_of!(Job, after) == 40);
    assert!(size_of::<Submit>() == 64 && offset_of!(Submit, number) == 56);
    assert!(size_of::<Wait>() == 40 && offset_of!(Wait, busy_ns) == 32);
    assert!(size_of::<Prepare>() == 32 && size_of::<Finish>() == 24);
};
