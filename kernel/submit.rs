// SPDX-License-Identifier: GPL-2.0-only
//! From a request to jobs in the scheduler.
//!
//! A submission is taken whole or not at all: everything that may fail is done before the first
//! fence becomes visible to others.

use crate::abstractions::{
    drm::File,
    fence::{
        Fence,
        OwnFence,
        Signalling,
        Wait, //
    },
    resv::{
        Locker,
        Usage, //
    },
    syncobj::{
        self,
        Signal, //
    },
    task, //
};
use crate::batch::{Batch, JobRef};
use crate::npu::{Ferrite, Npu, MAX_JOBS_PER_CLIENT};
use crate::policy::{
    depend::{
        Graph,
        Outside,
        Pairs, //
    },
    schedule::{
        ClientId,
        Priority,
        Spec, //
    },
    validate::{
        self,
        Quota, //
    }, //
};
use crate::release::Release;
use crate::request::{
    self,
    Array,
    Lists,
    Request, //
};
use crate::uapi::{
    ferrite,
    rocket, //
};
use core::mem::size_of;
use kernel::{
    prelude::*,
    sync::Arc, //
};

/// Memory that a client's submissions use again and again.
#[derive(Default)]
pub(crate) struct Scratch {
    lists: Lists,
    graph: Graph,
    outside: KVVec<(u32, u32, Outside)>,
    specs: KVVec<Spec>,
    pairs: Pairs,
    locker: Locker<Ferrite>,
}

/// What is the same for all jobs of a submission.
#[derive(Default)]
struct Terms {
    explicit: bool,
    priority: i32,
    wait_for: KVec<Fence>,
    signal: KVec<Signal>,
}

/// `DRM_IOCTL_ROCKET_SUBMIT`.
pub(crate) fn submit(npu: &Npu, arg: &mut rocket::Submit, file: &File<Ferrite>) -> Result {
    if arg.reserved != 0 {
        return Err(EINVAL);
    }
    if arg.job_count == 0 {
        return Ok(());
    }
    let jobs = Array {
        pointer: arg.jobs,
        count: arg.job_count,
        stride: arg.job_struct_size,
    };
    take(npu, file, &jobs, false, &mut Terms::default()).map(|_| ())
}

/// `IOCTL_SUBMIT` of the extensions.
pub(crate) fn submit_extended(
    npu: &Npu,
    arg: &mut ferrite::Submit,
    file: &File<Ferrite>,
) -> Result {
    validate::flags(arg.flags, ferrite::SUBMIT_EXPLICIT)?;
    validate::flags(arg.reserved, 0)?;
    if arg.job_count == 0 {
        return Err(validate::Error::Empty.into());
    }
    let mut syncs = Quota::new(validate::MAX_SYNCOBJS);
    syncs.take(arg.in_sync_count)?;
    syncs.take(arg.out_sync_count)?;
    let mut terms = Terms {
        explicit: arg.flags & ferrite::SUBMIT_EXPLICIT != 0,
        priority: arg.priority,
        ..Terms::default()
    };
    let array = |pointer, count| Array {
        pointer,
        count,
        stride: arg.sync_struct_size,
    };
    each_sync(&array(arg.in_syncs, arg.in_sync_count), |handle, point| {
        let fence = syncobj::fence(file, handle, point)?;
        Ok(terms.wait_for.push(fence, GFP_KERNEL_ACCOUNT)?)
    })?;
    each_sync(&array(arg.out_syncs, arg.out_sync_count), |handle, point| {
        let signal = Signal::new(file, handle, point)?;
        Ok(terms.signal.push(signal, GFP_KERNEL_ACCOUNT)?)
    })?;
    let jobs = Array {
        pointer: arg.jobs,
        count: arg.job_count,
        stride: arg.job_struct_size,
    };
    arg.number = take(npu, file, &jobs, true, &mut terms)?;
    Ok(())
}

/// Calls `each` with handle and point of each synchronisation object; point 0 is its only fence.
fn each_sync(array: &Array, mut each: impl FnMut(u32, u64) -> Result) -> Result {
    request::elements(array, size_of::<ferrite::Sync>(), |sync: ferrite::Sync| {
        validate::flags(sync.flags, ferrite::SYNC_TIMELINE)?;
        // A timeline's points begin with 1; an object's only fence has none.
        if (sync.flags & ferrite::SYNC_TIMELINE != 0) != (sync.point != 0) {
            return Err(EINVAL);
        }
        each(sync.handle, sync.point)
    })
}

