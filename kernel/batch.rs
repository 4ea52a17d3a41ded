// SPDX-License-Identifier: GPL-2.0-only
//! The jobs of one submission.

use crate::abstractions::{
    fence::{
        OwnFence,
        Wait, //
    },
    gem::GemRef, //
};
use crate::client::Client;
use crate::npu::{Ferrite, Npu, State};
use crate::policy::{
    depend::Edges,
    quota::Kind,
    schedule::JobId,
    validate::{
        self,
        Commands, //
    }, //
};
use crate::release::Release;
use crate::request::Request;
use crate::space::Mapping;
use core::{
    mem::size_of,
    ops::Range,
    sync::atomic::{
        AtomicU32,
        AtomicU64,
        Ordering, //
    }, //
};
use kernel::{
    prelude::*,
    sync::{
        Arc,
        LockedBy,
        SetOnce, //
    }, //
};

/// A buffer that the jobs use. The mapping goes first, while the buffer still has its pages.
pub(crate) struct Used {
    /// Keeps it mapped.
    pub(crate) mapping: Arc<Mapping>,
    /// Keeps it.
    pub(crate) buffer: GemRef<Ferrite>,
}

/// One job.
pub(crate) struct Job {
    /// Index of its first task in the batch.
    first: usize,
    /// Number of its tasks.
    pub(crate) tasks: u32,
    /// Whether one start runs them all.
    pub(crate) chained: bool,
    /// Signalled when the job ends, if something else than the batch waits for it.
    pub(crate) fence: Option<OwnFence>,
    /// What it writes: a range of `Batch::writes`.
    pub(crate) writes: Range<usize>,
    /// The scheduler's number, while it has one.
    id: AtomicU32,
}

impl Job {
    /// A job whose tasks begin at `first` of its batch's.
    pub(crate) fn new(first: usize, tasks: u32, chained: bool) -> Self {
        Job {
            first,
            tasks,
            chained,
            fence: None,
            writes: 0..0,
            id: AtomicU32::new(u32::MAX),
        }
    }

    /// The scheduler's number. Both are called with its lock held.
    pub(crate) fn id(&self) -> JobId {
        JobId(self.id.load(Ordering::Relaxed))
    }

    /// Sets the scheduler's number.
    pub(crate) fn set_id(&self, id: JobId) {
        self.id.store(id.0, Ordering::Relaxed);
    }
}

/// What a core is started with.
pub(crate) struct Start {
    /// The first commands, and the interrupts that end it all.
    pub(crate) commands: Commands,
    /// Tasks that the core runs from there.
    pub(crate) tasks: u32,
}

/// The first failure of a batch.
#[derive(Clone, Copy)]
pub(crate) struct Failure {
    /// The job.
    pub(crate) job: u32,
    /// The task that it had reached.
    pub(crate) task: u32,
    /// Its error.
    pub(crate) error: Error,
}

/// How a submission ended.
#[derive(Clone, Copy, Default)]
pub(crate) struct End {
    /// The submission's number.
    pub(crate) number: u64,
    /// The first failure.
    pub(crate) failure: Option<Failure>,
    /// Time on cores, in nanoseconds.
    pub(crate) busy_ns: u64,
}

/// What changes while the jobs run.
pub(crate) struct Progress {
    /// The submission's number in its file, and how it has ended so far.
    pub(crate) end: End,
    /// Jobs that have not ended.
    pub(crate) unfinished: u32,
    /// Jobs whose end has not been announced: as many references are held by `JobRef`s.
    pub(crate) unsettled: u32,
    /// Next in the list of batches to be dropped.
    pub(crate) next: Option<Arc<Batch>>,
}

/// The jobs of one submission, with all that they need to run. Outlives the file that they came
/// through. Dropped in process context.
pub(crate) struct Batch {
    /// The jobs.
    pub(crate) jobs: KVVec<Job>,
    /// The tasks of all jobs.
    tasks: KVVec<Commands>,
    /// All buffers.
    pub(crate) buffers: KVVec<Used>,
    /// Indexes into `buffers`; see [`Job::writes`].
    writes: KVVec<u32>,
    /// Who waits for whom.
    pub(crate) edges: Edges,
    /// Signalled when all jobs have ended.
    pub(crate) done: OwnFence,
    /// Waits for jobs of others.
    pub(crate) waits: SetOnce<KVVec<Wait<Release>>>,
    /// Bytes that are charged to the client's owner for all this; 0 if its share was not taken.
    charged: AtomicU64,
    /// What changes.
    pub(crate) progress: LockedBy<Progress, State>,
    /// Whose jobs. Dropped last: it keeps the NPU.
    pub(crate) client: Arc<Client>,
}

