// SPDX-License-Identifier: GPL-2.0-only
//! What the driver and its scheduler tell each other.

/// Most cores of one NPU.
pub const MAX_CORES: usize = 4;
/// Any core.
pub const ANY_CORE: u32 = (1 << MAX_CORES) - 1;
/// Number of [`Priority`] levels.
pub const PRIORITIES: usize = 3;

/// Priority levels; a higher one is served first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// Only when nothing else wants to run.
    Low = 0,
    /// The usual level.
    Normal = 1,
    /// Before all others.
    High = 2,
}

/// A client's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientId(pub u32);

/// A job's number, valid until it finishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JobId(pub u32);

/// What the scheduler must know of a job.
#[derive(Clone, Copy, Debug)]
pub struct Spec {
    /// Whose job.
    pub client: ClientId,
    /// How urgent.
    pub priority: Priority,
    /// Bit mask of the cores that may run it.
    pub cores: u32,
    /// Jobs of equal, non-zero affinity prefer the same core, for what is left in its buffers.
    pub affinity: u32,
    /// Number of calls of [`satisfy`](super::schedule::Scheduler::satisfy) before it may run.
    pub waits: u32,
    /// Number of its tasks.
    pub tasks: u32,
    /// Whether one start runs all its tasks.
    pub chained: bool,
}

/// How long a core waits, in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For a task to end.
    pub task_ns: u64,
    /// For a chain of tasks to end that do not show their progress.
    pub chain_ns: u64,
}

impl Patience {
    /// For a job that cannot be interrupted, when the core is to go or its client is.
    pub(super) fn to_leave(self) -> u64 {
        self.task_ns
    }

    /// For a job that cannot be interrupted, when it is another client's turn.
    pub(super) fn to_share(self) -> u64 {
        self.task_ns.saturating_mul(4)
    }
}

/// What a client has used so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Time on cores, in nanoseconds.
    pub busy_ns: u64,
    /// Jobs that ended.
    pub jobs: u64,
}

/// A job that was chosen for a core.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The job.
    pub job: JobId,
    /// Its client.
    pub client: ClientId,
    /// Whether the core's IOMMU holds another address space, or none.
    pub switch: bool,
}

/// What follows a completion interrupt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The core was not running anything.
    Spurious,
    /// Start the job's task of this index.
    Task(u32),
    /// It was the last task: call [`finish`](super::schedule::Scheduler::finish).
    Done,
    /// The job is back in its queue, to go on with its next task later. The core is idle.
    Yield,
    /// The job must not go on: call [`finish`](super::schedule::Scheduler::finish).
    Stop,
}

/// A job's answer to one thing less to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Release {
    /// There is more to wait for.
    Waiting,
    /// It can run now.
    Ready,
    /// It must not run because something it waited for failed: see [`next_cancelled`](super::schedule::Scheduler::next_cancelled).
    Cancelled,
}

/// A job that has left the scheduler.
#[derive(Debug, PartialEq, Eq)]
pub struct Finished<T> {
    /// What was given to [`submit`](super::schedule::Scheduler::submit).
    pub token: T,
    /// Time on the core in nanoseconds.
    pub busy_ns: u64,
}

/// How a core's current task stands against its time budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overdue {
    /// Nothing is running.
    Idle,
    /// Look again after this many nanoseconds.
    After(u64),
    /// The budget is used up.
    Now(JobId),
    /// The job is within its budget, but the core is needed and it does not let go.
    Taken(JobId),
}
