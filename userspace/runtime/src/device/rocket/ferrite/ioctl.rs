//! Our driver's ioctls, as safe functions.
#![allow(unsafe_code)]

use super::super::super::drm::ioctl::call;
use ferrite_uapi::ferrite as uapi;
use nix::errno::Errno;
use std::fs::File;
use std::mem::size_of;

/// What the driver says of itself; `None` if it has no extensions.
pub fn query(node: &File) -> Result<Option<uapi::DeviceInfo>, Errno> {
    let mut info = uapi::DeviceInfo::default();
    let mut query = uapi::Query {
        kind: uapi::QUERY_DEVICE,
        size: size_of::<uapi::DeviceInfo>() as u32,
        data: &raw mut info as u64,
        ..Default::default()
    };
    // SAFETY: the kernel writes at most `size` bytes to `info`, for which any bytes will do and which
    // outlives the call.
    match unsafe { call(node, uapi::IOCTL_QUERY, &mut query) } {
        Ok(()) => Ok(Some(info)),
        Err(Errno::ENOTTY | Errno::EINVAL) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// Allocates a buffer of `size` bytes, all zero, with `BUFFER_*` flags.
pub fn create_buffer(node: &File, size: u64, flags: u32) -> Result<uapi::CreateBuffer, Errno> {
    let mut create = uapi::CreateBuffer {
        size,
        flags,
        ..Default::default()
    };
    // SAFETY: the argument has no pointers.
    unsafe { call(node, uapi::IOCTL_CREATE_BUFFER, &mut create)? };
    Ok(create)
}

/// Waits for the NPU's use of a buffer and makes what it wrote to a part visible to the CPU.
pub fn prepare(node: &File, mut prepare: uapi::Prepare) -> Result<(), Errno> {
    // SAFETY: the argument has no pointers.
    unsafe { call(node, uapi::IOCTL_PREPARE, &mut prepare) }
}

/// Makes what the CPU wrote to a part of a buffer visible to the NPU.
pub fn finish(node: &File, mut finish: uapi::Finish) -> Result<(), Errno> {
    // SAFETY: the argument has no pointers.
    unsafe { call(node, uapi::IOCTL_FINISH, &mut finish) }
}

/// Queues jobs; returns the submission's number. The arrays that `submit` points to are only read, before
/// the call returns.
pub fn submit(node: &File, mut submit: uapi::Submit) -> Result<u64, Errno> {
    // SAFETY: the kernel only reads through the pointers and checks them itself: a wrong one is
    // EFAULT or a job with wrong operands, which the IOMMU confines to this file's buffers.
    unsafe { call(node, uapi::IOCTL_SUBMIT, &mut submit)? };
    Ok(submit.number)
}

/// Waits for a submission until the `CLOCK_MONOTONIC` time `deadline_ns`.
pub fn wait(node: &File, number: u64, deadline_ns: i64) -> Result<uapi::Wait, Errno> {
    let mut wait = uapi::Wait {
        number,
        timeout_ns: deadline_ns,
        ..Default::default()
    };
    // SAFETY: the argument has no pointers.
    unsafe { call(node, uapi::IOCTL_WAIT, &mut wait)? };
    Ok(wait)
}
