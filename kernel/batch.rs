// SPDX-License-Identifier: GPL-2.0-only
//! The jobs of one submission.

use crate::abstractions::{
    fence::{
        Fence,
        Wait, //
    },
    gem::GemRef, //
};
use crate::client::Client;
use crate::npu::{Ferrite, State};
use crate::policy::{
    depend::Edges,
    schedule::JobId,
    validate::Commands, //
};
use crate::release::Release;
use crate::space::Mapping;
use kernel::{
    prelude::*,
    sync::{
        Arc,
        LockedBy, //
    }, //
};

/// A buffer that the jobs use. The mapping goes first, while the buffer still has its pages.
pub(crate) struct Used {
    /// Keeps it mapped.
    pub(crate) _mapping: Arc<Mapping>,
    /// Keeps it.
    pub(crate) buffer: GemRef<Ferrite>,
}

/// One job.
pub(crate) struct Job {
    /// Index of its first task in the batch.
    pub(crate) first: usize,
    /// Number of its tasks.
    pub(crate) tasks: u32,
    /// Signalled when the job ends, if something else than the batch waits for it.
    pub(crate) fence: Option<Fence>,
    /// Indexes into the batch's buffers of what it writes: a range of `Batch::writes`.
    pub(crate) writes: core::ops::Range<usize>,
}

/// What changes while the jobs run.
pub(crate) struct Progress {
    /// The scheduler's numbers of the jobs, while they have not ended.
    pub(crate) ids: KVVec<JobId>,
    /// Jobs that have not ended.
    pub(crate) unfinished: u32,
    /// Jobs whose end has not been announced: as many references are held by `JobRef`s.
    pub(crate) unsettled: u32,
    /// First failure.
    pub(crate) error: Option<Error>,
    /// Next in the list of batches to be dropped.
    pub(crate) next: Option<Arc<Batch>>,
}

/// The jobs of one submission, with all that they need to run. Outlives the file that they came
/// through. Dropped in process context.
pub(crate) struct Batch {
    /// Whose jobs.
    pub(crate) client: Arc<Client>,
    /// The jobs.
    pub(crate) jobs: KVVec<Job>,
    /// The tasks of all jobs.
    pub(crate) tasks: KVVec<Commands>,
    /// All buffers.
    pub(crate) buffers: Arc<KVVec<Used>>,
    /// Indexes into `buffers`; see [`Job::writes`].
    pub(crate) writes: KVVec<u32>,
    /// Who waits for whom.
    pub(crate) edges: Edges,
    /// Signalled when all jobs have ended.
    pub(crate) done: Fence,
    /// Waits for jobs of others.
    pub(crate) waits: KVVec<Wait<Release>>,
    /// What changes.
    pub(crate) progress: LockedBy<Progress, State>,
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
    pub(crate) fn commands(&self, task: u32) -> Commands {
        self.batch.tasks[self.job().first + task as usize]
    }
}
