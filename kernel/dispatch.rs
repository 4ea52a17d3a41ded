// SPDX-License-Identifier: GPL-2.0-only
//! From ready jobs to running ones, and from interrupts to signalled fences.
//!
//! A job that can start at once is started wherever that is noticed: in the system call that
//! submitted it, or in the interrupt that ended the one before. Only what may sleep (powering up,
//! changing the address space, recovery) is left to the core's service work.

use crate::abstractions::{
    interrupt,
    power,
    task,
    work, //
};
use crate::batch::JobRef;
use crate::core::Core;
use crate::npu::{Cause, Npu, State};
use crate::policy::schedule::{
    Claim,
    ClientId,
    Finished,
    Overdue,
    Step, //
};
use crate::policy::validate::DMA_ERRORS;
use kernel::{
    prelude::*,
    sync::Arc,
    time::msecs_to_jiffies, //
};

/// A job that has ended, to be announced without the lock.
#[must_use]
pub(crate) struct Ended {
    job: JobRef,
    error: Option<Error>,
    /// Whether it was the batch's last.
    last: bool,
}

impl State {
    /// Books the end of a job that has left the scheduler.
    pub(crate) fn end(&mut self, finished: Finished<JobRef>, error: Option<Error>) -> Ended {
        let job = finished.token;
        let batch = &job.batch;
        for &buffer in &batch.writes[job.job().writes.clone()] {
            batch.buffers[buffer as usize].buffer.set_error(error);
        }
        for &later in batch.edges.later(job.index as usize) {
            let id = batch.progress.access(self).ids[later as usize];
            self.sched.satisfy(id, error.is_some());
        }
        let progress = batch.progress.access_mut(self);
        progress.unfinished -= 1;
        progress.error = progress.error.or(error);
        let last = progress.unfinished == 0;
        Ended { job, error, last }
    }
}

impl Ended {
    /// Signals the job's fences. Not with the scheduler's lock held: callbacks may take it.
    pub(crate) fn announce(self, npu: &Npu) {
        let Ended { job, error, last } = self;
        if let Some(fence) = &job.job().fence {
            fence.signal(error);
        }
        if last {
            let error = job.batch.progress.access(&npu.state().lock()).error;
            job.batch.done.signal(error);
        }
        let mut state = npu.state().lock();
        let progress = job.batch.progress.access_mut(&mut state);
        progress.unsettled -= 1;
        if progress.unsettled == 0 {
            // Nobody else has the batch: it is dropped where that may sleep.
            let next = state.retired.take();
            job.batch.progress.access_mut(&mut state).next = next;
            state.retired = Some(job.batch);
        } else {
            // Not the last reference, as long as the lock is held.
            drop(job);
        }
        npu.announce(&state);
    }
}

/// Drops the batches that have ended. Process context.
pub(crate) fn reap(npu: &Npu) {
    let mut list = npu.state().lock().retired.take();
    while let Some(batch) = list {
        list = batch.progress.access_mut(&mut npu.state().lock()).next.take();
        drop(batch);
    }
}

/// Ends the jobs that must not run. Process context.
pub(crate) fn end_cancelled(npu: &Npu) {
    loop {
        let mut state = npu.state().lock();
        let Some(finished) = state.sched.next_cancelled() else {
            return;
        };
        let ended = state.end(finished, Some(task::cancelled()));
        drop(state);
        ended.announce(npu);
    }
}

/// Starts what can be started. Process context; may sleep.
pub(crate) fn kick(npu: &Npu) {
    // Cores that have the right address space and power first.
    let order = {
        let state = npu.state().lock();
        let mut cores = core::array::from_fn::<_, { crate::policy::schedule::MAX_CORES }, _>(|i| {
            let lane = &state.lanes[i];
            lane.core
                .clone()
                .filter(|_| state.sched.is_idle(i))
                .map(|core| (!lane.powered, state.sched.attached(i).is_none(), core))
        });
        cores.sort_unstable_by_key(|entry| {
            entry
                .as_ref()
                .map_or((true, true), |(cold, detached, _)| (*cold, *detached))
        });
        cores
    };
    for (_, _, core) in order.into_iter().flatten() {
        core.launch();
    }
    if npu.state().lock().sched.has_cancelled() {
        end_cancelled(npu);
    }
}

/// Has the idle cores look for jobs. Any context, with the lock held.
pub(crate) fn kick_later(state: &mut State) {
    for index in 0..state.lanes.len() {
        if state.sched.is_idle(index) || state.sched.has_cancelled() {
            if let Some(core) = state.lanes[index].core.clone() {
                core.serve();
            }
        }
    }
}

