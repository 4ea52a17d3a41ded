// SPDX-License-Identifier: GPL-2.0-only
//! Which job runs where, and what becomes of it.
//!
//! The scheduler is a plain state machine: the driver calls it under a spinlock, from system calls,
//! interrupts and its watchdog, and acts on what it answers. None of its methods but
//! [`new`](Scheduler::new) allocates.
//!
//! Between cores and jobs:
//!
//! ```text
//!            claim                  started                    finish
//!   Idle -----------> Claimed(job) ---------> Running(job) ---------------> Idle
//!    |  \                 | finish                 | recover          ^
//!    |   `--> Reserved ---+--> Idle                v                  |
//!    |          release                       Recovering(job) --------'
//!                                                          finish
//! ```
//!
//! Whoever moves a core out of `Idle` has it to itself until it moves it back, and may sleep
//! meanwhile: that is how hardware is waited for without a lock.
//!
//! Clients share each priority level by time used: the one that has used least is served, except
//! that a core stays with the client whose address space it holds until that client is
//! [`SLICE_NS`] ahead.
//!
//! A job gives its core up between two tasks when its client is closed, the core is to go, or it is
//! another's turn ([`task_done`](Scheduler::task_done)). If the next task can stand alone the job
//! goes on later; otherwise it may keep the core for some time, and is then ended.

use super::queue::{List, Slab};
use super::seat::{Core, State};
use super::store::{OutOfMemory, Store};
pub use super::terms::*;

/// How far a client may get ahead of others before its core changes hands, in nanoseconds.
pub const SLICE_NS: u64 = 2_000_000;
/// How many jobs of a queue are looked at for one that suits a core.
const LOOKAHEAD: usize = 16;
/// First guess of a job's duration in nanoseconds.
const FIRST_ESTIMATE_NS: u64 = 100_000;
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Waiting,
    Ready,
    OnCore,
    Cancelled,
}

#[derive(Debug)]
struct Job<T> {
    token: T,
    spec: Spec,
    waits: u32,
    stage: Stage,
    failed: bool,
    /// The task to begin with.
    next: u32,
    /// Time on cores so far.
    busy_ns: u64,
}

/// What else needs a core whose job has more tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Contest {
    /// Nothing.
    None,
    /// Another job.
    Turn,
    /// The core is to go.
    Leaving,
    /// Nothing, but the job's client is being closed.
    Closing,
}

#[derive(Debug)]
struct Client {
    queues: [List; PRIORITIES],
    /// Time used, for fairness: never far behind the others' when the client is active.
    runtime: u64,
    estimate: u64,
    jobs: u32,
    active: bool,
    closing: bool,
    usage: Usage,
}

impl Client {
    fn idle(&self) -> bool {
        self.queues.iter().all(List::is_empty)
    }
}

/// The scheduler of one NPU. `T` stands for the driver's job.
#[derive(Debug)]
pub struct Scheduler<T> {
    jobs: Slab<Job<T>>,
    clients: Slab<Client>,
    /// Clients with a job in a queue.
    active: Store<ClientId>,
    /// Jobs that must not run, to be taken out.
    cancelled: List,
    /// Slots that callers of [`promise`](Scheduler::promise) will use.
    promised: u32,
    cores: [Core; MAX_CORES],
    /// Largest `runtime` of a client at the moment it was served.
    floor: u64,
}

impl<T> Scheduler<T> {
    /// A scheduler without cores, for at most `jobs` jobs and `clients` clients at a time.
    pub fn new(jobs: u32, clients: u32) -> Result<Self, OutOfMemory> {
        Ok(Scheduler {
            jobs: Slab::new(jobs)?,
            clients: Slab::new(clients)?,
            active: Store::with_capacity(clients as usize)?,
            cancelled: List::new(),
            promised: 0,
            cores: [Core::absent(); MAX_CORES],
            floor: 0,
        })
    }

    /// Adds a client; `None` when there are too many.
    pub fn add_client(&mut self) -> Option<ClientId> {
        let client = Client {
            queues: [List::new(); PRIORITIES],
            runtime: self.floor,
            estimate: FIRST_ESTIMATE_NS,
            jobs: 0,
            active: false,
            closing: false,
            usage: Usage::default(),
        };
        self.clients.insert(client).ok().map(ClientId)
    }

