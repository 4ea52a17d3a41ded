// SPDX-License-Identifier: GPL-2.0-only
//! From what user space submits to jobs in the scheduler.
//!
//! A submission is taken whole or not at all: everything that may fail is done before the first
//! fence becomes visible to others.

use crate::abstractions::{
    drm::File,
    fence::{
        Fence,
        Wait, //
    },
    gem::GemRef,
    resv::{
        Reservations,
        Usage, //
    },
    task, //
};
use crate::batch::{Batch, Job, JobRef, Progress, Used};
use crate::npu::{Ferrite, Npu, MAX_JOBS_PER_CLIENT};
use crate::policy::{
    depend::{
        Graph,
        Outside, //
    },
    schedule::{
        Priority,
        Spec,
        ANY_CORE, //
    },
    validate::{
        self,
        Commands,
        Quota, //
    }, //
};
use crate::release::Release;
use crate::space::Mapping;
use crate::uapi::rocket;
use kernel::{
    prelude::*,
    sync::{
        Arc,
        LockedBy, //
    },
    transmute::FromBytes,
    uaccess::{
        UserPtr,
        UserSlice,
        UserSliceReader, //
    }, //
};

/// A job's use of a buffer, before the buffers are numbered.
struct Use {
    object: usize,
    job: u32,
    write: bool,
    /// Index of the first use of the same buffer in `Parts::found`.
    found: u32,
}

/// A buffer that a job uses.
struct Found {
    buffer: GemRef<Ferrite>,
    mapping: Arc<Mapping>,
}

/// What is read from user space.
struct Parts {
    jobs: KVVec<Job>,
    tasks: KVVec<Commands>,
    uses: KVVec<Use>,
    found: KVVec<Found>,
}

/// `DRM_IOCTL_ROCKET_SUBMIT`.
pub(crate) fn submit(npu: &Npu, arg: &mut rocket::Submit, file: &File<Ferrite>) -> Result {
    if arg.reserved != 0 {
        return Err(EINVAL);
    }
    if arg.job_count == 0 {
        return Ok(());
    }
    let parts = read(arg, file)?;
    crate::dispatch::reap(npu);
    queue(npu, file, parts)?;
    crate::dispatch::kick(npu);
    Ok(())
}

/// Reads an array's next element, and skips what a newer caller has beyond what we know.
fn element<T: FromBytes>(reader: &mut UserSliceReader, stride: usize) -> Result<T> {
    let value = reader.read::<T>()?;
    reader.skip(stride - core::mem::size_of::<T>())?;
    Ok(value)
}

fn array(pointer: u64, count: u32, stride: usize) -> Result<UserSliceReader> {
    let bytes = (count as usize).checked_mul(stride).ok_or(E2BIG)?;
    let address = usize::try_from(pointer).map_err(|_| EFAULT)?;
    Ok(UserSlice::new(UserPtr::from_addr(address), bytes).reader())
}

fn read(arg: &rocket::Submit, file: &File<Ferrite>) -> Result<Parts> {
    Quota::new(validate::MAX_JOBS).take(arg.job_count)?;
    let stride = validate::element_size(arg.job_struct_size, size_of::<rocket::Job>())?;
    let mut reader = array(arg.jobs, arg.job_count, stride)?;
    let mut tasks = Quota::new(validate::MAX_TASKS);
    let mut uses = Quota::new(validate::MAX_USES);
    let mut parts = Parts {
        jobs: KVVec::with_capacity(arg.job_count as usize, GFP_KERNEL)?,
        tasks: KVVec::new(),
        uses: KVVec::new(),
        found: KVVec::new(),
    };
    for index in 0..arg.job_count {
        let job = element::<rocket::Job>(&mut reader, stride)?;
        tasks.take(job.task_count)?;
        uses.take(job.in_bo_handle_count)?;
        uses.take(job.out_bo_handle_count)?;
        if job.task_count == 0 {
            return Err(EINVAL);
        }
        parts.handles(file, index, job.in_bo_handles, job.in_bo_handle_count, false)?;
        parts.handles(file, index, job.out_bo_handles, job.out_bo_handle_count, true)?;
        parts.tasks(file, index, &job)?;
    }
    Ok(parts)
}

impl Parts {
    fn add_use(&mut self, job: u32, write: bool, found: Found) -> Result {
        self.uses.push(
            Use {
                object: found.buffer.id(),
                job,
                write,
                found: self.found.len() as u32,
            },
            GFP_KERNEL,
        )?;
        Ok(self.found.push(found, GFP_KERNEL)?)
    }

    fn handles(
        &mut self,
        file: &File<Ferrite>,
        job: u32,
        pointer: u64,
        count: u32,
        write: bool,
    ) -> Result {
        let mut reader = array(pointer, count, size_of::<u32>())?;
        for _ in 0..count {
            let buffer = GemRef::lookup(file, reader.read::<u32>()?)?;
            // The handle is being closed by another thread if it has no mapping.
            let mapping = buffer.homes().get(file.data().id()).ok_or(ENOENT)?;
            self.add_use(job, write, Found { buffer, mapping })?;
        }
        Ok(())
    }

