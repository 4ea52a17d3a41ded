//! Mainline's ioctls, as safe functions.
#![allow(unsafe_code)]

use super::super::super::drm::ioctl::call;
use ferrite_uapi::rocket;
use nix::errno::Errno;
use std::fs::File;

/// Request number of a driver-private ioctl.
const fn iow<T>(nr: u8) -> u32 {
    ferrite_uapi::ioctl::drm_iow::<T>(rocket::DRM_COMMAND_BASE as u32 + nr as u32)
}

/// Allocates a buffer object of `size` bytes.
pub fn create_bo(node: &File, size: u32) -> Result<rocket::CreateBo, Errno> {
    const REQUEST: u32 = ferrite_uapi::ioctl::drm_iowr::<rocket::CreateBo>(
        rocket::DRM_COMMAND_BASE as u32 + rocket::CREATE_BO as u32,
    );
    let mut create = rocket::CreateBo {
        size,
        ..Default::default()
    };
    // SAFETY: the argument has no pointers.
    unsafe { call(node, REQUEST, &mut create)? };
    Ok(create)
}

/// Waits for the NPU's writes until the `CLOCK_MONOTONIC` time `deadline_ns` and makes them visible
/// to the CPU.
pub fn prep_bo(node: &File, handle: u32, deadline_ns: i64) -> Result<(), Errno> {
    let mut prep = rocket::PrepBo {
        handle,
        reserved: 0,
        timeout_ns: deadline_ns,
    };
    // SAFETY: the argument has no pointers.
    unsafe { call(node, iow::<rocket::PrepBo>(rocket::PREP_BO), &mut prep) }
}

/// Makes the CPU's writes visible to the NPU.
pub fn fini_bo(node: &File, handle: u32) -> Result<(), Errno> {
    let mut fini = rocket::FiniBo {
        handle,
        reserved: 0,
    };
    // SAFETY: the argument has no pointers.
    unsafe { call(node, iow::<rocket::FiniBo>(rocket::FINI_BO), &mut fini) }
}

/// Queues jobs. The arrays that `submit` points to are only read, before the call returns.
pub fn submit(node: &File, submit: &rocket::Submit) -> Result<(), Errno> {
    let mut submit = *submit;
    // SAFETY: the kernel only reads through the pointers and checks them itself: a wrong one is
    // EFAULT or a job with wrong operands, which the IOMMU confines to this file's buffers.
    unsafe { call(node, iow::<rocket::Submit>(rocket::SUBMIT), &mut submit) }
}