    /// Removes a client that has no jobs left; false if it has. Forgets its address space.
    pub fn remove_client(&mut self, id: ClientId) -> bool {
        if self.clients.get(id.0).is_none_or(|client| client.jobs != 0) {
            return false;
        }
        self.clients.remove(id.0);
        for core in &mut self.cores {
            if core.attached == Some(id) {
                core.attached = None;
            }
        }
        true
    }

    /// Number of the client's jobs that have not ended.
    pub fn jobs_of(&self, id: ClientId) -> u32 {
        self.clients.get(id.0).map_or(0, |client| client.jobs)
    }

    /// What a client has used until `now`, running jobs included.
    pub fn usage_of(&self, id: ClientId, now: u64) -> Usage {
        let mut usage = self
            .clients
            .get(id.0)
            .map_or(Usage::default(), |client| client.usage);
        for core in &self.cores {
            let State::Running(job) = core.state else {
                continue;
            };
            if self
                .jobs
                .get(job.0)
                .is_some_and(|job| job.spec.client == id)
            {
                usage.busy_ns += now.saturating_sub(core.job_started);
            }
        }
        usage
    }

    /// Sets slots aside for `jobs` jobs of a client that may have `limit` at most; false if there
    /// are too few now. [`submit`](Self::submit) uses one of them up.
    pub fn promise(&mut self, id: ClientId, jobs: u32, limit: u32) -> bool {
        let free = self.jobs.available() - self.promised;
        let held = self.jobs_of(id);
        // A client without jobs gets what it asks for, lest it wait forever.
        if jobs > free || held > 0 && held + jobs > limit {
            return false;
        }
        self.promised += jobs;
        true
    }

    /// Gives up slots that were set aside.
    pub fn renege(&mut self, jobs: u32) {
        self.promised = self.promised.saturating_sub(jobs);
    }

    /// Number of jobs that have not ended.
    pub fn jobs(&self) -> u32 {
        self.jobs.used()
    }

    /// All jobs: what they are, and whether they are on a core, ready, or waiting.
    pub fn each_job(&self) -> impl Iterator<Item = (&T, &Spec, &'static str)> {
        self.jobs.iter().map(|(_, job)| {
            let stage = match job.stage {
                Stage::Waiting => "waiting",
                Stage::Ready => "ready",
                Stage::OnCore => "running",
                Stage::Cancelled => "cancelled",
            };
            (&job.token, &job.spec, stage)
        })
    }

    /// Takes a job in, for which a slot was promised. Gives the token back when there is no room,
    /// or no such client.
    pub fn submit(&mut self, spec: Spec, token: T) -> Result<JobId, T> {
        let Some(client) = self.clients.get_mut(spec.client.0) else {
            return Err(token);
        };
        let job = Job {
            token,
            spec,
            waits: spec.waits,
            stage: Stage::Waiting,
            failed: false,
            next: 0,
            busy_ns: 0,
        };
        let id = JobId(self.jobs.insert(job).map_err(|job| job.token)?);
        client.jobs += 1;
        self.promised = self.promised.saturating_sub(1);
        if spec.waits == 0 {
            self.settle(id);
        }
        Ok(id)
    }

    /// Decides on a job that waits for nothing any more.
    fn settle(&mut self, id: JobId) -> Release {
        let present = self.present();
        let Some(job) = self.jobs.get_mut(id.0) else {
            return Release::Waiting;
        };
        let spec_cores = job.spec.cores;
        let closing = self
            .clients
            .get(job.spec.client.0)
            .is_none_or(|client| client.closing);
        let nowhere = spec_cores & present == 0;
        if job.failed || closing || nowhere {
            job.stage = Stage::Cancelled;
            self.jobs.push(&mut self.cancelled, id.0);
            return Release::Cancelled;
        }
        self.enqueue(id);
        Release::Ready
    }

