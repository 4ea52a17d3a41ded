// SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note OR MIT
//! Mainline's `etnaviv` UABI (`include/uapi/drm/etnaviv_drm.h`), as far as a client needs it that
//! chooses its own device addresses: parameters, buffers, submission, fences.

use super::ioctl::{DRM_COMMAND_BASE, drm_iow, drm_iowr};
use core::mem::{offset_of, size_of};

/// Name in `DRM_IOCTL_VERSION`.
pub const DRIVER_NAME: &str = "etnaviv";
/// Cores that one device has at most; `pipe` is below it.
pub const MAX_PIPES: u32 = 4;
/// Bytes of a command stream at most.
pub const MAX_STREAM: u32 = 128 << 10;

/// Asks for a [`Param`].
pub const IOCTL_GET_PARAM: u32 = drm_iowr::<Param>(DRM_COMMAND_BASE);
/// Makes a buffer object ([`GemNew`]).
pub const IOCTL_GEM_NEW: u32 = drm_iowr::<GemNew>(DRM_COMMAND_BASE + 0x02);
/// Asks where a buffer object can be mapped ([`GemInfo`]).
pub const IOCTL_GEM_INFO: u32 = drm_iowr::<GemInfo>(DRM_COMMAND_BASE + 0x03);
/// Waits for jobs on a buffer object and gives it to the CPU ([`GemCpuPrep`]).
pub const IOCTL_GEM_CPU_PREP: u32 = drm_iow::<GemCpuPrep>(DRM_COMMAND_BASE + 0x04);
/// Gives a buffer object back to the device ([`GemCpuFini`]).
pub const IOCTL_GEM_CPU_FINI: u32 = drm_iow::<GemCpuFini>(DRM_COMMAND_BASE + 0x05);
/// Queues a command stream ([`GemSubmit`]).
pub const IOCTL_GEM_SUBMIT: u32 = drm_iowr::<GemSubmit>(DRM_COMMAND_BASE + 0x06);
/// Waits for a submission ([`WaitFence`]).
pub const IOCTL_WAIT_FENCE: u32 = drm_iow::<WaitFence>(DRM_COMMAND_BASE + 0x07);

/// [`Param::param`]: chip model.
pub const PARAM_MODEL: u32 = 0x01;
/// [`Param::param`]: chip revision.
pub const PARAM_REVISION: u32 = 0x02;
/// [`Param::param`]: lowest device address that a client may choose; all ones if it may not.
pub const PARAM_SOFTPIN_START: u32 = 0x1b;
/// [`Param::param`]: product. Since driver 1.4, like the next two.
pub const PARAM_PRODUCT_ID: u32 = 0x1c;
/// [`Param::param`]: customer.
pub const PARAM_CUSTOMER_ID: u32 = 0x1d;
/// [`Param::param`]: engineering change.
pub const PARAM_ECO_ID: u32 = 0x1e;

/// [`GemNew::flags`]: mapped write-combined.
pub const BO_WRITE_COMBINED: u32 = 0x0002_0000;

/// [`GemCpuPrep::op`]: the CPU is going to read.
pub const PREP_READ: u32 = 1;
/// [`GemCpuPrep::op`]: the CPU is going to write.
pub const PREP_WRITE: u32 = 2;

/// [`SubmitBo::flags`]: the job reads it.
pub const SUBMIT_BO_READ: u32 = 1;
/// [`SubmitBo::flags`]: the job writes it.
pub const SUBMIT_BO_WRITE: u32 = 2;

/// [`GemSubmit::flags`]: do not wait for other jobs on the same buffers.
pub const SUBMIT_NO_IMPLICIT: u32 = 1;
/// [`GemSubmit::flags`]: return a sync file.
pub const SUBMIT_FENCE_FD_OUT: u32 = 4;
/// [`GemSubmit::flags`]: buffers lie where [`SubmitBo::presumed`] says.
pub const SUBMIT_SOFTPIN: u32 = 8;

/// [`GemSubmit::exec_state`] of NPUs.
pub const PIPE_3D: u32 = 0;

