// SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note OR MIT
//! Mainline's `rocket` UABI (`include/uapi/drm/rocket_accel.h`): four ioctls of a DRM accel node.
//!
//! All structs are 64-bit clean and have no padding holes; their layouts are asserted below.

use core::mem::{offset_of, size_of};

/// Name in `DRM_IOCTL_VERSION`.
pub const DRIVER_NAME: &str = "rocket";

/// The ioctl type letter of DRM.
pub const DRM_IOCTL_BASE: u8 = b'd';
/// First driver-private ioctl number of DRM.
pub const DRM_COMMAND_BASE: u8 = 0x40;

/// Number of `DRM_ROCKET_CREATE_BO` (read and write), relative to [`DRM_COMMAND_BASE`].
pub const CREATE_BO: u8 = 0x00;
/// Number of `DRM_ROCKET_SUBMIT` (write).
pub const SUBMIT: u8 = 0x01;
/// Number of `DRM_ROCKET_PREP_BO` (write).
pub const PREP_BO: u8 = 0x02;
/// Number of `DRM_ROCKET_FINI_BO` (write).
pub const FINI_BO: u8 = 0x03;

/// `drm_rocket_create_bo`: allocates a buffer object and maps it for the NPU.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CreateBo {
    /// In: bytes. The driver maps whole pages of 4 KiB.
    pub size: u32,
    /// Out: GEM handle.
    pub handle: u32,
    /// Out: address in the NPU's address space (32 bits used). Zero is a valid address. It holds
    /// for this open file and as long as the handle lives.
    pub dma_address: u64,
    /// Out: offset for `mmap` of the DRM node.
    pub offset: u64,
}

/// `drm_rocket_prep_bo`: waits for the NPU's writes to a buffer object, then gives it to the CPU.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PrepBo {
    /// In: GEM handle.
    pub handle: u32,
    /// In: zero.
    pub reserved: u32,
    /// In: absolute `CLOCK_MONOTONIC` deadline in nanoseconds; one that has passed only polls.
    pub timeout_ns: i64,
}

/// `drm_rocket_fini_bo`: gives a buffer object back to the NPU.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FiniBo {
    /// In: GEM handle.
    pub handle: u32,
    /// In: zero.
    pub reserved: u32,
}

/// `drm_rocket_task`: one command list, run from start to completion interrupt.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Task {
    /// NPU address of the first command word.
    pub regcmd: u32,
    /// Command words, the four tail words included. Not zero.
    pub regcmd_count: u32,
}

/// `drm_rocket_job`: tasks that run in order on one core.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Job {
    /// Pointer to [`Task`]s.
    pub tasks: u64,
    /// Pointer to u32 handles of the buffer objects that the job only reads.
    pub in_bo_handles: u64,
    /// Pointer to u32 handles of the buffer objects that the job writes. Mainline refuses a handle
    /// that is in both lists or twice in one.
    pub out_bo_handles: u64,
    /// Number of tasks.
    pub task_count: u32,
    /// `size_of::<Task>()`.
    pub task_struct_size: u32,
    /// Number of handles at `in_bo_handles`.
    pub in_bo_handle_count: u32,
    /// Number of handles at `out_bo_handles`.
    pub out_bo_handle_count: u32,
}

/// `drm_rocket_submit`: jobs in order. Mainline drops errors of single jobs.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Submit {
    /// Pointer to [`Job`]s.
    pub jobs: u64,
    /// Number of jobs.
    pub job_count: u32,
    /// `size_of::<Job>()`.
    pub job_struct_size: u32,
    /// Zero.
    pub reserved: u64,
}

const _: () = {
    assert!(size_of::<CreateBo>() == 24 && offset_of!(CreateBo, dma_address) == 8);
    assert!(offset_of!(CreateBo, offset) == 16);
    assert!(size_of::<PrepBo>() == 16 && offset_of!(PrepBo, timeout_ns) == 8);
    assert!(size_of::<FiniBo>() == 8 && size_of::<Task>() == 8);
    assert!(size_of::<Job>() == 40 && offset_of!(Job, task_count) == 24);
    assert!(offset_of!(Job, in_bo_handle_count) == 32);
    assert!(size_of::<Submit>() == 24 && offset_of!(Submit, reserved) == 16);
};