    /// Puts a job into its client's queue: at the end, or if it has begun at the head.
    fn enqueue(&mut self, id: JobId) {
        let Some(job) = self.jobs.get_mut(id.0) else {
            return;
        };
        job.stage = Stage::Ready;
        let (spec, begun) = (job.spec, job.next > 0);
        let Some(client) = self.clients.get_mut(spec.client.0) else {
            return;
        };
        let queue = &mut client.queues[spec.priority as usize];
        if begun {
            self.jobs.push_front(queue, id.0);
        } else {
            self.jobs.push(queue, id.0);
        }
        if !client.active {
            client.active = true;
            // Whoever was idle has no claim to the time it did not use.
            client.runtime = client.runtime.max(self.floor);
            // There is room for every client.
            let _ = self.active.push_within(spec.client);
        }
    }

    /// One thing that the job waited for has come; `failed` says that it failed.
    pub fn satisfy(&mut self, id: JobId, failed: bool) -> Release {
        let Some(job) = self.jobs.get_mut(id.0) else {
            return Release::Waiting;
        };
        job.failed |= failed;
        job.waits = job.waits.saturating_sub(1);
        if job.waits > 0 || job.stage != Stage::Waiting {
            return Release::Waiting;
        }
        self.settle(id)
    }

    /// A core is ready for jobs.
    pub fn add_core(&mut self, core: usize) {
        self.cores[core] = Core {
            state: State::Idle,
            accepting: true,
            ..Core::absent()
        };
    }

    /// A core is no longer there. It must be reserved or idle.
    pub fn remove_core(&mut self, core: usize) {
        self.cores[core].state = State::Absent;
        self.cores[core].accepting = false;
        self.cores[core].attached = None;
    }

    /// Bit mask of the cores that are there.
    pub fn present(&self) -> u32 {
        (0..MAX_CORES)
            .filter(|&core| self.cores[core].state != State::Absent)
            .fold(0, |mask, core| mask | 1 << core)
    }

    /// Whether the core takes new jobs. While it does not, what it runs still ends.
    pub fn accept(&mut self, core: usize, accepting: bool) {
        self.cores[core].accepting = accepting && self.cores[core].state != State::Absent;
    }

    /// Whether nobody has the core.
    pub fn is_idle(&self, core: usize) -> bool {
        matches!(self.cores[core].state, State::Idle | State::Absent)
    }

    /// What a core has done until `now`.
    pub fn usage_of_core(&self, core: usize, now: u64) -> Usage {
        let this = &self.cores[core];
        let mut usage = this.usage;
        if let State::Running(_) = this.state {
            usage.busy_ns += now.saturating_sub(this.job_started);
        }
        usage
    }

    /// The client whose address space the core's IOMMU holds.
    pub fn attached(&self, core: usize) -> Option<ClientId> {
        self.cores[core].attached
    }

    /// Notes whose address space the core's IOMMU holds. Only for who has the core.
    pub fn set_attached(&mut self, core: usize, client: Option<ClientId>) {
        self.cores[core].attached = client;
    }

    /// Takes an idle core without a job, for work on its hardware.
    pub fn reserve(&mut self, core: usize) -> bool {
        let free = self.cores[core].state == State::Idle;
        if free {
            self.cores[core].state = State::Reserved;
        }
        free
    }

    /// Gives a reserved core back.
    pub fn release(&mut self, core: usize) {
        if self.cores[core].state == State::Reserved {
            self.cores[core].state = State::Idle;
        }
    }

    /// The best ready job for a core, with its client's time used. Of the client of a job that the
    /// core has, only more urgent ones count.
    fn choose(
        &self,
        core: usize,
        running: Option<Spec>,
    ) -> Option<(Priority, u64, ClientId, JobId)> {
        let this = &self.cores[core];
        let mut best: Option<(Priority, u64, ClientId, JobId)> = None;
        for &id in self.active.iter() {
            let Some(client) = self.clients.get(id.0) else {
                continue;
            };
            let floor = running.filter(|spec| spec.client == id);
            let bonus = if this.attached == Some(id) {
                SLICE_NS
            } else {
                0
            };
            let runtime = client.runtime.saturating_sub(bonus);
            for priority in [Priority::High, Priority::Normal, Priority::Low] {
                if best.is_some_and(|(p, r, ..)| p > priority || p == priority && r <= runtime)
                    || floor.is_some_and(|spec| spec.priority >= priority)
                {
                    break;
                }
                let mut first = None;
                for (job, value) in self
                    .jobs
                    .walk(&client.queues[priority as usize])
                    .take(LOOKAHEAD)
                {
                    if value.spec.cores & 1 << core == 0 {
                        continue;
                    }
                    let suits = value.spec.affinity == 0 || value.spec.affinity == this.affinity;
                    if first.is_none() || suits {
                        first = Some(JobId(job));
                    }
                    if suits {
                        break;
                    }
                }
                if let Some(job) = first {
                    best = Some((priority, runtime, id, job));
                    break;
                }
            }
        }
        best
    }