    fn tasks(&mut self, file: &File<Ferrite>, index: u32, job: &rocket::Job) -> Result {
        let stride = validate::element_size(job.task_struct_size, size_of::<rocket::Task>())?;
        let mut reader = array(job.tasks, job.task_count, stride)?;
        let first = self.tasks.len();
        self.tasks.reserve(job.task_count as usize, GFP_KERNEL)?;
        // Where the last task's commands were found: the next ones are mostly there too.
        let mut place: Option<usize> = None;
        for _ in 0..job.task_count {
            let task = element::<rocket::Task>(&mut reader, stride)?;
            let mut commands = validate::commands(task.regcmd, task.regcmd_count)?;
            let inside = |found: &Found| {
                let range = found.mapping.range();
                (range.start..range.end()).contains(&u64::from(task.regcmd))
            };
            let at = match place.filter(|&at| inside(&self.found[at])) {
                Some(at) => at,
                None => {
                    let (buffer, mapping) = file.data().find(task.regcmd).ok_or(EFAULT)?;
                    // The job reads its commands: that keeps them in place while it runs.
                    self.add_use(index, false, Found { buffer, mapping })?;
                    self.found.len() - 1
                }
            };
            place = Some(at);
            let Found { buffer, mapping } = &self.found[at];
            let range = mapping.range();
            let last =
                validate::last_command(task.regcmd, task.regcmd_count, range.start, range.len)?;
            if let Some(word) = buffer.peek(last) {
                commands.done = validate::done_bits(word);
            }
            self.tasks.push(commands, GFP_KERNEL)?;
        }
        let job = Job {
            first,
            tasks: job.task_count,
            fence: None,
            writes: 0..0,
        };
        Ok(self.jobs.push(job, GFP_KERNEL)?)
    }

    /// Numbers the buffers: gives each of them once, and to each use, in order of jobs, the number
    /// of its buffer.
    fn number(&mut self) -> Result<(KVVec<Used>, KVVec<(u32, u32, bool)>)> {
        self.uses
            .sort_unstable_by_key(|used| (used.object, used.found));
        let mut keep: KVVec<Option<u32>> = KVVec::new();
        keep.resize(self.found.len(), None, GFP_KERNEL)?;
        let mut uses = KVVec::with_capacity(self.uses.len(), GFP_KERNEL)?;
        let mut count = 0;
        let mut previous = None;
        for used in &self.uses {
            if previous != Some(used.object) {
                previous = Some(used.object);
                keep[used.found as usize] = Some(count);
                count += 1;
            }
            uses.push((used.job, count - 1, used.write), GFP_KERNEL)?;
        }
        // A job's reads come before its writes.
        uses.sort_unstable_by_key(|&(job, _, write)| (job, write));
        let mut order: KVVec<(u32, usize)> = KVVec::with_capacity(count as usize, GFP_KERNEL)?;
        for (at, number) in keep.iter().enumerate() {
            if let Some(number) = number {
                order.push((*number, at), GFP_KERNEL)?;
            }
        }
        order.sort_unstable();
        let mut slots: KVVec<Option<Found>> = KVVec::with_capacity(self.found.len(), GFP_KERNEL)?;
        for found in core::mem::take(&mut self.found) {
            slots.push(Some(found), GFP_KERNEL)?;
        }
        let mut buffers = KVVec::with_capacity(count as usize, GFP_KERNEL)?;
        for (_, at) in &order {
            if let Some(Found { buffer, mapping }) = slots[*at].take() {
                buffers.push(
                    Used {
                        _mapping: mapping,
                        buffer,
                    },
                    GFP_KERNEL,
                )?;
            }
        }
        Ok((buffers, uses))
    }
}

