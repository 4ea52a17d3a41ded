//! Jobs as the driver takes them.

use super::Slot;
use ferrite_compiler::executable::{BufferId, Job, Task};
use ferrite_ir::PrimaryMap;
use ferrite_uapi::ferrite as uapi;
use std::mem::size_of;
use std::ops::Range;
use std::time::Duration;

/// A submission's arrays.
pub struct Batch {
    tasks: Vec<uapi::Task>,
    /// Handles and indexes of jobs.
    numbers: Vec<u32>,
    parts: Vec<Part>,
}

/// Where a job's arrays are.
struct Part {
    tasks: Range<usize>,
    reads: Range<usize>,
    writes: Range<usize>,
    after: Range<usize>,
    chained: bool,
}

impl Batch {
    /// Jobs with the buffers of their program, for a driver that says `info` of itself.
    pub fn new(
        jobs: &[Job],
        buffers: &PrimaryMap<BufferId, Slot>,
        info: &uapi::DeviceInfo,
    ) -> Batch {
        // A longer job is not cut: its tasks may use what the one before has left in the core. The
        // driver runs it task by task.
        let longest = match info.features & uapi::FEATURE_CHAIN {
            0 => 1,
            _ => info.max_chain as usize,
        };
        let mut batch = Batch {
            tasks: Vec::with_capacity(jobs.iter().map(|job| job.tasks.len()).sum()),
            numbers: Vec::with_capacity(4 * jobs.len()),
            parts: Vec::with_capacity(jobs.len()),
        };
        for job in jobs {
            let commands = job.tasks.first().map(|task| task.commands.buffer);
            let first = batch.tasks.len();
            let described = job.tasks.iter().map(|task| describe(task, buffers));
            batch.tasks.extend(described);
            let part = Part {
                tasks: first..batch.tasks.len(),
                reads: batch.list(
                    buffers,
                    job.reads.iter().copied().chain(commands),
                    &job.writes,
                ),
                writes: batch.list(buffers, job.writes.iter().copied(), &[]),
                after: batch.numbers.len()..batch.numbers.len() + job.after.len(),
                chained: (2..=longest).contains(&job.tasks.len()),
            };
            batch
                .numbers
                .extend(job.after.iter().map(|&job| job as u32));
            batch.parts.push(part);
        }
        batch
    }

    /// Handles of `ids` without those of `others`, each once.
    fn list(
        &mut self,
        buffers: &PrimaryMap<BufferId, Slot>,
        ids: impl Iterator<Item = BufferId>,
        others: &[BufferId],
    ) -> Range<usize> {
        let start = self.numbers.len();
        for id in ids.filter(|id| !others.contains(id)) {
            let handle = buffers[id].buffer().handle();
            if !self.numbers[start..].contains(&handle) {
                self.numbers.push(handle);
            }
        }
        start..self.numbers.len()
    }

    /// The jobs, which point into `self`.
    pub fn jobs(&self, affinity: u32) -> Vec<uapi::Job> {
        let job = |part: &Part| uapi::Job {
            tasks: self.tasks[part.tasks.clone()].as_ptr() as u64,
            in_bo_handles: self.numbers[part.reads.clone()].as_ptr() as u64,
            out_bo_handles: self.numbers[part.writes.clone()].as_ptr() as u64,
            task_count: part.tasks.len() as u32,
            task_struct_size: size_of::<uapi::Task>() as u32,
            in_bo_handle_count: part.reads.len() as u32,
            out_bo_handle_count: part.writes.len() as u32,
            after: self.numbers[part.after.clone()].as_ptr() as u64,
            after_count: part.after.len() as u32,
            cores: 0,
            affinity,
            flags: if part.chained { uapi::JOB_CHAINED } else { 0 },
        };
        self.parts.iter().map(job).collect()
    }

    /// How long the driver lets all of it run at most.
    pub fn patience(&self, info: &uapi::DeviceInfo) -> Duration {
        let allowed = |part: &Part| {
            let tasks = info.timeout_ns.saturating_mul(part.tasks.len() as u64);
            match part.chained {
                true => tasks.max(info.chain_timeout_ns),
                false => tasks,
            }
        };
        let sum = self.parts.iter().map(allowed).fold(0, u64::saturating_add);
        Duration::from_nanos(sum)
    }
}

fn describe(task: &Task, buffers: &PrimaryMap<BufferId, Slot>) -> uapi::Task {
    let base = buffers[task.commands.buffer].buffer().address();
    uapi::Task {
        regcmd: (base + task.commands.offset as u64) as u32,
        regcmd_count: task.words as u32,
        int_mask: uapi::COMPLETION_DPU,
        flags: 0,
    }
}
