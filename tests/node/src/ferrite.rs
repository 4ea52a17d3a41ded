//! The driver-private calls of our driver. Its NPU sees what FINISH has given it, and the CPU what PREPARE
//! has brought back.
#![allow(unsafe_code)]

use crate::faults;
use crate::objects::{Object, View};
use crate::rocket::{BASE, array, core};
use ferrite_sim::rk3588::{Core, Start};
use ferrite_uapi::ferrite as uapi;
use nix::libc::{self, c_int};

/// Shorter than the driver's, so that small models have jobs that are no chains.
const MAX_CHAIN: u32 = 15;

/// # Safety
/// `query.data` has room for `query.size` bytes.
pub unsafe fn query(query: &mut uapi::Query) -> Result<(), c_int> {
    let info = uapi::DeviceInfo {
        cores: 0b111,
        features: uapi::FEATURE_SUBMIT | uapi::FEATURE_CHAIN | uapi::FEATURE_RANGE,
        max_jobs: 1024,
        max_tasks: 65536,
        timeout_ns: 500_000_000,
        max_chain: MAX_CHAIN,
        chain_timeout_ns: 10_000_000_000,
        clock_hz: 1_000_000_000,
        ..Default::default()
    };
    if query.kind != uapi::QUERY_DEVICE {
        return Err(libc::EINVAL);
    }
    let len = size_of::<uapi::DeviceInfo>().min(query.size as usize);
    // SAFETY: by the caller's promise.
    unsafe {
        let from = (&raw const info).cast::<u8>();
        std::ptr::copy_nonoverlapping(from, query.data as *mut u8, len);
    }
    query.size = size_of::<uapi::DeviceInfo>() as u32;
    Ok(())
}

pub fn create_buffer(node: Object, create: &mut uapi::CreateBuffer) -> Result<(), c_int> {
    if create.size == 0 || create.flags & !uapi::BUFFER_WRITE_COMBINED != 0 {
        return Err(libc::EINVAL);
    }
    let (handle, buffer) = node.add(create.size, BASE)?;
    create.handle = handle;
    create.dma_address = buffer.address;
    create.offset = buffer.offset;
    Ok(())
}

/// # Safety
/// The pointers of `submit` and of its jobs are those of live arrays.
pub unsafe fn submit(node: Object, submit: &mut uapi::Submit) -> Result<(), c_int> {
    if submit.job_struct_size as usize != size_of::<uapi::Job>()
        || submit.flags != uapi::SUBMIT_EXPLICIT
    {
        return Err(libc::EINVAL);
    }
    if submit.priority == uapi::PRIORITY_HIGH {
        return Err(libc::EACCES);
    }
    // SAFETY: by the caller's promise.
    let jobs: &[uapi::Job] = unsafe { array(submit.jobs, submit.job_count) };
    for (index, job) in jobs.iter().enumerate() {
        // SAFETY: by the caller's promise.
        let (reads, writes, after): (&[u32], &[u32], &[u32]) = unsafe {
            (
                array(job.in_bo_handles, job.in_bo_handle_count),
                array(job.out_bo_handles, job.out_bo_handle_count),
                array(job.after, job.after_count),
            )
        };
        for &handle in reads.iter().chain(writes) {
            node.buffer(handle)?;
        }
        if after.iter().any(|&job| job as usize >= index) {
            return Err(libc::EINVAL);
        }
        if job.flags & uapi::JOB_CHAINED != 0 && job.task_count > MAX_CHAIN {
            return Err(libc::E2BIG);
        }
    }
    let mut end = (0, 0, 0);
    // One after the other, on a core of their own.
    for (index, job) in jobs.iter().enumerate() {
        // SAFETY: by the caller's promise.
        let tasks: &[uapi::Task] = unsafe { array(job.tasks, job.task_count) };
        if let Err((errno, task)) = run(node, &mut core(), tasks, job.flags) {
            end = (errno as u32, index as u32, task);
            break;
        }
    }
    submit.number = node.ended(end)?;
    Ok(())
}

/// Runs a job; an error with the task that it had reached.
fn run(
    node: Object,
    core: &mut Core,
    tasks: &[uapi::Task],
    flags: u32,
) -> Result<(), (c_int, u32)> {
    faults::call("job").map_err(|errno| (errno, 0))?;
    let memory = View::apart(node);
    let mut done = 0;
    let chain = if flags & uapi::JOB_CHAINED != 0 {
        tasks.len()
    } else {
        1
    };
    for tasks in tasks.chunks(chain) {
        let start = Start::chain(
            tasks[0].regcmd,
            tasks[0].regcmd_count as usize,
            tasks.len() as u32,
        );
        if let Some(fault) = core.run(&memory, start).fault {
            return Err((libc::ETIMEDOUT, done + fault.task));
        }
        done += tasks.len() as u32;
    }
    Ok(())
}

pub fn wait(node: Object, wait: &mut uapi::Wait) -> Result<(), c_int> {
    let last = node.last();
    if wait.number != last.number {
        return Err(libc::ENOENT);
    }
    (wait.error, wait.failed_job, wait.failed_task) = (last.error, last.job, last.task);
    Ok(())
}

pub fn prepare(node: Object, prepare: &uapi::Prepare) -> Result<(), c_int> {
    let buffer = node.buffer(prepare.handle)?;
    node.invalidate(&buffer, prepare.offset, prepare.size)
}

pub fn finish(node: Object, finish: &uapi::Finish) -> Result<(), c_int> {
    let buffer = node.buffer(finish.handle)?;
    node.clean(&buffer, finish.offset, finish.size)
}