fn priority(value: i32) -> Result<Priority> {
    match value {
        ferrite::PRIORITY_LOW => Ok(Priority::Low),
        ferrite::PRIORITY_NORMAL => Ok(Priority::Normal),
        ferrite::PRIORITY_HIGH if task::may_prioritise() => Ok(Priority::High),
        ferrite::PRIORITY_HIGH => Err(EACCES),
        _ => Err(EINVAL),
    }
}

fn take(
    npu: &Npu,
    file: &File<Ferrite>,
    jobs: &Array,
    extended: bool,
    terms: &mut Terms,
) -> Result<u64> {
    let priority = priority(terms.priority)?;
    let client = file.data();
    let mut scratch = client.scratch().lock();
    let request = request::read(file, jobs, extended, &mut scratch.lists)?;
    let number = queue(npu, file, request, &mut scratch, priority, terms)?;
    drop(scratch);
    // The hardware works while we clean up.
    crate::dispatch::kick(npu);
    crate::dispatch::reap(npu);
    Ok(number)
}

impl Scratch {
    /// Works out who waits for whom, and what each job writes.
    fn connect(&mut self, request: &mut Request, explicit: bool) -> Result<KVVec<u32>> {
        let mut writes = KVVec::new();
        self.graph
            .reset(request.jobs.len(), request.buffers.len())?;
        self.outside.clear();
        for used in &self.lists.uses {
            let buffer = used.buffer as usize;
            let wait = if used.write {
                let job = &mut request.jobs[used.job as usize];
                if job.writes.is_empty() {
                    job.writes.start = writes.len();
                }
                writes.push(used.buffer, GFP_KERNEL_ACCOUNT)?;
                job.writes.end = writes.len();
                self.graph.write(used.job, buffer)?
            } else {
                self.graph.read(used.job, buffer)?
            };
            let wait = match (explicit, used.write) {
                (false, _) => wait,
                // The jobs before it do not stand between it and others.
                (true, true) => Outside::Everyone,
                (true, false) => Outside::Writers,
            };
            if wait != Outside::Nothing {
                self.outside
                    .push((used.job, used.buffer, wait), GFP_KERNEL_ACCOUNT)?;
            }
        }
        if explicit {
            self.graph.forget_edges();
        }
        for &(earlier, later) in &self.lists.after {
            self.graph.after(earlier, later)?;
        }
        Ok(writes)
    }

    /// What the scheduler must know of each job.
    fn specify(&mut self, request: &Request, client: ClientId, priority: Priority) -> Result {
        self.specs.clear();
        for (index, (job, wish)) in request.jobs.iter().zip(&self.lists.wishes).enumerate() {
            let spec = Spec {
                client,
                priority,
                cores: wish.cores,
                affinity: wish.affinity,
                waits: self.graph.waits(index),
                tasks: job.tasks,
                chained: job.chained,
            };
            self.specs.push(spec, GFP_KERNEL_ACCOUNT)?;
        }
        Ok(())
    }
}

