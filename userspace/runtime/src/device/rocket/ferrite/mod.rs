//! Programs on our driver's extensions: a job is a chain of tasks that one start runs, jobs wait for each
//! other as the executable says and run on any core, and one wait tells how a submission ended.

mod batch;
mod buffer;
mod ioctl;

use super::super::drm::{Node, deadline_ns, system};
use super::super::{Counters, DeviceError, JobError, Priority, Program, images};
use super::GRACE;
use batch::Batch;
use buffer::Buffer;
use ferrite_compiler::executable::{BufferId, Executable, Job, Region};
use ferrite_ir::PrimaryMap;
use ferrite_uapi::ferrite as uapi;
pub use ioctl::query;
use nix::errno::Errno;
use std::mem::size_of;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// Puts a checked executable on the node.
pub fn load(
    node: &Arc<Node>,
    info: uapi::DeviceInfo,
    priority: Priority,
    executable: &Executable,
) -> Result<Box<dyn Program>, DeviceError> {
    let mut buffers = executable
        .buffers
        .values()
        .map(|buffer| Buffer::new(node, buffer.size, buffer.role))
        .collect::<Result<PrimaryMap<_, _>, _>>()?;
    let addresses = buffers.values().map(Buffer::address).collect();
    let images = images(executable, &addresses)?;
    for (buffer, image) in buffers.values_mut().zip(images.values()) {
        // New pages are zero, so what lies beyond the image is as it has to be.
        image.write(buffer.fill(image.len()));
    }
    Ok(Box::new(FerriteProgram {
        node: Arc::clone(node),
        info,
        priority,
        affinity: affinity(),
        buffers,
    }))
}

/// A number that the driver knows a program by, not 0: its jobs prefer a core that ran it before.
fn affinity() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed) % u32::MAX + 1
}

struct FerriteProgram {
    node: Arc<Node>,
    info: uapi::DeviceInfo,
    priority: Priority,
    affinity: u32,
    buffers: PrimaryMap<BufferId, Buffer>,
}

impl Program for FerriteProgram {
    fn write(
        &mut self,
        region: Region,
        fill: &mut dyn FnMut(&mut [u8]),
    ) -> Result<(), DeviceError> {
        let part = region.offset..region.offset + region.len;
        fill(self.buffers[region.buffer].write(part)?);
        Ok(())
    }

    fn read(&mut self, region: Region, take: &mut dyn FnMut(&[u8])) -> Result<(), DeviceError> {
        let part = region.offset..region.offset + region.len;
        take(self.buffers[region.buffer].read(part)?);
        Ok(())
    }

    fn submit(&mut self, jobs: &[Job]) -> Result<(), JobError> {
        for buffer in self.buffers.values_mut() {
            buffer.give()?;
        }
        let batch = Batch::new(jobs, &self.buffers, &self.info);
        let number = self.queue(&batch, jobs)?;
        for job in jobs {
            for &id in &job.reads {
                self.buffers[id].queued(false);
            }
            for &id in &job.writes {
                self.buffers[id].queued(true);
            }
        }
        let patience = GRACE + batch.patience(&self.info);
        let end = match ioctl::wait(&self.node, number, deadline_ns(patience)?) {
            Ok(end) => end,
            Err(Errno::ETIMEDOUT | Errno::EBUSY) => return Err(JobError::Timeout(patience)),
            Err(errno) => return Err(system("waiting for jobs".to_owned(), errno).into()),
        };
        for buffer in self.buffers.values_mut() {
            buffer.idle();
        }
        match end.error {
            0 => Ok(()),
            error => Err(JobError::Stopped {
                job: end.failed_job as usize,
                task: end.failed_task as usize,
                why: reason(error),
                cause: std::io::Error::from_raw_os_error(error as i32),
            }),
        }
    }

    fn counters(&self) -> Option<Counters> {
        None
    }
}

impl FerriteProgram {
    fn queue(&self, batch: &Batch, jobs: &[Job]) -> Result<u64, DeviceError> {
        // Jobs that run side by side are for the driver to place.
        let affinity = if jobs.len() == 1 { self.affinity } else { 0 };
        let jobs = batch.jobs(affinity);
        let submit = uapi::Submit {
            jobs: jobs.as_ptr() as u64,
            job_count: jobs.len() as u32,
            job_struct_size: size_of::<uapi::Job>() as u32,
            flags: uapi::SUBMIT_EXPLICIT,
            priority: match self.priority {
                Priority::Low => uapi::PRIORITY_LOW,
                Priority::Normal => uapi::PRIORITY_NORMAL,
                Priority::High => uapi::PRIORITY_HIGH,
            },
            ..Default::default()
        };
        ioctl::submit(&self.node, submit).map_err(|errno| {
            let hint = match (errno, self.priority) {
                (Errno::EACCES, Priority::High) => " of high priority, which needs CAP_SYS_NICE",
                _ => "",
            };
            system(format!("submitting {} jobs{hint}", jobs.len()), errno)
        })
    }
}

/// Why the driver ended a job, in words.
fn reason(error: u32) -> &'static str {
    match Errno::from_raw(error as i32) {
        Errno::ETIMEDOUT => "the NPU made no progress, so the driver reset it",
        Errno::EFAULT => "the NPU touched memory that is not mapped for it",
        Errno::EIO => "the NPU could not reach memory, or did not start",
        Errno::ECANCELED => {
            "a job that it needs has failed, or the driver has taken it off the NPU"
        }
        _ => "the driver ended it",
    }
}
