// SPDX-License-Identifier: GPL-2.0-only
//! The system calls.

use crate::abstractions::{
    drm::{
        self,
        File, //
    },
    gem::GemRef,
    resv::{
        self,
        Usage, //
    },
    task, //
};
use crate::npu::{Ferrite, Npu};
use crate::submit::submit;
use crate::uapi::{
    ioctl::{
        drm_iow,
        drm_iowr,
        DRM_COMMAND_BASE, //
    },
    rocket, //
};
use kernel::prelude::*;

const CREATE_BO: u32 = drm_iowr::<rocket::CreateBo>(DRM_COMMAND_BASE + rocket::CREATE_BO as u32);
const SUBMIT: u32 = drm_iow::<rocket::Submit>(DRM_COMMAND_BASE + rocket::SUBMIT as u32);
const PREP_BO: u32 = drm_iow::<rocket::PrepBo>(DRM_COMMAND_BASE + rocket::PREP_BO as u32);
const FINI_BO: u32 = drm_iow::<rocket::FiniBo>(DRM_COMMAND_BASE + rocket::FINI_BO as u32);

/// In order of the numbers.
pub(crate) const TABLE: &[kernel::bindings::drm_ioctl_desc] = drm::ioctls![Ferrite:
    (CREATE_BO, rocket::CreateBo => create_bo),
    (SUBMIT, rocket::Submit => submit),
    (PREP_BO, rocket::PrepBo => prep_bo),
    (FINI_BO, rocket::FiniBo => fini_bo),
];

fn create_bo(npu: &Npu, arg: &mut rocket::CreateBo, file: &File<Ferrite>) -> Result {
    if arg.size == 0 {
        return Err(EINVAL);
    }
    let buffer = GemRef::new(npu, arg.size as usize)?;
    // Making the handle maps the buffer.
    arg.handle = buffer.create_handle(file)?;
    // Another thread may have guessed and closed the handle already.
    let mapping = buffer.homes().get(file.data().id()).ok_or(ENOENT)?;
    arg.dma_address = mapping.range().start;
    arg.offset = buffer.mmap_offset();
    Ok(())
}

fn prep_bo(npu: &Npu, arg: &mut rocket::PrepBo, file: &File<Ferrite>) -> Result {
    if arg.reserved != 0 {
        return Err(EINVAL);
    }
    let buffer = GemRef::lookup(file, arg.handle)?;
    // The CPU may be going to write, so readers count too.
    let jiffies = task::jiffies_until(arg.timeout_ns);
    let idle = resv::wait(&buffer, Usage::Read, jiffies)?;
    crate::dispatch::reap(npu);
    if !idle {
        return Err(if jiffies == 0 { EBUSY } else { ETIMEDOUT });
    }
    buffer.sync_for_cpu()?;
    if buffer.has_failed() {
        return Err(EIO);
    }
    Ok(())
}

fn fini_bo(_npu: &Npu, arg: &mut rocket::FiniBo, file: &File<Ferrite>) -> Result {
    if arg.reserved != 0 {
        return Err(EINVAL);
    }
    GemRef::lookup(file, arg.handle)?.sync_for_device()
}