fn queue(
    npu: &Npu,
    file: &File<Ferrite>,
    mut request: Request,
    scratch: &mut Scratch,
    priority: Priority,
    terms: &mut Terms,
) -> Result<u64> {
    let client = file.data().id();
    let count = request.jobs.len() as u32;
    let buffers = request.buffers.len();
    let writes = scratch.connect(&mut request, terms.explicit)?;
    scratch.specify(&request, client, priority)?;
    let edges = scratch.graph.edges()?;

    // Fences: one for the batch, and one for each job that is the last to write a buffer, unless it
    // is the only job.
    // Without implied order between writers, only the batch's end is the end of them all.
    if count > 1 && !terms.explicit {
        for buffer in 0..buffers {
            if let Some(writer) = scratch.graph.last_writer(buffer) {
                let job = &mut request.jobs[writer as usize];
                if job.fence.is_none() {
                    job.fence = Some(OwnFence::new()?);
                }
            }
        }
    }
    let batch = Batch::new(npu, file.shared(), request, writes, edges)?;

    // Wait for room before locking anything of others.
    npu.wait_interruptible(|state| {
        let present = state.sched.present();
        if present == 0 || scratch.specs.iter().any(|spec| spec.cores & present == 0) {
            return Err(ENODEV);
        }
        if !batch.take_share(state)? {
            return Ok(false);
        }
        let promised = state.sched.promise(client, count, MAX_JOBS_PER_CLIENT);
        if !promised {
            batch.give_back(state);
        }
        Ok(promised)
    })?;
    let promise = Promise {
        npu,
        batch: &batch,
        count,
    };

    let used = batch.buffers.iter().map(|used| &used.buffer);
    let Scratch {
        locker,
        pairs,
        outside,
        graph,
        specs,
        ..
    } = scratch;
    let number = locker.with(used, |reservations| {
        pairs.clear();
        let mut waits: KVVec<Wait<Release>> = KVVec::new();
        let mut wait_for = |job: u32, fence: Fence, needed: bool| -> Result {
            let place = pairs.insert(job, fence.id(), waits.len() as u32)?;
            if let Some(known) = waits.get_mut(place as usize) {
                known.target.needed |= needed;
                return Ok(());
            }
            if waits.len() == validate::MAX_WAITS {
                return Err(E2BIG);
            }
            let release = Release::new(npu, job as usize, needed);
            Ok(waits.push(Wait::new(fence, release), GFP_KERNEL_ACCOUNT)?)
        };
        for &(job, buffer, wait) in outside.iter() {
            let (usage, needed) = match wait {
                Outside::Nothing => continue,
                Outside::Writers => (Usage::Write, true),
                // What was written before is overwritten: it need not have succeeded.
                Outside::Everyone => (Usage::Read, false),
            };
            reservations.pending(buffer as usize, usage, |fence| wait_for(job, fence, needed))?;
        }
        for fence in &terms.wait_for {
            // The jobs that wait for none of the submission; the others come after these.
            for job in (0..count).filter(|&job| graph.waits(job as usize) == 0) {
                wait_for(job, fence.clone(), true)?;
            }
        }
        if !waits.is_empty() {
            let bytes = waits.len() * size_of::<Wait<Release>>();
            batch.charge(&mut npu.state().lock(), bytes)?;
        }
        for wait in &waits {
            specs[wait.target.index].waits += 1;
        }
        for buffer in 0..buffers {
            reservations.reserve(buffer, 2)?;
        }

        // From here on nothing fails, and others see the fences.
        let _signalling = Signalling::begin();
        batch.waits.populate(waits);
        for buffer in 0..buffers {
            if let Some(writer) = graph.last_writer(buffer) {
                let fence = batch.jobs[writer as usize].fence.as_ref();
                reservations.add(buffer, fence.unwrap_or(&batch.done), Usage::Write);
            }
            if graph.read_last(buffer) {
                reservations.add(buffer, &batch.done, Usage::Read);
            }
        }
        for signal in terms.signal.drain_all() {
            signal.give(&batch.done);
        }
        Ok(promise.keep(&batch, specs))
    })?;
    let _signalling = Signalling::begin();
    if let Some(waits) = batch.waits.as_ref() {
        for wait in waits {
            wait.arm();
        }
        for wait in waits {
            wait.settle();
        }
    }
    Ok(number)
}

/// Room in the scheduler that was set aside.
struct Promise<'a> {
    npu: &'a Npu,
    batch: &'a Batch,
    count: u32,
}

impl Promise<'_> {
    /// Puts the jobs into the scheduler, and returns the submission's number.
    fn keep(mut self, batch: &Arc<Batch>, specs: &[Spec]) -> u64 {
        let mut state = self.npu.state().lock();
        let (number, before) = batch.client.number_submission(&mut state, batch);
        for (index, spec) in specs.iter().enumerate() {
            let job = JobRef {
                batch: batch.clone(),
                index: index as u32,
            };
            // There is room: it was promised.
            if let Ok(id) = state.sched.submit(*spec, job) {
                batch.jobs[index].set_id(id);
            }
        }
        if let Some(waits) = batch.waits.as_ref() {
            for wait in waits {
                wait.target.set_job(batch.jobs[wait.target.index].id());
            }
        }
        self.count = 0;
        drop(state);
        // It may be the last that had it.
        drop(before);
        number
    }
}

impl Drop for Promise<'_> {
    fn drop(&mut self) {
        if self.count > 0 {
            let mut state = self.npu.state().lock();
            state.sched.renege(self.count);
            self.batch.give_back(&mut state);
            self.npu.announce(&state);
        }
    }
}