/// Cancels all of a client's jobs that are not on a core. Process context.
pub(crate) fn cancel_client(npu: &Npu, client: ClientId) {
    npu.state().lock().sched.close_client(client);
    loop {
        end_cancelled(npu);
        let waiting = npu.state().lock().sched.waiting_of(client).cloned();
        let Some(job) = waiting else { break };
        for wait in &job.batch.waits {
            wait.abandon();
        }
        // This may be the last reference.
        drop(job);
        // The rest are released by jobs that end.
        end_cancelled(npu);
        npu.wait_for(Some(1), |state| state.sched.waiting_of(client).is_none());
    }
    end_cancelled(npu);
}

/// Detaches idle cores from a client's address space.
pub(crate) fn detach_client(npu: &Npu, client: ClientId) {
    for core in npu.cores().into_iter().flatten() {
        let index = core.index();
        {
            let mut state = npu.state().lock();
            if state.sched.attached(index) != Some(client) || !state.sched.reserve(index) {
                continue;
            }
        }
        core.detach();
        core.give_back();
    }
}

impl Core {
    /// Starts the best ready job, if the core is idle. Process context; may sleep.
    pub(crate) fn launch(self: &Arc<Self>) {
        let claim = self.npu().state().lock().sched.claim(self.index());
        if let Some(claim) = claim {
            self.start_claimed(claim);
        }
    }

    /// Starts a claimed job, or ends it with an error. Process context; may sleep.
    fn start_claimed(self: &Arc<Self>, claim: Claim) {
        let npu = self.npu();
        let index = self.index();
        let prepared = self.prepare(claim);
        let mut state = npu.state().lock();
        if let Err(error) = prepared {
            let ended = state
                .sched
                .finish(index, task::now_ns())
                .map(|finished| state.end(finished, Some(error)));
            drop(state);
            dev_err!(self.device().as_ref(), "cannot start a job: {error:?}\n");
            if let Some(ended) = ended {
                ended.announce(npu);
            }
            self.rest();
            return;
        }
        self.start(&mut state);
    }

    /// Power and address space for a claimed job. The claim makes this the only one.
    fn prepare(&self, claim: Claim) -> Result {
        let npu = self.npu();
        let index = self.index();
        let (powered, space) = {
            let state = npu.state().lock();
            let job = state.sched.on_core(index).ok_or(EINVAL)?;
            let space = claim
                .switch
                .then(|| job.batch.client.space().clone());
            (state.lanes[index].powered, space)
        };
        if !powered {
            power::get(self.device())?;
            npu.state().lock().lanes[index].powered = true;
        }
        // Powering up may have found that the core needs another attachment.
        let stale = self.take_stale();
        if let Some(space) = space.or_else(|| stale.then(|| self.claimed_space()).flatten()) {
            npu.state().lock().sched.set_attached(index, None);
            self.attach(space)?;
            npu.state()
                .lock()
                .sched
                .set_attached(index, Some(claim.client));
        }
        Ok(())
    }

    /// The address space of the claimed job.
    fn claimed_space(&self) -> Option<Arc<crate::space::AddressSpace>> {
        let state = self.npu().state().lock();
        let job = state.sched.on_core(self.index())?;
        Some(job.batch.client.space().clone())
    }

    /// Starts a claimed job on the prepared core.
    fn start(self: &Arc<Self>, state: &mut State) {
        let index = self.index();
        state.sched.started(index, task::now_ns());
        if let Some((job, task)) = state.sched.running(index) {
            self.hw().start(&job.commands(task));
        }
        let lane = &mut state.lanes[index];
        if !lane.watched {
            lane.watched = true;
            self.watch_after(crate::params::timeout_ms());
        }
    }

    /// Has the service work run. Any context.
    pub(crate) fn serve(self: &Arc<Self>) {
        // It is queued already: then it will see what is new.
        let _ = self.npu().queue().queue().enqueue::<_, 0>(self.clone());
    }

    fn watch_after(self: &Arc<Self>, ms: u32) {
        let _ = self
            .npu()
            .queue()
            .queue()
            .enqueue_delayed::<_, 1>(self.clone(), msecs_to_jiffies(ms).max(1));
    }

