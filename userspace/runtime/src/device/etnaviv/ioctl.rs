//! The driver's ioctls, as safe functions.
#![allow(unsafe_code)]

use super::super::drm::ioctl::{call, owned};
use ferrite_uapi::etnaviv::{self as uapi, SubmitBo};
use nix::errno::Errno;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::time::Duration;

fn timespec(time: Duration) -> uapi::Timespec {
    uapi::Timespec {
        sec: i64::try_from(time.as_secs()).unwrap_or(i64::MAX),
        nsec: i64::from(time.subsec_nanos()),
    }
}

/// A parameter of core `pipe`; `ENXIO` if there is no such core.
pub fn param(node: &File, pipe: u32, param: u32) -> Result<u64, Errno> {
    let mut argument = uapi::Param {
        pipe,
        param,
        value: 0,
    };
    // SAFETY: the argument has no pointers.
    unsafe { call(node, uapi::IOCTL_GET_PARAM, &mut argument)? };
    Ok(argument.value)
}

/// Makes a write-combined buffer object of `size` bytes; returns its handle.
pub fn gem_new(node: &File, size: u64) -> Result<u32, Errno> {
    let mut argument = uapi::GemNew {
        size,
        flags: uapi::BO_WRITE_COMBINED,
        handle: 0,
    };
    // SAFETY: the argument has no pointers.
    unsafe { call(node, uapi::IOCTL_GEM_NEW, &mut argument)? };
    Ok(argument.handle)
}

/// Where in the node a buffer object can be mapped.
pub fn map_offset(node: &File, handle: u32) -> Result<u64, Errno> {
    let mut argument = uapi::GemInfo {
        handle,
        ..Default::default()
    };
    // SAFETY: the argument has no pointers.
    unsafe { call(node, uapi::IOCTL_GEM_INFO, &mut argument)? };
    Ok(argument.offset)
}

/// Waits until the `CLOCK_MONOTONIC` time `deadline` for all jobs on a buffer object and gives it
/// to the CPU.
pub fn cpu_prep(node: &File, handle: u32, deadline: Duration) -> Result<(), Errno> {
    let mut argument = uapi::GemCpuPrep {
        handle,
        op: uapi::PREP_READ | uapi::PREP_WRITE,
        timeout: timespec(deadline),
    };
    // SAFETY: the argument has no pointers.
    unsafe { call(node, uapi::IOCTL_GEM_CPU_PREP, &mut argument) }
}

/// Gives a buffer object back to the device.
pub fn cpu_fini(node: &File, handle: u32) -> Result<(), Errno> {
    let mut argument = uapi::GemCpuFini { handle, flags: 0 };
    // SAFETY: the argument has no pointers.
    unsafe { call(node, uapi::IOCTL_GEM_CPU_FINI, &mut argument) }
}

/// Queues a command stream that works on buffers at chosen addresses; returns a sync file of its
/// end. It does not wait for other jobs on the same buffers.
pub fn submit(node: &File, pipe: u32, bos: &[SubmitBo], stream: &[u8]) -> Result<OwnedFd, Errno> {
    let length = |len: usize| u32::try_from(len).map_err(|_| Errno::EOVERFLOW);
    let mut argument = uapi::GemSubmit {
        pipe,
        exec_state: uapi::PIPE_3D,
        nr_bos: length(bos.len())?,
        bos: bos.as_ptr() as u64,
        stream_size: length(stream.len())?,
        stream: stream.as_ptr() as u64,
        flags: uapi::SUBMIT_SOFTPIN | uapi::SUBMIT_NO_IMPLICIT | uapi::SUBMIT_FENCE_FD_OUT,
        fence_fd: -1,
        ..Default::default()
    };
    // SAFETY: the kernel reads `nr_bos` records and `stream_size` bytes, which outlive the call;
    // the other arrays are empty. What the stream makes the device do is confined to this file's
    // buffers by the MMU.
    unsafe { call(node, uapi::IOCTL_GEM_SUBMIT, &mut argument)? };
    // SAFETY: the kernel has just made this descriptor for us alone.
    unsafe { owned(argument.fence_fd) }
}
