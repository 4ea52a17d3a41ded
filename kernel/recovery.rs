// SPDX-License-Identifier: GPL-2.0-only
//! What happens when a job goes wrong.

use crate::abstractions::{
    iommu::{
        Fault,
        IommuId, //
    },
    task, //
};
use crate::core::Core;
use crate::npu::{Cause, Npu};
use kernel::{
    prelude::*,
    sync::Arc, //
};

/// Microseconds for which the resets are held: at least 32 cycles of the slowest clock.
const RESET_US: usize = 10;

impl Cause {
    /// What the job's fences and waiters are told.
    pub(crate) fn error(&self) -> Error {
        match self {
            Cause::Timeout => ETIMEDOUT,
            Cause::Fault(_) => EFAULT,
            Cause::Dma(_) => EIO,
            Cause::Forced => task::cancelled(),
        }
    }
}

/// The IOMMU refused an access. Hard interrupt context.
pub(crate) fn fault(npu: &Npu, iommu: IommuId, client: u64, fault: Fault) {
    let mut state = npu.state().lock();
    let found = state
        .lanes
        .iter()
        .filter_map(|lane| lane.core.as_ref())
        .find(|core| core.iommu() == iommu)
        .cloned();
    let Some(core) = found else { return };
    // Only the first fault of a job counts: the rest come until the core is reset.
    if state.sched.recover(core.index()) {
        core.hw().mute();
        state.lanes[core.index()].cause = Some(Cause::Fault(fault));
        core.serve();
    } else {
        pr_debug!("client {client}: fault at {:#x} after the job\n", fault.address);
    }
}

impl Core {
    /// Ends the core's job by force: resets the core, then takes its address space away, so that
    /// the next job starts from scratch. The core must have been taken from its job.
    pub(crate) fn recover(self: &Arc<Self>, cause: Cause) {
        let npu = self.npu();
        let index = self.index();
        let job = {
            let mut state = npu.state().lock();
            state.lanes[index].resets += 1;
            state.sched.on_core(index).cloned()
        };
        let snapshot = self.hw().snapshot();
        if let Some(job) = &job {
            self.report(&cause, job, &snapshot);
        }
        // While DMA is under way the IOMMU does not stall, so the core's reset comes first.
        if let Err(error) = self.resets().pulse(RESET_US) {
            dev_err!(self.device().as_ref(), "reset failed: {error:?}\n");
        }
        self.detach();
        let mut state = npu.state().lock();
        state.sched.set_attached(index, None);
        let ended = state
            .sched
            .finish(index, task::now_ns())
            .map(|finished| state.end(finished, Some(cause.error())));
        drop(state);
        // The core is free again: another job may be started before this one is announced.
        self.go_on(&mut npu.state().lock());
        if let Some(ended) = ended {
            ended.announce(npu);
        }
        if let Some(job) = job {
            // The batch may have been retired meanwhile; this context may drop it.
            drop(job);
        }
        crate::dispatch::end_cancelled(npu);
    }

    fn report(
        &self,
        cause: &Cause,
        job: &crate::batch::JobRef,
        snapshot: &crate::hw::Snapshot,
    ) {
        let client = job.batch.client.number();
        let dev = self.device().as_ref();
        match cause {
            Cause::Timeout => dev_err!(
                dev,
                "client {client}, job {}: timed out on core {} (commands {:#x}, interrupts {:#x})\n",
                job.index,
                self.index(),
                snapshot.base,
                snapshot.interrupts
            ),
            Cause::Fault(fault) => dev_err!(
                dev,
                "client {client}, job {}: {} of {:#x} on core {} refused by the IOMMU\n",
                job.index,
                if fault.write { "write" } else { "read" },
                fault.address,
                self.index()
            ),
            Cause::Dma(raised) => dev_err!(
                dev,
                "client {client}, job {}: DMA failed on core {} (interrupts {raised:#x})\n",
                job.index,
                self.index()
            ),
            Cause::Forced => dev_err!(
                dev,
                "client {client}, job {}: ended by request on core {}\n",
                job.index,
                self.index()
            ),
        }
    }
}