    /// The core's service work.
    pub(crate) fn service(self: &Arc<Self>) {
        let npu = self.npu();
        let index = self.index();
        let (claim, cause) = {
            let mut state = npu.state().lock();
            let lane = &mut state.lanes[index];
            (lane.claim.take(), lane.cause.take())
        };
        if let Some(cause) = cause {
            self.recover(cause);
        }
        if let Some(claim) = claim {
            self.start_claimed(claim);
        }
        end_cancelled(npu);
        self.launch();
        reap(npu);
    }

    /// The core's watchdog.
    pub(crate) fn watch(self: &Arc<Self>) {
        let npu = self.npu();
        let index = self.index();
        let budget_ms = crate::params::timeout_ms();
        let mut state = npu.state().lock();
        match state
            .sched
            .overdue(index, task::now_ns(), u64::from(budget_ms) * 1_000_000)
        {
            Overdue::Idle => state.lanes[index].watched = false,
            Overdue::After(ns) => self.watch_after(ns.div_ceil(1_000_000) as u32),
            Overdue::Now(_) => {
                self.watch_after(budget_ms);
                // The task may have ended just now, and its interrupt be on the way.
                if let Some(ended) = self.progress(&mut state) {
                    self.settle(state, ended);
                } else if state.sched.recover(index) {
                    self.hw().mute();
                    drop(state);
                    self.recover(Cause::Timeout);
                    self.launch();
                }
                reap(npu);
                return;
            }
        }
        drop(state);
        reap(npu);
    }

    /// Looks whether the running task has ended, and goes on from there. `None` if it has not.
    fn progress(self: &Arc<Self>, state: &mut State) -> Option<Progress> {
        let index = self.index();
        let (job, task) = state.sched.running(index)?;
        let commands = job.commands(task);
        let raised = self.hw().interrupts();
        if raised & DMA_ERRORS != 0 {
            self.hw().mute();
            state.sched.recover(index);
            state.lanes[index].cause = Some(Cause::Dma(raised));
            self.serve();
            return Some(Progress::default());
        }
        if raised & commands.done == 0 {
            return None;
        }
        self.hw().acknowledge();
        let now = task::now_ns();
        match state.sched.task_done(index, now) {
            Step::Spurious => Some(Progress::default()),
            Step::Task(next) => {
                if let Some((job, _)) = state.sched.running(index) {
                    self.hw().start(&job.commands(next));
                }
                Some(Progress::default())
            }
            Step::Done => {
                let ended = state
                    .sched
                    .finish(index, now)
                    .map(|finished| state.end(finished, None));
                let power_off = self.go_on(state);
                Some(Progress { ended, power_off })
            }
        }
    }

    /// The core is free: starts the next job if that needs no sleep. Returns whether the core may
    /// lose power.
    fn go_on(self: &Arc<Self>, state: &mut State) -> bool {
        let index = self.index();
        if state.sched.has_cancelled() {
            self.serve();
        }
        match state.sched.claim(index) {
            Some(claim) if claim.switch || !state.lanes[index].powered => {
                state.lanes[index].claim = Some(claim);
                self.serve();
                false
            }
            Some(_) => {
                self.start(state);
                false
            }
            None => core::mem::take(&mut state.lanes[index].powered),
        }
    }

    /// Announces what [`progress`](Self::progress) found, without the lock.
    fn settle(&self, state: crate::npu::StateGuard<'_>, progress: Progress) {
        drop(state);
        if progress.power_off {
            power::put(self.device());
        }
        if let Some(ended) = progress.ended {
            ended.announce(self.npu());
        }
    }

    /// Lets go of the power when nothing was started after a recovery.
    pub(crate) fn rest(self: &Arc<Self>) {
        let off = self.go_on(&mut self.npu().state().lock());
        if off {
            power::put(self.device());
        }
    }

    /// Stops the watchdog and waits for it.
    pub(crate) fn stop_watching(self: &Arc<Self>) {
        work::cancel_delayed::<_, 1>(self);
        self.npu().state().lock().lanes[self.index()].watched = false;
    }
}

/// What [`Core::progress`] leaves to do without the lock.
#[derive(Default)]
struct Progress {
    ended: Option<Ended>,
    power_off: bool,
}

impl interrupt::Handler for Core {
    fn handle(this: &Arc<Self>) -> bool {
        let mut state = this.npu().state().lock();
        // The registers may only be touched while a job keeps the core powered; the line is shared
        // with the IOMMU.
        match this.progress(&mut state) {
            None => false,
            Some(progress) => {
                this.settle(state, progress);
                true
            }
        }
    }
}
