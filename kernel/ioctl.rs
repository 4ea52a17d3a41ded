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
use crate::client::{
    Direction,
    Outcome, //
};
use crate::npu::{Ferrite, Npu};
use crate::policy::validate;
use crate::submit::{
    submit,
    submit_extended, //
};
use crate::uapi::{
    ferrite,
    ioctl::{
        drm_iow,
        drm_iowr,
        DRM_COMMAND_BASE, //
    },
    rocket, //
};
use kernel::{
    prelude::*,
    transmute::AsBytes,
    uaccess::{
        UserPtr,
        UserSlice, //
    }, //
};

const CREATE_BO: u32 = drm_iowr::<rocket::CreateBo>(DRM_COMMAND_BASE + rocket::CREATE_BO as u32);
const SUBMIT: u32 = drm_iow::<rocket::Submit>(DRM_COMMAND_BASE + rocket::SUBMIT as u32);
const PREP_BO: u32 = drm_iow::<rocket::PrepBo>(DRM_COMMAND_BASE + rocket::PREP_BO as u32);
const FINI_BO: u32 = drm_iow::<rocket::FiniBo>(DRM_COMMAND_BASE + rocket::FINI_BO as u32);

const SIZE: usize = ferrite::FIRST as usize + 7;

/// The system calls by number.
pub(crate) const TABLE: &[kernel::bindings::drm_ioctl_desc] = &ENTRIES;

const ENTRIES: [kernel::bindings::drm_ioctl_desc; SIZE] = drm::ioctls![Ferrite, SIZE;
    (CREATE_BO, rocket::CreateBo => create_bo),
    (SUBMIT, rocket::Submit => submit),
    (PREP_BO, rocket::PrepBo => prep_bo),
    (FINI_BO, rocket::FiniBo => fini_bo),
    (ferrite::IOCTL_QUERY, ferrite::Query => query),
    (ferrite::IOCTL_CREATE_BUFFER, ferrite::CreateBuffer => create_buffer),
    (ferrite::IOCTL_BUFFER_INFO, ferrite::BufferInfo => buffer_info),
    (ferrite::IOCTL_SUBMIT, ferrite::Submit => submit_extended),
    (ferrite::IOCTL_WAIT, ferrite::Wait => wait),
    (ferrite::IOCTL_PREPARE, ferrite::Prepare => prepare),
    (ferrite::IOCTL_FINISH, ferrite::Finish => finish),
];

fn create_bo(npu: &Npu, arg: &mut rocket::CreateBo, file: &File<Ferrite>) -> Result {
    let mut full = ferrite::CreateBuffer {
        size: arg.size.into(),
        ..ferrite::CreateBuffer::default()
    };
    create_buffer(npu, &mut full, file)?;
    arg.handle = full.handle;
    arg.dma_address = full.dma_address;
    arg.offset = full.offset;
    Ok(())
}

fn create_buffer(npu: &Npu, arg: &mut ferrite::CreateBuffer, file: &File<Ferrite>) -> Result {
    validate::flags(arg.flags, ferrite::BUFFER_WRITE_COMBINED)?;
    if arg.size == 0 {
        return Err(EINVAL);
    }
    let size = usize::try_from(arg.size).map_err(|_| ENOSPC)?;
    let combined = arg.flags & ferrite::BUFFER_WRITE_COMBINED != 0;
    let buffer = GemRef::new(npu, size, combined)?;
    buffer.charge(npu, file.data().owner(), buffer.size())?;
    // Making the handle maps the buffer.
    arg.handle = buffer.create_handle(file)?;
    // Another thread may have guessed and closed the handle already.
    let mapping = buffer.homes().get(file.data().id()).ok_or(ENOENT)?;
    arg.dma_address = mapping.range().start;
    arg.offset = buffer.mmap_offset();
    Ok(())
}

fn buffer_info(_npu: &Npu, arg: &mut ferrite::BufferInfo, file: &File<Ferrite>) -> Result {
    validate::flags(arg.flags, 0)?;
    let buffer = GemRef::lookup(file, arg.handle)?;
    let mapping = buffer.homes().get(file.data().id()).ok_or(ENOENT)?;
    arg.flags = 0;
    if buffer.is_imported() {
        arg.flags |= ferrite::BUFFER_IMPORTED;
    }
    if buffer.is_write_combined() {
        arg.flags |= ferrite::BUFFER_WRITE_COMBINED;
    }
    arg.size = buffer.size();
    arg.dma_address = mapping.range().start;
    arg.offset = buffer.mmap_offset();
    Ok(())
}

/// Waits for the users of a buffer, and hands a part of it to the CPU.
fn hand_over(
    npu: &Npu,
    file: &File<Ferrite>,
    handle: u32,
    usage: Usage,
    deadline_ns: i64,
    (offset, size): (u64, u64),
) -> Result {
    let buffer = GemRef::lookup(file, handle)?;
    let part = validate::part(offset, size, buffer.size())?;
    crate::dispatch::reap(npu);
    let jiffies = task::jiffies_until(deadline_ns);
    if !resv::wait(&buffer, usage, jiffies)? {
        return Err(late(jiffies));
    }
    file.data().count_synced(Direction::ToCpu, buffer.sync_for_cpu(part)?);
    if buffer.has_failed() {
        return Err(EIO);
    }
    Ok(())
}

/// What it is when something has not ended in time: like mainline, another error for those who only
/// ask.
fn late(jiffies: usize) -> Error {
    if jiffies == 0 {
        EBUSY
    } else {
        ETIMEDOUT
    }
}

