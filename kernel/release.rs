// SPDX-License-Identifier: GPL-2.0-only
//! Jobs that wait for jobs of others.

use crate::abstractions::fence::OnSignal;
use crate::npu::Npu;
use crate::policy::schedule::{self, JobId};
use core::sync::atomic::{AtomicU32, Ordering};
use kernel::sync::aref::ARef;

/// Lets a job go when a fence is signalled.
pub(crate) struct Release {
    npu: ARef<Npu>,
    /// The job's index in its batch.
    pub(crate) index: usize,
    /// The job's number, set before the wait is armed.
    job: AtomicU32,
    /// Whether the job needs what the fence stands for: if that fails, so does the job.
    pub(crate) needed: bool,
}

impl Release {
    /// For job `index` of a batch.
    pub(crate) fn new(npu: &Npu, index: usize, needed: bool) -> Self {
        Release {
            npu: npu.into(),
            index,
            job: AtomicU32::new(u32::MAX),
            needed,
        }
    }

    /// The job got its number.
    pub(crate) fn set_job(&self, job: JobId) {
        self.job.store(job.0, Ordering::Relaxed);
    }
}

// SAFETY: Waits are fields of a batch, which does not move and is not dropped before all its jobs
// have ended. A job with a wait cannot end before `satisfy` was called for it below. That is done
// with the scheduler's lock held, which it takes to end the job; what is used after that is only
// the lock itself, to unlock it.
unsafe impl OnSignal for Release {
    fn signaled(&self, failed: bool) {
        let mut state = self.npu.state().lock();
        let job = JobId(self.job.load(Ordering::Relaxed));
        if state.sched.satisfy(job, failed && self.needed) != schedule::Release::Waiting {
            crate::dispatch::kick_later(&mut state);
        }
    }
}
