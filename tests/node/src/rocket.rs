//! The driver-private calls of mainline's `rocket`.
#![allow(unsafe_code)]

use crate::faults;
use crate::objects::{Buffer, Object, View};
use ferrite_hw::Grade;
use ferrite_sim::rk3588::{Config, Core, Start};
use ferrite_uapi::rocket as uapi;
use nix::libc::{self, c_int};
use std::collections::BTreeMap;
use std::slice;

/// Where buffers begin in the NPU's address space.
pub const BASE: u64 = 0x10_0000;

pub fn create_bo(node: Object, create: &mut uapi::CreateBo) -> Result<(), c_int> {
    let (handle, buffer) = node.add(create.size.into(), BASE)?;
    if buffer.address + buffer.size > u64::from(u32::MAX) {
        return Err(libc::ENOMEM);
    }
    create.handle = handle;
    create.dma_address = buffer.address;
    create.offset = buffer.offset;
    Ok(())
}

/// # Safety
/// The pointers of `submit` and of its jobs are those of live arrays.
pub unsafe fn submit(node: Object, submit: &uapi::Submit) -> Result<(), c_int> {
    if submit.job_struct_size as usize != size_of::<uapi::Job>() || submit.reserved != 0 {
        return Err(libc::EINVAL);
    }
    // SAFETY: by the caller's promise.
    let jobs: &[uapi::Job] = unsafe { array(submit.jobs, submit.job_count) };
    let mut ended = BTreeMap::new();
    for job in jobs {
        // SAFETY: by the caller's promise.
        let (reads, writes): (&[u32], &[u32]) = unsafe {
            (
                array(job.in_bo_handles, job.in_bo_handle_count),
                array(job.out_bo_handles, job.out_bo_handle_count),
            )
        };
        for &handle in reads.iter().chain(writes) {
            node.buffer(handle)?;
        }
        // SAFETY: by the caller's promise.
        let status = match run(node, unsafe { array(job.tasks, job.task_count) }) {
            Ok(()) => 1,
            Err(errno) => -i64::from(errno),
        };
        for &handle in writes {
            let worst = ended.entry(handle).or_insert(status);
            *worst = status.min(*worst);
        }
    }
    for (handle, status) in ended {
        let buffer = node.buffer(handle)?;
        node.set(handle, &Buffer { status, ..buffer });
    }
    Ok(())
}

/// Runs a job; an error is that of its fence.
fn run(node: Object, tasks: &[uapi::Task]) -> Result<(), c_int> {
    faults::call("job")?;
    let buffers = node.buffers();
    let buffers = buffers.into_iter().map(|buffer| (buffer.address, buffer));
    let memory = View::new(node, buffers.collect());
    let mut core = core();
    for task in tasks {
        let start = Start::task(task.regcmd, task.regcmd_count as usize);
        if core.run(&memory, start).fault.is_some() {
            // The chip hangs, until the driver's patience ends.
            return Err(libc::ETIMEDOUT);
        }
    }
    Ok(())
}

/// A core that has just been powered.
pub fn core() -> Core {
    Core::new(Config {
        evidence: Grade::Inferred,
        ..Config::default()
    })
}

/// # Safety
/// `address` is null with no `count`, or that of `count` live values.
pub unsafe fn array<'a, T>(address: u64, count: u32) -> &'a [T] {
    if count == 0 {
        return &[];
    }
    // SAFETY: by the caller's promise.
    unsafe { slice::from_raw_parts(address as *const T, count as usize) }
}