fn prep_bo(npu: &Npu, arg: &mut rocket::PrepBo, file: &File<Ferrite>) -> Result {
    validate::flags(arg.reserved, 0)?;
    // The CPU may be going to write, so readers count too.
    hand_over(npu, file, arg.handle, Usage::Read, arg.timeout_ns, (0, 0))
}

fn prepare(npu: &Npu, arg: &mut ferrite::Prepare, file: &File<Ferrite>) -> Result {
    validate::flags(arg.flags, ferrite::PREPARE_READ | ferrite::PREPARE_WRITE)?;
    let usage = match arg.flags {
        0 => return Err(EINVAL),
        ferrite::PREPARE_READ => Usage::Write,
        _ => Usage::Read,
    };
    let part = (arg.offset, arg.size);
    hand_over(npu, file, arg.handle, usage, arg.timeout_ns, part)
}

fn fini_bo(_npu: &Npu, arg: &mut rocket::FiniBo, file: &File<Ferrite>) -> Result {
    validate::flags(arg.reserved, 0)?;
    let buffer = GemRef::lookup(file, arg.handle)?;
    give(file, &buffer, (0, buffer.size()))
}

/// Hands a part of a buffer to the NPU.
fn give(file: &File<Ferrite>, buffer: &GemRef<Ferrite>, part: (u64, u64)) -> Result {
    let bytes = buffer.sync_for_device(part)?;
    file.data().count_synced(Direction::ToNpu, bytes);
    Ok(())
}

fn finish(_npu: &Npu, arg: &mut ferrite::Finish, file: &File<Ferrite>) -> Result {
    validate::flags(arg.flags, 0)?;
    let buffer = GemRef::lookup(file, arg.handle)?;
    give(file, &buffer, validate::part(arg.offset, arg.size, buffer.size())?)
}

fn wait(npu: &Npu, arg: &mut ferrite::Wait, file: &File<Ferrite>) -> Result {
    validate::flags(arg.flags, 0)?;
    let jiffies = task::jiffies_until(arg.timeout_ns);
    let outcome = file.data().outcome(&npu.state().lock(), arg.number)?;
    let end = match outcome {
        Outcome::Ended(end) => end,
        // Whatever comes meanwhile, this one is not forgotten.
        Outcome::Pending(batch) => npu
            .wait_until(jiffies, |state| {
                let progress = batch.progress.access(state);
                Ok((progress.unfinished == 0).then_some(progress.end))
            })?
            .ok_or_else(|| late(jiffies))?,
    };
    crate::dispatch::reap(npu);
    if let Some(failure) = end.failure {
        arg.error = -failure.error.to_errno() as u32;
        (arg.failed_job, arg.failed_task) = (failure.job, failure.task);
    } else {
        (arg.error, arg.failed_job, arg.failed_task) = (0, 0, 0);
    }
    arg.busy_ns = end.busy_ns;
    Ok(())
}

fn query(npu: &Npu, arg: &mut ferrite::Query, file: &File<Ferrite>) -> Result {
    validate::flags(arg.reserved, 0)?;
    match arg.kind {
        ferrite::QUERY_DEVICE if arg.index == 0 => answer(arg, &device_info(npu, file)),
        ferrite::QUERY_CORE => answer(arg, &core_info(npu, arg.index as usize)?),
        _ => Err(EINVAL),
    }
}

/// Stores as much of an answer as the caller has room for, and says how long it is.
fn answer<T: AsBytes>(arg: &mut ferrite::Query, info: &T) -> Result {
    let bytes = info.as_bytes();
    let len = bytes.len().min(arg.size as usize);
    let address = usize::try_from(arg.data).map_err(|_| EFAULT)?;
    UserSlice::new(UserPtr::from_addr(address), len)
        .writer()
        .write_slice(&bytes[..len])?;
    arg.size = bytes.len() as u32;
    Ok(())
}

fn device_info(npu: &Npu, file: &File<Ferrite>) -> ferrite::DeviceInfo {
    let window = file.data().space().window();
    let patience = crate::params::patience();
    ferrite::DeviceInfo {
        cores: npu.state().lock().sched.present(),
        features: ferrite::FEATURE_SUBMIT
            | ferrite::FEATURE_IMPORT
            | ferrite::FEATURE_SYNCOBJ
            | ferrite::FEATURE_PPU
            | ferrite::FEATURE_CHAIN
            | ferrite::FEATURE_TIMELINE
            | ferrite::FEATURE_RANGE,
        max_jobs: validate::MAX_JOBS,
        max_tasks: validate::MAX_TASKS,
        timeout_ns: patience.task_ns,
        address_start: window.start,
        address_end: window.end(),
        max_chain: validate::MAX_CHAIN,
        reserved: 0,
        chain_timeout_ns: patience.chain_ns,
        clock_hz: npu.rate(),
    }
}

/// What a core is and, for those who may know, what it does for whomever.
fn core_info(npu: &Npu, index: usize) -> Result<ferrite::CoreInfo> {
    let watch = task::may_watch();
    let state = npu.state().lock();
    let lane = state.lanes.get(index).ok_or(ENOENT)?;
    let core = lane.core.as_ref().ok_or(ENOENT)?;
    let mut info = ferrite::CoreInfo {
        version: core.version(),
        ..ferrite::CoreInfo::default()
    };
    if watch {
        let usage = state.sched.usage_of_core(index, task::now_ns());
        info.flags = ferrite::CORE_ACTIVITY;
        if state.sched.on_core(index).is_some() {
            info.flags |= ferrite::CORE_BUSY;
        }
        info.busy_ns = usage.busy_ns;
        info.jobs = usage.jobs;
        info.resets = lane.resets;
    }
    Ok(info)
}