/// `drm_etnaviv_timespec`: an absolute `CLOCK_MONOTONIC` time.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timespec {
    /// Seconds.
    pub sec: i64,
    /// Nanoseconds, below 10^9.
    pub nsec: i64,
}

/// `drm_etnaviv_param`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Param {
    /// In: core. `ENXIO` if there is none of that number.
    pub pipe: u32,
    /// In: which parameter.
    pub param: u32,
    /// Out: its value.
    pub value: u64,
}

/// `drm_etnaviv_gem_new`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GemNew {
    /// In: bytes, rounded up to pages by the driver.
    pub size: u64,
    /// In: how the CPU maps it.
    pub flags: u32,
    /// Out: GEM handle.
    pub handle: u32,
}

/// `drm_etnaviv_gem_info`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GemInfo {
    /// In: GEM handle.
    pub handle: u32,
    /// In: zero.
    pub pad: u32,
    /// Out: offset for `mmap` of the DRM node.
    pub offset: u64,
}

/// `drm_etnaviv_gem_cpu_prep`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GemCpuPrep {
    /// In: GEM handle.
    pub handle: u32,
    /// In: [`PREP_READ`] waits for jobs that write, [`PREP_WRITE`] for all.
    pub op: u32,
    /// In: deadline.
    pub timeout: Timespec,
}

/// `drm_etnaviv_gem_cpu_fini`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GemCpuFini {
    /// In: GEM handle.
    pub handle: u32,
    /// In: zero.
    pub flags: u32,
}

/// `drm_etnaviv_gem_submit_bo`: a buffer object that a job uses, directly or through descriptors.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SubmitBo {
    /// In: how the job uses it.
    pub flags: u32,
    /// In: GEM handle.
    pub handle: u32,
    /// In: device address, a multiple of the 4 KiB page.
    pub presumed: u64,
}

/// `drm_etnaviv_gem_submit`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GemSubmit {
    /// Out: number for [`WaitFence`].
    pub fence: u32,
    /// In: core.
    pub pipe: u32,
    /// In: state of the core at the start, [`PIPE_3D`].
    pub exec_state: u32,
    /// In: number of [`SubmitBo`]s.
    pub nr_bos: u32,
    /// In: number of relocations; zero with chosen addresses.
    pub nr_relocs: u32,
    /// In: bytes of the stream, a multiple of 4, at most [`MAX_STREAM`].
    pub stream_size: u32,
    /// In: pointer to [`SubmitBo`]s.
    pub bos: u64,
    /// In: pointer to relocations.
    pub relocs: u64,
    /// In: pointer to the command stream, which the kernel copies.
    pub stream: u64,
    /// In: `SUBMIT_*`.
    pub flags: u32,
    /// Out: sync file, with [`SUBMIT_FENCE_FD_OUT`].
    pub fence_fd: i32,
    /// In: pointer to requests for performance counters.
    pub pmrs: u64,
    /// In: their number.
    pub nr_pmrs: u32,
    /// In: zero.
    pub pad: u32,
}

/// `drm_etnaviv_wait_fence`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WaitFence {
    /// In: core.
    pub pipe: u32,
    /// In: [`GemSubmit::fence`].
    pub fence: u32,
    /// In: 1 = do not wait, `EBUSY` if the job has not ended.
    pub flags: u32,
    /// In: zero.
    pub pad: u32,
    /// In: deadline.
    pub timeout: Timespec,
}

const _: () = {
    assert!(size_of::<Param>() == 16 && size_of::<GemNew>() == 16 && size_of::<GemInfo>() == 16);
    assert!(size_of::<GemCpuPrep>() == 24 && offset_of!(GemCpuPrep, timeout) == 8);
    assert!(size_of::<GemCpuFini>() == 8 && size_of::<SubmitBo>() == 16);
    assert!(size_of::<GemSubmit>() == 72 && offset_of!(GemSubmit, bos) == 24);
    assert!(offset_of!(GemSubmit, flags) == 48 && offset_of!(GemSubmit, pmrs) == 56);
    assert!(size_of::<WaitFence>() == 32 && offset_of!(WaitFence, timeout) == 16);
    assert!(IOCTL_GEM_SUBMIT == 0xc048_6446);
};