    /// Chooses a job for an idle core and takes both.
    pub fn claim(&mut self, core: usize) -> Option<Claim> {
        if self.cores[core].state != State::Idle || !self.cores[core].accepting {
            return None;
        }
        let (priority, _, client, job) = self.choose(core, None)?;
        self.take_from_queue(client, priority, job);
        if let Some(job) = self.jobs.get_mut(job.0) {
            job.stage = Stage::OnCore;
        }
        let state = self.clients.get_mut(client.0)?;
        self.floor = self.floor.max(state.runtime);
        // Charge ahead what the job will probably take, so that others get the other cores.
        let estimate = state.estimate;
        state.runtime += estimate;
        let this = &mut self.cores[core];
        this.state = State::Claimed(job);
        this.charged = estimate;
        Some(Claim {
            job,
            client,
            switch: this.attached != Some(client),
        })
    }

    fn take_from_queue(&mut self, client: ClientId, priority: Priority, job: JobId) {
        let Some(state) = self.clients.get_mut(client.0) else {
            return;
        };
        self.jobs
            .unlink(&mut state.queues[priority as usize], job.0);
        if state.idle() {
            state.active = false;
            if let Some(at) = self.active.iter().position(|&other| other == client) {
                self.active.remove(at);
            }
        }
    }

    /// The driver's job on a core, whatever state it is in.
    pub fn on_core(&self, core: usize) -> Option<&T> {
        match self.cores[core].state {
            State::Claimed(job) | State::Running(job) | State::Recovering(job) => {
                self.jobs.get(job.0).map(|job| &job.token)
            }
            State::Absent | State::Idle | State::Reserved => None,
        }
    }

    /// The driver's job that a core runs, and the index of its current task.
    pub fn running(&self, core: usize) -> Option<(&T, u32)> {
        match self.cores[core].state {
            State::Running(job) => Some((&self.jobs.get(job.0)?.token, self.cores[core].task)),
            _ => None,
        }
    }

    /// Index of the task that a core's job is at.
    pub fn task_of(&self, core: usize) -> u32 {
        self.cores[core].task
    }

    /// The claimed job is started at `now`. False if the core does not hold the job's address
    /// space: then it must not be.
    #[must_use]
    pub fn started(&mut self, core: usize, now: u64) -> bool {
        let this = &mut self.cores[core];
        let State::Claimed(id) = this.state else {
            return false;
        };
        let Some(job) = self.jobs.get(id.0) else {
            return false;
        };
        if this.attached != Some(job.spec.client) {
            return false;
        }
        this.state = State::Running(id);
        this.task = job.next;
        this.job_started = now;
        this.task_started = now;
        this.contested = None;
        this.counter = None;
        this.affinity = job.spec.affinity;
        true
    }

    /// What else needs the core of a job.
    #[inline]
    fn contest(&self, core: usize, spec: &Spec, now: u64) -> Contest {
        let this = &self.cores[core];
        match self.clients.get(spec.client.0) {
            Some(client) if !client.closing => {}
            _ => return Contest::Closing,
        }
        if !this.accepting {
            return Contest::Leaving;
        }
        let ran = now.saturating_sub(this.job_started);
        if ran < SLICE_NS || self.active.is_empty() {
            return Contest::None;
        }
        self.turn(core, spec, ran)
    }

    /// Whether it is another job's turn on the core of a job that `ran` for some time.
    #[inline(never)]
    fn turn(&self, core: usize, spec: &Spec, ran: u64) -> Contest {
        let this = &self.cores[core];
        let Some(client) = self.clients.get(spec.client.0) else {
            return Contest::Closing;
        };
        let used = (client.runtime + ran).saturating_sub(this.charged);
        match self.choose(core, Some(*spec)) {
            Some((priority, runtime, ..))
                if priority > spec.priority
                    || priority == spec.priority && runtime + SLICE_NS < used =>
            {
                Contest::Turn
            }
            _ => Contest::None,
        }
    }

