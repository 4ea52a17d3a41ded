// SPDX-License-Identifier: GPL-2.0-only
//! The scheduler's record of a core.

use super::terms::{ClientId, JobId, Usage};

/// What a core is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Absent,
    Idle,
    Reserved,
    Claimed(JobId),
    Running(JobId),
    Recovering(JobId),
}

/// A core, as the scheduler sees it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Core {
    pub(super) state: State,
    pub(super) accepting: bool,
    pub(super) attached: Option<ClientId>,
    pub(super) affinity: u32,
    pub(super) task: u32,
    /// When the job got the core, and when its current task began.
    pub(super) job_started: u64,
    pub(super) task_started: u64,
    /// Since when something else needs the core that the job has.
    pub(super) contested: Option<u64>,
    /// What the task counter said when it was looked at last, and whether it was ever seen to count.
    pub(super) counter: Option<u32>,
    pub(super) counts: bool,
    pub(super) charged: u64,
    pub(super) usage: Usage,
}

impl Core {
    /// No core.
    pub(super) const fn absent() -> Self {
        Core {
            state: State::Absent,
            accepting: false,
            attached: None,
            affinity: 0,
            task: 0,
            job_started: 0,
            task_started: 0,
            contested: None,
            counter: None,
            counts: false,
            charged: 0,
            usage: Usage {
                busy_ns: 0,
                jobs: 0,
            },
        }
    }
}
