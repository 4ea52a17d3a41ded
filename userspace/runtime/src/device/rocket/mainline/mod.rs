//! Programs on mainline's interface: jobs of one open file run in order on one core, each task started by
//! itself, and fences tell how they ended.

mod bo;
mod ioctl;

use super::super::drm::fence::Fence;
use super::super::drm::{Node, system};
use super::super::{Counters, DeviceError, JobError, Program, images};
use super::GRACE;
use bo::Bo;
use ferrite_compiler::executable::{BufferId, Executable, Job, Region};
use ferrite_ir::PrimaryMap;
use ferrite_uapi::rocket as uapi;
use std::collections::BTreeSet;
use std::mem::size_of;
use std::sync::Arc;
use std::time::Duration;

/// The driver ends a task that takes longer (`JOB_TIMEOUT_MS`).
const DRIVER_JOB_TIMEOUT: Duration = Duration::from_millis(500);

/// Puts a checked executable on the node.
pub fn load(node: &Arc<Node>, executable: &Executable) -> Result<Box<dyn Program>, DeviceError> {
    let buffers = executable
        .buffers
        .values()
        .map(|buffer| Bo::new(node, buffer.size))
        .collect::<Result<PrimaryMap<_, _>, _>>()?;
    let addresses = buffers.values().map(Bo::address).collect();
    let mut program = MainlineProgram {
        node: Arc::clone(node),
        buffers,
    };
    let images = images(executable, &addresses)?;
    for (bo, image) in program.buffers.values_mut().zip(images.values()) {
        // New pages are zero, so what lies beyond the image is as it has to be.
        image.write(bo.bytes_mut()?);
    }
    Ok(Box::new(program))
}

struct MainlineProgram {
    node: Arc<Node>,
    buffers: PrimaryMap<BufferId, Bo>,
}

impl MainlineProgram {
    fn buffer(&mut self, id: BufferId) -> &mut Bo {
        &mut self.buffers[id]
    }

    fn handles(&self, ids: &BTreeSet<BufferId>) -> Vec<u32> {
        let handle = |&id: &BufferId| self.buffers[id].handle();
        ids.iter().map(handle).collect()
    }
}

impl Program for MainlineProgram {
    fn write(
        &mut self,
        region: Region,
        fill: &mut dyn FnMut(&mut [u8]),
    ) -> Result<(), DeviceError> {
        let bytes = self.buffer(region.buffer).bytes_mut()?;
        fill(&mut bytes[region.offset..region.offset + region.len]);
        Ok(())
    }

    fn read(&mut self, region: Region, take: &mut dyn FnMut(&[u8])) -> Result<(), DeviceError> {
        let bytes = self.buffer(region.buffer).bytes_mut()?;
        take(&bytes[region.offset..region.offset + region.len]);
        Ok(())
    }

    fn submit(&mut self, jobs: &[Job]) -> Result<(), JobError> {
        for bo in self.buffers.values_mut() {
            bo.give_to_npu()?;
        }
        let descriptions: Vec<Description> =
            jobs.iter().map(|job| Description::of(job, self)).collect();
        let raw: Vec<uapi::Job> = descriptions.iter().map(Description::raw).collect();
        let submit = uapi::Submit {
            jobs: raw.as_ptr() as u64,
            job_count: raw.len() as u32,
            job_struct_size: size_of::<uapi::Job>() as u32,
            reserved: 0,
        };
        ioctl::submit(&self.node, &submit)
            .map_err(|e| system(format!("submitting {} jobs", jobs.len()), e))?;
        let tasks: usize = jobs.iter().map(|job| job.tasks.len()).sum();
        let patience = GRACE + DRIVER_JOB_TIMEOUT * u32::try_from(tasks).unwrap_or(u32::MAX / 1000);
        let written: BTreeSet<BufferId> = jobs.iter().flat_map(|j| &j.writes).copied().collect();
        // Fences are taken for all outputs before the first wait: a fence that has already
        // signalled no longer tells how its job ended.
        let fences = written.iter().map(|&id| self.buffer(id).fence());
        let fences: Result<Vec<Fence>, DeviceError> = fences.collect();
        let ended = fences.map_err(JobError::from).and_then(|fences| {
            let ends = fences.iter().map(|fence| fence.wait(patience));
            ends.collect::<Result<(), JobError>>()
        });
        // Also after a failure: the next run needs the buffers back.
        for &id in &written {
            let idle = self.buffer(id).wait_for_npu(patience);
            if ended.is_ok() {
                idle?;
            }
        }
        ended
    }

    fn counters(&self) -> Option<Counters> {
        None
    }
}

/// The arrays that a raw job points to.
struct Description {
    tasks: Vec<uapi::Task>,
    reads: Vec<u32>,
    writes: Vec<u32>,
}

impl Description {
    /// Each buffer goes into one list only: mainline deadlocks on its own reservation otherwise
    /// and drops the job.
    fn of(job: &Job, program: &MainlineProgram) -> Description {
        let writes: BTreeSet<BufferId> = job.writes.iter().copied().collect();
        let commands = job.tasks.iter().map(|task| task.commands.buffer);
        let reads: BTreeSet<BufferId> = job.reads.iter().copied().chain(commands).collect();
        let task = |task: &ferrite_compiler::executable::Task| {
            let base = program.buffers[task.commands.buffer].address();
            uapi::Task {
                regcmd: (base + task.commands.offset as u64) as u32,
                regcmd_count: task.words as u32,
            }
        };
        Description {
            tasks: job.tasks.iter().map(task).collect(),
            reads: program.handles(&reads.difference(&writes).copied().collect()),
            writes: program.handles(&writes),
        }
    }

    fn raw(&self) -> uapi::Job {
        uapi::Job {
            tasks: self.tasks.as_ptr() as u64,
            in_bo_handles: self.reads.as_ptr() as u64,
            out_bo_handles: self.writes.as_ptr() as u64,
            task_count: self.tasks.len() as u32,
            task_struct_size: size_of::<uapi::Task>() as u32,
            in_bo_handle_count: self.reads.len() as u32,
            out_bo_handle_count: self.writes.len() as u32,
        }
    }
}