fn queue(npu: &Npu, file: &File<Ferrite>, mut parts: Parts) -> Result {
    let (buffers, uses) = parts.number()?;
    let buffers = Arc::new(buffers, GFP_KERNEL)?;
    let mut jobs = parts.jobs;
    let count = jobs.len() as u32;
    let client = file.shared();
    let id = client.id();

    let mut graph = Graph::new(buffers.len(), uses.len(), 0)?;
    let mut writes = KVVec::new();
    let mut outside: KVVec<(u32, u32, Outside)> = KVVec::new();
    for &(job, buffer, write) in &uses {
        let wait = if write {
            if jobs[job as usize].writes.is_empty() {
                jobs[job as usize].writes.start = writes.len();
            }
            writes.push(buffer, GFP_KERNEL)?;
            jobs[job as usize].writes.end = writes.len();
            graph.write(job, buffer as usize)?
        } else {
            graph.read(job, buffer as usize)?
        };
        if wait != Outside::Nothing {
            outside.push((job, buffer, wait), GFP_KERNEL)?;
        }
    }

    // Fences: one for the batch, and one for each job that is the last to write a buffer, unless it
    // is the only job.
    let done = Fence::new()?;
    // A new fence must be signalled before it is dropped, whatever goes wrong.
    let guard = FenceGuard(Some(done.clone()));
    let mut guards: KVVec<FenceGuard> = KVVec::new();
    for buffer in 0..buffers.len() {
        if let Some(writer) = graph.last_writer(buffer) {
            let job = &mut jobs[writer as usize];
            if job.fence.is_none() && count > 1 {
                let fence = Fence::new()?;
                guards.push(FenceGuard(Some(fence.clone())), GFP_KERNEL)?;
                job.fence = Some(fence);
            }
        }
    }

    // Wait for room before locking anything.
    npu.wait_interruptible(|state| {
        if state.sched.present() == 0 {
            return Err(ENODEV);
        }
        Ok(state.sched.promise(id, count, MAX_JOBS_PER_CLIENT))
    })?;
    let promise = Promise { npu, count };

    let reservations = Reservations::lock(buffers.iter().map(|used| &used.buffer))?;
    let mut waits: KVVec<Wait<Release>> = KVVec::new();
    for &(job, buffer, wait) in &outside {
        let (usage, needed) = match wait {
            Outside::Nothing => continue,
            Outside::Writers => (Usage::Write, true),
            // What was written before is overwritten: it need not have succeeded.
            Outside::Everyone => (Usage::Read, false),
        };
        reservations.pending(buffer as usize, usage, |fence| {
            let release = Release::new(npu, job as usize, needed);
            Ok(waits.push(Wait::new(fence, release), GFP_KERNEL)?)
        })?;
    }
    for buffer in 0..buffers.len() {
        reservations.reserve(buffer, 2)?;
    }
    let mut ids = KVVec::with_capacity(jobs.len(), GFP_KERNEL)?;
    let last_writers = {
        let mut list = KVVec::with_capacity(buffers.len(), GFP_KERNEL)?;
        for buffer in 0..buffers.len() {
            let read_last = graph.read_last(buffer);
            list.push((graph.last_writer(buffer), read_last), GFP_KERNEL)?;
        }
        list
    };
    let edges = graph.finish(jobs.len())?;
    let mut specs = KVVec::with_capacity(jobs.len(), GFP_KERNEL)?;
    for (index, job) in jobs.iter().enumerate() {
        let spec = Spec {
            client: id,
            priority: Priority::Normal,
            cores: ANY_CORE,
            affinity: 0,
            waits: edges.waits(index),
            tasks: job.tasks,
        };
        specs.push(spec, GFP_KERNEL)?;
    }
    for wait in &waits {
        specs[wait.target.index].waits += 1;
    }
    ids.reserve(jobs.len(), GFP_KERNEL)?;
    let batch = Arc::new(
        Batch {
            client,
            jobs,
            tasks: parts.tasks,
            buffers: buffers.clone(),
            writes,
            edges,
            done,
            waits,
            progress: LockedBy::new(
                npu.state(),
                Progress {
                    ids,
                    unfinished: count,
                    unsettled: count,
                    error: None,
                    next: None,
                },
            ),
        },
        GFP_KERNEL,
    )?;

    // From here on nothing fails.
    for (buffer, &(writer, read_last)) in last_writers.iter().enumerate() {
        if let Some(writer) = writer {
            let fence = batch.jobs[writer as usize].fence.as_ref();
            reservations.add(buffer, fence.unwrap_or(&batch.done), Usage::Write);
        }
        if read_last {
            reservations.add(buffer, &batch.done, Usage::Read);
        }
    }
    guard.disarm();
    for guard in guards {
        guard.disarm();
    }
    promise.keep(&batch, &specs);
    drop(reservations);
    for wait in &batch.waits {
        wait.arm();
    }
    for wait in &batch.waits {
        wait.settle();
    }
    Ok(())
}

/// Signals a fence that nobody will use.
struct FenceGuard(Option<Fence>);

impl FenceGuard {
    fn disarm(mut self) {
        self.0 = None;
    }
}

impl Drop for FenceGuard {
    fn drop(&mut self) {
        if let Some(fence) = self.0.take() {
            fence.signal(Some(task::cancelled()));
        }
    }
}

/// Room in the scheduler that was set aside.
struct Promise<'a> {
    npu: &'a Npu,
    count: u32,
}

impl Promise<'_> {
    /// Puts the jobs into the scheduler.
    fn keep(mut self, batch: &Arc<Batch>, specs: &[Spec]) {
        let mut state = self.npu.state().lock();
        for (index, spec) in specs.iter().enumerate() {
            let job = JobRef {
                batch: batch.clone(),
                index: index as u32,
            };
            if let Ok(id) = state.sched.submit(*spec, job) {
                // There is room: it was reserved.
                let progress = batch.progress.access_mut(&mut state);
                let _ = progress.ids.push_within_capacity(id);
            }
        }
        let ids = &batch.progress.access(&state).ids;
        for wait in &batch.waits {
            wait.target.set_job(ids[wait.target.index]);
        }
        self.count = 0;
    }
}

impl Drop for Promise<'_> {
    fn drop(&mut self) {
        if self.count > 0 {
            let mut state = self.npu.state().lock();
            state.sched.renege(self.count);
            self.npu.announce(&state);
        }
    }
}
