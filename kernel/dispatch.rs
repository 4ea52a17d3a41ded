// SPDX-License-Identifier: GPL-2.0-only
//! From ready jobs to running ones, and from interrupts to signalled fences.
//!
//! A job that can start at once is started wherever that is noticed: in the system call that
//! submitted it, or in the interrupt that ended the one before. Only what may sleep (powering up,
//! changing the address space, recovery) is left to the core's service work.

use crate::abstractions::{
    fence::Signalling,
    interrupt,
    power,
    task,
    work, //
};
use crate::batch::{Failure, JobRef};
use crate::core::Core;
use crate::npu::{Cause, Npu, State};
use crate::policy::schedule::{
    Claim,
    ClientId,
    Finished,
    Overdue,
    Step,
    MAX_CORES, //
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
    /// Whether it was the batch's last, and how the batch ended.
    last: bool,
    batch_error: Option<Error>,
}

impl State {
    /// Books the end of a job that has left the scheduler, and the task that it had reached.
    pub(crate) fn end(
        &mut self,
        finished: Finished<JobRef>,
        error: Option<Error>,
        task: u32,
    ) -> Ended {
        let job = finished.token;
        let batch = &job.batch;
        for buffer in job.outputs() {
            buffer.set_error(error);
        }
        for &later in batch.edges.later(job.index as usize) {
            let id = batch.jobs[later as usize].id();
            self.sched.satisfy(id, error.is_some());
        }
        let progress = batch.progress.access_mut(self);
        progress.unfinished -= 1;
        progress.end.busy_ns += finished.busy_ns;
        if let (None, Some(error)) = (progress.end.failure, error) {
            progress.end.failure = Some(Failure {
                job: job.index,
                task,
                error,
            });
        }
        let mut batch_error = None;
        let last = progress.unfinished == 0;
        if last {
            let end = progress.end;
            batch_error = end.failure.map(|failure| failure.error);
            batch.client.note_end(self, end);
            batch.give_back(self);
        }
        Ended {
            job,
            error,
            last,
            batch_error,
        }
    }
}