    /// The core's current task, or its chain of tasks, ended at `now`. `alone` says whether a task
    /// needs nothing that the tasks before it left in the core.
    pub fn task_done(
        &mut self,
        core: usize,
        now: u64,
        patience: impl FnOnce() -> Patience,
        alone: impl FnOnce(&T, u32) -> bool,
    ) -> Step {
        let State::Running(id) = self.cores[core].state else {
            return Step::Spurious;
        };
        let Some(job) = self.jobs.get(id.0) else {
            return Step::Spurious;
        };
        let next = self.cores[core].task + 1;
        if job.spec.chained || next >= job.spec.tasks {
            return Step::Done;
        }
        let contest = self.contest(core, &job.spec, now);
        let this = &mut self.cores[core];
        if contest == Contest::None {
            this.contested = None;
        } else if contest == Contest::Closing {
            return Step::Stop;
        } else {
            let since = *this.contested.get_or_insert(now);
            if alone(&job.token, next) {
                self.book(core, id, now);
                if let Some(job) = self.jobs.get_mut(id.0) {
                    job.next = next;
                }
                self.cores[core].state = State::Idle;
                self.enqueue(id);
                return Step::Yield;
            }
            let limit = match contest {
                Contest::Leaving => patience().to_leave(),
                _ => patience().to_share(),
            };
            if now.saturating_sub(since) >= limit {
                return Step::Stop;
            }
        }
        this.task = next;
        this.task_started = now;
        Step::Task(next)
    }

    /// Books the time that a job had a core.
    fn book(&mut self, core: usize, id: JobId, now: u64) {
        let this = &mut self.cores[core];
        let busy_ns = match this.state {
            State::Running(_) | State::Recovering(_) => now.saturating_sub(this.job_started),
            _ => 0,
        };
        this.usage.busy_ns += busy_ns;
        let charged = core::mem::take(&mut this.charged);
        let Some(job) = self.jobs.get_mut(id.0) else {
            return;
        };
        job.busy_ns += busy_ns;
        if let Some(client) = self.clients.get_mut(job.spec.client.0) {
            client.runtime = (client.runtime + busy_ns).saturating_sub(charged);
            client.usage.busy_ns += busy_ns;
        }
    }

    /// The core's job has ended, well or not: frees both.
    pub fn finish(&mut self, core: usize, now: u64) -> Option<Finished<T>> {
        let (id, ran) = match self.cores[core].state {
            State::Claimed(job) => (job, false),
            State::Running(job) | State::Recovering(job) => (job, true),
            State::Absent | State::Idle | State::Reserved => return None,
        };
        self.book(core, id, now);
        let this = &mut self.cores[core];
        this.state = State::Idle;
        this.usage.jobs += u64::from(ran);
        let job = self.jobs.remove(id.0)?;
        if let Some(client) = self.clients.get_mut(job.spec.client.0) {
            client.jobs -= 1;
            client.estimate = (client.estimate * 7 + job.busy_ns) / 8;
            client.usage.jobs += 1;
        }
        Some(Finished {
            token: job.token,
            busy_ns: job.busy_ns,
        })
    }

    /// Whether there are jobs for [`next_cancelled`](Self::next_cancelled).
    pub fn has_cancelled(&self) -> bool {
        !self.cancelled.is_empty()
    }

    /// A job that must not run.
    pub fn a_cancelled(&self) -> Option<&T> {
        let (_, job) = self.jobs.walk(&self.cancelled).next()?;
        Some(&job.token)
    }

    /// Takes out a job that must not run.
    pub fn next_cancelled(&mut self) -> Option<Finished<T>> {
        let (id, _) = self.jobs.walk(&self.cancelled).next()?;
        self.jobs.unlink(&mut self.cancelled, id);
        let job = self.jobs.remove(id)?;
        if let Some(client) = self.clients.get_mut(job.spec.client.0) {
            client.jobs -= 1;
            client.usage.jobs += 1;
        }
        Some(Finished {
            token: job.token,
            busy_ns: 0,
        })
    }

