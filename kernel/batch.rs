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
    schedule::JobId,
    validate::Commands, //
};
use crate::release::Release;
use crate::request::Request;
use crate::space::Mapping;
use core::{
    ops::Range,
    sync::atomic::{
        AtomicU32,
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
    /// Signalled when the job ends, if something else than the batch waits for it.
    pub(crate) fence: Option<OwnFence>,
    /// What it writes: a range of `Batch::writes`.
    pub(crate) writes: Range<usize>,
    /// The scheduler's number, while it has one.
    id: AtomicU32,
}

impl Job {
    /// A job whose tasks begin at `first` of its batch's.
    pub(crate) fn new(first: usize, tasks: u32) -> Self {
        Job {
            first,
            tasks,
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

/// What changes while the jobs run.
pub(crate) struct Progress {
    /// The submission's number in its file.
    pub(crate) number: u64,
    /// Jobs that have not ended.
    pub(crate) unfinished: u32,
    /// Jobs whose end has not been announced: as many references are held by `JobRef`s.
    pub(crate) unsettled: u32,
    /// First failure: the job and its error.
    pub(crate) error: Option<(u32, Error)>,
    /// Time on cores, in nanoseconds.
    pub(crate) busy_ns: u64,
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
            number: 0,
            unfinished: count,
            unsettled: count,
            error: None,
            busy_ns: 0,
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
            progress: LockedBy::new(npu.state(), progress),
            client,
        };
        Ok(Arc::new(batch, GFP_KERNEL)?)
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

    /// The number of its submission.
    pub(crate) fn number(&self, npu: &Npu) -> u64 {
        self.batch.progress.access(&npu.state().lock()).number
    }

    /// What the job writes.
    pub(crate) fn outputs(&self) -> impl Iterator<Item = &GemRef<Ferrite>> {
        self.batch.writes[self.job().writes.clone()]
            .iter()
            .map(|&buffer| &self.batch.buffers[buffer as usize].buffer)
    }
}