impl Ended {
    /// Signals the job's fences. Not with the scheduler's lock held: callbacks may take it.
    pub(crate) fn announce(self, npu: &Npu) {
        let job = self.job;
        if let Some(fence) = &job.job().fence {
            fence.signal(self.error);
        }
        if self.last {
            job.batch.done.signal(self.batch_error);
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
    let _signalling = Signalling::begin();
    loop {
        let mut state = npu.state().lock();
        let Some(finished) = state.sched.next_cancelled() else {
            return;
        };
        let ended = state.end(finished, Some(task::cancelled()), 0);
        drop(state);
        ended.announce(npu);
    }
}

/// Starts what can be started. Process context; may sleep.
pub(crate) fn kick(npu: &Npu) {
    let mut tried = 0;
    let mut state = npu.state().lock();
    loop {
        // Cores that have power first.
        let idle = |powered: bool| {
            let state = &*state;
            (0..MAX_CORES).find(|&index| {
                let lane = &state.lanes[index];
                tried & 1 << index == 0
                    && lane.core.is_some()
                    && lane.powered == powered
                    && state.sched.is_idle(index)
            })
        };
        let Some(index) = idle(true).or_else(|| idle(false)) else {
            break;
        };
        tried |= 1 << index;
        let Some(claim) = state.sched.claim(index) else {
            continue;
        };
        let Some(core) = state.lanes[index].core.clone() else {
            continue;
        };
        if !claim.switch && state.lanes[index].powered {
            core.start(&mut state);
        } else {
            drop(state);
            core.start_claimed(claim);
            state = npu.state().lock();
        }
    }
    let cancelled = state.sched.has_cancelled();
    drop(state);
    if cancelled {
        end_cancelled(npu);
    }
}

/// Has the idle cores look for jobs. Any context, with the lock held.
pub(crate) fn kick_later(state: &mut State) {
    if state.sched.present() == 0 {
        // No core has a service work to end the jobs that will not run.
        if let Some(job) = state.sched.a_cancelled() {
            job.batch.client.tidy_later();
        }
        return;
    }
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
        for wait in job.batch.waits.as_ref().into_iter().flatten() {
            wait.abandon();
        }
        // This may be the last reference.
        drop(job);
        // The rest are released by jobs that end.
        end_cancelled(npu);
        if npu.state().lock().sched.waiting_of(client).is_some() {
            task::sleep_jiffy();
        }
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
        core.clear();
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
    pub(crate) fn start_claimed(self: &Arc<Self>, claim: Claim) {
        let npu = self.npu();
        let index = self.index();
        let prepared = self.prepare(claim);
        let _signalling = Signalling::begin();
        let mut state = npu.state().lock();
        let Err(error) = prepared else {
            self.start(&mut state);
            return;
        };
        let ended = state
            .sched
            .finish(index, task::now_ns())
            .map(|finished| state.end(finished, Some(error), 0));
        // It may have got power.
        self.keep_watch(&mut state);
        drop(state);
        if task::may_log() {
            dev_err!(self.device().as_ref(), "cannot start a job: {error:?}\n");
        }
        if let Some(ended) = ended {
            ended.announce(npu);
        }
        self.go_on(&mut npu.state().lock());
    }

    /// Power and address space for a claimed job. The claim makes this the only one.
    fn prepare(&self, claim: Claim) -> Result {
        let npu = self.npu();
        let index = self.index();
        if !npu.state().lock().lanes[index].powered {
            let _signalling = Signalling::begin();
            power::get(self.device())?;
            npu.state().lock().lanes[index].powered = true;
        }
        // Powering up may have found that the core needs another attachment.
        if claim.switch || self.is_stale() {
            let space = {
                let state = npu.state().lock();
                let job = state.sched.on_core(index).ok_or(EINVAL)?;
                job.batch.client.space().clone()
            };
            self.hand_over(claim.client, space)?;
        }
        Ok(())
    }

    /// Starts a claimed job on the prepared core.
    fn start(self: &Arc<Self>, state: &mut State) {
        let index = self.index();
        let now = task::now_ns();
        if !state.sched.started(index, now) {
            // It cannot be: `prepare` has attached the job's address space, or the core had it.
            state.sched.revoke(index, now);
            state.lanes[index].cause = Some(Cause::Taken);
            self.serve();
            return;
        }
        if let Some((job, task)) = state.sched.running(index) {
            self.hw().start(&job.start(task));
        }
        self.keep_watch(state);
    }

    /// Has the watchdog look after the core, while it has power.
    fn keep_watch(self: &Arc<Self>, state: &mut State) {
        let lane = &mut state.lanes[self.index()];
        if lane.powered && !lane.watched {
            lane.watched = true;
            let period = crate::params::timeout_ms().min(crate::params::autosuspend_ms());
            self.watch_after(period);
        }
    }

    /// When the watchdog looks at an idle core again, in milliseconds; 0 if it may lose power.
    fn patience(&self, idle_since: u64) -> u64 {
        let idle_ms = task::now_ns().saturating_sub(idle_since) / 1_000_000;
        u64::from(crate::params::autosuspend_ms()).saturating_sub(idle_ms)
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
        self.tidy_later();
    }

    /// Has that done which nobody waits for, if there is something.
    pub(crate) fn tidy_later(self: &Arc<Self>) {
        let npu = self.npu();
        let todo = {
            let state = npu.state().lock();
            state.retired.is_some() || state.lanes[self.index()].report.is_some()
        };
        if todo {
            // It is queued already: then it will see what is new.
            let _ = npu.chores().queue().enqueue::<_, 2>(self.clone());
        }
    }

    /// The core's watchdog.
    pub(crate) fn watch(self: &Arc<Self>) {
        let signalling = Signalling::begin();
        let npu = self.npu();
        let index = self.index();
        let patience = crate::params::patience();
        let mut state = npu.state().lock();
        let counter = match state.sched.running(index) {
            Some(_) => self.hw().counter(),
            None => 0,
        };
        let overdue = state
            .sched
            .overdue(index, task::now_ns(), patience, counter);
        match overdue {
            Overdue::Idle if !state.lanes[index].powered || !state.sched.is_idle(index) => {
                // Whoever has the core starts the watchdog again with the next job.
                state.lanes[index].watched = false;
            }
            Overdue::Idle => match self.patience(state.lanes[index].idle_since) {
                0 => {
                    state.lanes[index].watched = false;
                    state.lanes[index].powered = false;
                    drop(state);
                    // A job that is claimed just now powers the core up again.
                    power::put(self.device());
                    self.tidy_later();
                    return;
                }
                ms => self.watch_after(ms as u32),
            },
            Overdue::After(ns) => {
                let ms = ns.div_ceil(1_000_000) as u32;
                self.watch_after(ms.min(crate::params::autosuspend_ms()));
            }
            Overdue::Now(_) | Overdue::Taken(_) => {
                self.watch_after(crate::params::timeout_ms());
                // The task may have ended just now, and its interrupt be on the way.
                if let Some(ended) = self.progress(&mut state) {
                    self.settle(state, ended);
                } else if state.sched.recover(index) {
                    self.hw().mute();
                    drop(state);
                    drop(signalling);
                    self.recover(match overdue {
                        Overdue::Taken(_) => Cause::Taken,
                        _ => Cause::Timeout,
                    });
                    self.launch();
                }
                self.tidy_later();
                return;
            }
        }
        drop(state);
        self.tidy_later();
    }

    /// Looks whether the running task has ended, and goes on from there. `None` if it has not.
    fn progress(self: &Arc<Self>, state: &mut State) -> Option<Progress> {
        let index = self.index();
        let (job, task) = state.sched.running(index)?;
        let done = job.done(task);
        let raised = self.hw().interrupts();
        if raised & DMA_ERRORS != 0 {
            self.hw().mute();
            state.sched.recover(index);
            state.lanes[index].cause = Some(Cause::Dma(raised));
            self.serve();
            return Some(Progress::default());
        }
        if raised & done == 0 {
            return None;
        }
        self.hw().stop();
        let now = task::now_ns();
        let step = state.sched.task_done(index, now, crate::params::patience, |job, task| {
            job.stands_alone(task)
        });
        if let Step::Task(next) = step {
            if let Some((job, _)) = state.sched.running(index) {
                self.hw().start(&job.start(next));
            }
            return Some(Progress::default());
        }
        Some(self.conclude(state, step, now))
    }

    /// The running job has ended, or gives up the core.
    #[inline(never)]
    fn conclude(self: &Arc<Self>, state: &mut State, step: Step, now: u64) -> Progress {
        let index = self.index();
        self.hw().disarm();
        let error = match step {
            Step::Task(_) | Step::Spurious => return Progress::default(),
            Step::Yield => {
                self.go_on(state);
                // Another core may have the job, or somebody this core.
                kick_later(state);
                self.npu().announce(state);
                return Progress::default();
            }
            Step::Done => {
                state.sched.check_counter(index, || self.hw().counter());
                None
            }
            Step::Stop => Some(task::cancelled()),
        };
        let reached = state.sched.task_of(index);
        let ended = state
            .sched
            .finish(index, now)
            .map(|finished| state.end(finished, error, reached));
        self.go_on(state);
        Progress { ended }
    }

    /// Takes care of an interrupt that is the core's own, and that no task has asked for: a command
    /// list may have enabled it. Returns whether it was one.
    fn quiet(&self, state: &mut State) -> bool {
        let index = self.index();
        // Without power its registers must not be touched, and it has no say.
        if !state.lanes[index].powered || self.is_held() || !self.hw().holds_line() {
            return false;
        }
        match state.sched.running(index) {
            Some((job, task)) => self.hw().rearm(&job.start(task)),
            None => self.hw().mute(),
        }
        state.lanes[index].spurious += 1;
        true
    }

    /// The core is free: starts the next job if that needs no sleep. The watchdog takes the power
    /// from a core that stays idle.
    pub(crate) fn go_on(self: &Arc<Self>, state: &mut State) {
        let index = self.index();
        if state.sched.has_cancelled() {
            self.serve();
        }
        match state.sched.claim(index) {
            Some(claim) if claim.switch || !state.lanes[index].powered => {
                state.lanes[index].claim = Some(claim);
                self.serve();
            }
            Some(_) => self.start(state),
            None => state.lanes[index].idle_since = task::now_ns(),
        }
    }

    /// Announces what [`progress`](Self::progress) found, without the lock.
    fn settle(&self, state: crate::npu::StateGuard<'_>, progress: Progress) {
        drop(state);
        if let Some(ended) = progress.ended {
            ended.announce(self.npu());
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
}

impl interrupt::Handler for Core {
    fn handle(this: &Arc<Self>) -> bool {
        let mut state = this.npu().state().lock();
        // The registers may only be touched while a job keeps the core powered; the line is shared
        // with the IOMMU.
        match this.progress(&mut state) {
            None => this.quiet(&mut state),
            Some(progress) => {
                this.settle(state, progress);
                true
            }
        }
    }
}