    /// From now on the client's jobs that are not on a core are cancelled.
    pub fn close_client(&mut self, id: ClientId) {
        if let Some(client) = self.clients.get_mut(id.0) {
            client.closing = true;
        }
        self.cancel_ready(|spec| spec.client == id);
    }

    /// Cancels the ready jobs that no present core may run.
    pub fn cancel_stranded(&mut self) {
        let present = self.present();
        self.cancel_ready(|spec| spec.cores & present == 0);
    }

    fn cancel_ready(&mut self, unwanted: impl Fn(&Spec) -> bool) {
        let mut at = 0;
        while let Some(&id) = self.active.get(at) {
            let Some(client) = self.clients.get_mut(id.0) else {
                at += 1;
                continue;
            };
            for queue in &mut client.queues {
                self.jobs.sift(queue, &mut self.cancelled, |job| {
                    let cancel = unwanted(&job.spec);
                    if cancel {
                        job.stage = Stage::Cancelled;
                    }
                    cancel
                });
            }
            if client.idle() {
                client.active = false;
                self.active.remove(at);
            } else {
                at += 1;
            }
        }
    }

    /// A waiting job of the client, if there is one.
    pub fn waiting_of(&self, id: ClientId) -> Option<&T> {
        self.jobs
            .iter()
            .find(|(_, job)| job.stage == Stage::Waiting && job.spec.client == id)
            .map(|(_, job)| &job.token)
    }

    /// The core's job has done what it was asked to: if it was a chain, and the task counter, which
    /// is read only until that is known, says so too, the counter can be believed.
    pub fn check_counter(&mut self, core: usize, counter: impl FnOnce() -> u32) {
        let this = &mut self.cores[core];
        let State::Running(id) = this.state else {
            return;
        };
        match self.jobs.get(id.0) {
            Some(job) if job.spec.chained && !this.counts => {
                this.counts = counter() == job.spec.tasks;
            }
            _ => {}
        }
    }

    /// How the core's current task stands against its budget, or its chain of tasks against theirs.
    /// `counter` is what the hardware's task counter says: where it was seen to count, each task of
    /// a chain has a budget of its own; elsewhere, there is one for the chain.
    pub fn overdue(&mut self, core: usize, now: u64, patience: Patience, counter: u32) -> Overdue {
        let State::Running(id) = self.cores[core].state else {
            return Overdue::Idle;
        };
        let Some(job) = self.jobs.get(id.0) else {
            return Overdue::Idle;
        };
        let chained = job.spec.chained;
        let contest = match chained {
            true => self.contest(core, &job.spec, now),
            false => Contest::None,
        };
        let this = &mut self.cores[core];
        let mut limit = patience.task_ns;
        if chained {
            let moved = match this.counter.replace(counter) {
                Some(before) => before != counter,
                None => this.counts && counter != 0,
            };
            if moved {
                this.counts = true;
                this.task_started = now;
            }
            if !this.counts {
                limit = patience.chain_ns.max(patience.task_ns);
            }
        }
        let used = now.saturating_sub(this.task_started);
        if used >= limit {
            return Overdue::Now(id);
        }
        let mut left = limit - used;
        // A chain has no place to stop: it is let go on for as long as a task.
        if matches!(contest, Contest::Closing | Contest::Leaving) {
            let waited = now.saturating_sub(*this.contested.get_or_insert(now));
            if waited >= patience.to_leave() {
                return Overdue::Taken(id);
            }
            left = left.min(patience.to_leave() - waited);
        }
        Overdue::After(left)
    }

    /// Takes a core from a job that was claimed and cannot be started at `now`.
    pub fn revoke(&mut self, core: usize, now: u64) {
        let this = &mut self.cores[core];
        if let State::Claimed(job) = this.state {
            this.job_started = now;
            this.state = State::Recovering(job);
        }
    }

    /// Takes a core whose job has gone wrong away from it. From now on its interrupts are
    /// spurious. False if nothing was running.
    pub fn recover(&mut self, core: usize) -> bool {
        let this = &mut self.cores[core];
        let State::Running(job) = this.state else {
            return false;
        };
        this.state = State::Recovering(job);
        this.affinity = 0;
        true
    }
}