impl Batch {
    /// The jobs of a request.
    pub(crate) fn new(
        npu: &Npu,
        client: Arc<Client>,
        request: Request,
        writes: KVVec<u32>,
        edges: Edges,
    ) -> Result<Arc<Self>> {
        let count = request.jobs.len() as u32;
        let progress = Progress {
            end: End::default(),
            unfinished: count,
            unsettled: count,
            next: None,
        };
        let batch = Batch {
            jobs: request.jobs,
            tasks: request.tasks,
            buffers: request.buffers,
            writes,
            edges,
            done: OwnFence::new()?,
            waits: SetOnce::new(),
            charged: AtomicU64::new(0),
            progress: LockedBy::new(npu.state(), progress),
            client,
        };
        Ok(Arc::new(batch, GFP_KERNEL_ACCOUNT)?)
    }

    /// Bytes that it takes, without its waits.
    fn bytes(&self) -> usize {
        size_of::<Self>()
            + self.jobs.len() * size_of::<Job>()
            + self.tasks.len() * size_of::<Commands>()
            + self.buffers.len() * size_of::<Used>()
    }

    /// Takes its memory and its jobs from the client's owner's share; false if that would be too much
    /// now.
    pub(crate) fn take_share(&self, state: &mut State) -> Result<bool> {
        let (owner, jobs) = (self.client.owner(), self.jobs.len() as u64);
        if !state.shares.take(owner, Kind::Jobs, jobs) {
            return Ok(false);
        }
        if let Err(error) = self.charge(state, self.bytes()) {
            state.shares.give(owner, Kind::Jobs, jobs);
            return Err(error);
        }
        Ok(true)
    }

    /// Takes `bytes` more, once its share was taken.
    pub(crate) fn charge(&self, state: &mut State, bytes: usize) -> Result {
        let bytes = bytes as u64;
        if !state.shares.take(self.client.owner(), Kind::Bytes, bytes) {
            return Err(ENOMEM);
        }
        self.charged.fetch_add(bytes, Ordering::Relaxed);
        Ok(())
    }

    /// Gives its share back: its jobs have ended, or will not be submitted. Its memory goes soon.
    pub(crate) fn give_back(&self, state: &mut State) {
        let bytes = self.charged.swap(0, Ordering::Relaxed);
        if bytes > 0 {
            let owner = self.client.owner();
            state.shares.give(owner, Kind::Bytes, bytes);
            state.shares.give(owner, Kind::Jobs, self.jobs.len() as u64);
        }
    }
}

/// A job of a batch.
#[derive(Clone)]
pub(crate) struct JobRef {
    /// The batch.
    pub(crate) batch: Arc<Batch>,
    /// Index of the job.
    pub(crate) index: u32,
}

impl JobRef {
    /// The job.
    pub(crate) fn job(&self) -> &Job {
        &self.batch.jobs[self.index as usize]
    }

    /// The commands of a task.
    pub(crate) fn commands(&self, task: u32) -> &Commands {
        &self.batch.tasks[self.job().first + task as usize]
    }

    /// The interrupts that say that a task has ended, or the chain of all tasks.
    #[inline]
    pub(crate) fn done(&self, task: u32) -> u32 {
        let job = self.job();
        let last = if job.chained { job.tasks - 1 } else { task };
        self.commands(last).done
    }

    /// What runs a task, or a chain of all tasks.
    #[inline]
    pub(crate) fn start(&self, task: u32) -> Start {
        let job = self.job();
        Start {
            commands: Commands {
                done: self.done(task),
                ..*self.commands(task)
            },
            tasks: if job.chained { job.tasks } else { 1 },
        }
    }

    /// Whether a task needs nothing of what the tasks before it left in the core, as far as its
    /// commands can be read. Any context.
    pub(crate) fn stands_alone(&self, task: u32) -> bool {
        let commands = self.commands(task);
        let address = u64::from(commands.address);
        let found = self.batch.buffers.iter().find(|used| {
            let range = used.mapping.range();
            (range.start..range.end()).contains(&address)
        });
        let Some(used) = found else { return false };
        let first = address - used.mapping.range().start;
        let words = (u64::from(commands.amount) + 1) * 2;
        validate::stands_alone(
            (0..words.min(validate::MAX_LOOK))
                .map_while(|word| used.buffer.peek(first + word * validate::COMMAND_BYTES)),
        )
    }

    /// The number of its submission.
    pub(crate) fn number(&self, npu: &Npu) -> u64 {
        self.batch.progress.access(&npu.state().lock()).end.number
    }

    /// What the job writes.
    pub(crate) fn outputs(&self) -> impl Iterator<Item = &GemRef<Ferrite>> {
        self.batch.writes[self.job().writes.clone()]
            .iter()
            .map(|&buffer| &self.batch.buffers[buffer as usize].buffer)
    }
}
