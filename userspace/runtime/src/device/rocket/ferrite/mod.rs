//! Programs on our driver's extensions: a job is a chain of tasks that one start runs, jobs wait for each
//! other as the executable says and run on any core, and one wait tells how a submission ended.

mod batch;
mod buffer;
mod ioctl;
mod station;

use super::super::drm::{deadline_ns, system};
use super::super::{Counters, DeviceError, JobError, Priority, Program, images};
use super::GRACE;
use batch::Batch;
use buffer::Buffer;
use ferrite_compiler::executable::{BufferId, Executable, Job, Region, Role, Step};
use ferrite_ir::PrimaryMap;
use ferrite_uapi::ferrite as uapi;
use nix::errno::Errno;
use station::Constants;
pub use station::{Station, station};
use std::mem::size_of;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// A buffer of a program.
#[derive(Debug)]
enum Slot {
    Own(Buffer),
    /// Other programs may use it too.
    Shared(Arc<Constants>),
}

impl Slot {
    fn buffer(&self) -> &Buffer {
        match self {
            Slot::Own(buffer) => buffer,
            Slot::Shared(constants) => constants.buffer(),
        }
    }

    fn own(&mut self) -> Option<&mut Buffer> {
        match self {
            Slot::Own(buffer) => Some(buffer),
            Slot::Shared(_) => None,
        }
    }
}

/// Puts a checked executable on the node.
pub fn load(
    station: &Arc<Station>,
    priority: Priority,
    executable: &Executable,
) -> Result<Box<dyn Program>, DeviceError> {
    let slot = |(id, buffer): (BufferId, &ferrite_compiler::executable::Buffer)| {
        if is_constant(executable, id) {
            return station
                .constants(&buffer.init, buffer.size)
                .map(Slot::Shared);
        }
        Buffer::new(&station.node, buffer.size, buffer.role).map(Slot::Own)
    };
    let mut buffers = executable
        .buffers
        .iter()
        .map(slot)
        .collect::<Result<PrimaryMap<_, _>, _>>()?;
    let addresses = buffers
        .values()
        .map(|slot| slot.buffer().address())
        .collect();
    let images = images(executable, &addresses)?;
    for (slot, image) in buffers.values_mut().zip(images.values()) {
        if let Slot::Own(buffer) = slot {
            // New pages are zero, so what lies beyond the image is as it has to be.
            image.write(buffer.fill(image.len()));
        }
    }
    Ok(Box::new(FerriteProgram {
        station: Arc::clone(station),
        priority,
        affinity: affinity(),
        buffers,
    }))
}

/// Whether nothing writes to a buffer once it has its first content, which holds no addresses.
fn is_constant(executable: &Executable, id: BufferId) -> bool {
    let untouched = |step: &Step| match step {
        Step::Cpu(_) => true,
        Step::Enter(port) | Step::Leave(port) | Step::Requantise { port, .. } => {
            port.region.buffer != id
        }
        Step::Submit(jobs) => jobs.iter().all(|job| !job.writes.contains(&id)),
    };
    executable.buffers[id].role == Role::Constants
        && executable.steps.iter().all(untouched)
        && executable
            .relocations
            .iter()
            .all(|place| place.buffer != id)
}

/// A number that the driver knows a program by, not 0: its jobs prefer a core that ran it before.
fn affinity() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed) % u32::MAX + 1
}

struct FerriteProgram {
    station: Arc<Station>,
    priority: Priority,
    affinity: u32,
    buffers: PrimaryMap<BufferId, Slot>,
}

impl Program for FerriteProgram {
    fn write(
        &mut self,
        region: Region,
        fill: &mut dyn FnMut(&mut [u8]),
    ) -> Result<(), DeviceError> {
        let part = region.offset..region.offset + region.len;
        fill(self.own(region.buffer)?.write(part)?);
        Ok(())
    }

    fn read(&mut self, region: Region, take: &mut dyn FnMut(&[u8])) -> Result<(), DeviceError> {
        let part = region.offset..region.offset + region.len;
        take(self.own(region.buffer)?.read(part)?);
        Ok(())
    }

    fn submit(&mut self, jobs: &[Job]) -> Result<(), JobError> {
        for buffer in self.buffers.values_mut().filter_map(Slot::own) {
            buffer.give()?;
        }
        let batch = Batch::new(jobs, &self.buffers, &self.station.info);
        let number = self.queue(&batch, jobs)?;
        for job in jobs {
            for (ids, writes) in [(&job.reads, false), (&job.writes, true)] {
                for &id in ids {
                    if let Slot::Own(buffer) = &mut self.buffers[id] {
                        buffer.queued(writes);
                    }
                }
            }
        }
        let patience = GRACE + batch.patience(&self.station.info);
        let end = match ioctl::wait(&self.station.node, number, deadline_ns(patience)?) {
            Ok(end) => end,
            Err(Errno::ETIMEDOUT | Errno::EBUSY) => return Err(JobError::Timeout(patience)),
            Err(errno) => return Err(system("waiting for jobs".to_owned(), errno).into()),
        };
        for buffer in self.buffers.values_mut().filter_map(Slot::own) {
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
    /// A buffer that the host and the NPU exchange data by.
    fn own(&mut self, id: BufferId) -> Result<&mut Buffer, DeviceError> {
        let constant = || DeviceError::Unsupported(format!("{id:?} is constant and no port"));
        self.buffers[id].own().ok_or_else(constant)
    }

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
        ioctl::submit(&self.station.node, submit).map_err(|errno| {
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
