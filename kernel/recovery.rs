// SPDX-License-Identifier: GPL-2.0-only
//! What happens when a job goes wrong.

use crate::abstractions::{
    coredump::Dump,
    fence::Signalling,
    iommu::{
        Fault,
        IommuId, //
    },
    task, //
};
use crate::batch::JobRef;
use crate::core::Core;
use crate::hw::Snapshot;
use crate::npu::{Cause, Npu};
use kernel::{
    fmt,
    prelude::*,
    sync::Arc, //
};

/// Most commands in a dump.
const MAX_DUMPED: u64 = 4096;

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cause::Timeout => f.write_str("timed out"),
            Cause::Fault(fault) => write!(
                f,
                "IOMMU fault: {} of {:#x}",
                if fault.write { "write" } else { "read" },
                fault.address
            ),
            Cause::Dma(raised) => write!(f, "DMA failed: interrupts {raised:#x}"),
            Cause::Taken => f.write_str("taken away"),
        }
    }
}

impl Cause {
    /// What the job's fences and waiters are told.
    pub(crate) fn error(&self) -> Error {
        match self {
            Cause::Timeout => ETIMEDOUT,
            Cause::Fault(_) => EFAULT,
            Cause::Dma(_) => EIO,
            Cause::Taken => task::cancelled(),
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

/// What is known of a job that went wrong.
pub(crate) struct Report {
    cause: Cause,
    job: JobRef,
    task: u32,
    snapshot: Snapshot,
    /// When, in nanoseconds since boot.
    at: u64,
}

impl Core {
    /// Ends the core's job by force: resets the core, then takes its address space away, so that
    /// the next job starts from scratch. The core must have been taken from its job.
    pub(crate) fn recover(self: &Arc<Self>, cause: Cause) {
        let signalling = Signalling::begin();
        let npu = self.npu();
        let index = self.index();
        let (job, task) = {
            let mut state = npu.state().lock();
            state.lanes[index].resets += 1;
            (
                state.sched.on_core(index).cloned(),
                state.sched.task_of(index),
            )
        };
        let snapshot = self.hw().snapshot();
        let task = match &job {
            Some(job) if job.job().chained => snapshot.ended().min(job.job().tasks - 1),
            _ => task,
        };
        if let (Some(job), false) = (job, matches!(cause, Cause::Taken)) {
            let report = Report {
                cause,
                job,
                task,
                snapshot,
                at: task::now_ns(),
            };
            self.report(&report);
            // If there is another one to tell, that is the one to know. The job is still in the
            // scheduler: what is dropped here is not the last reference to it.
            let mut state = npu.state().lock();
            state.lanes[index].report.get_or_insert(report);
        }
        // While DMA is under way the IOMMU does not stall, so the core's reset comes first.
        let _ = self.reset();
        // See `Core::clean`.
        drop(signalling);
        self.detach();
        let _signalling = Signalling::begin();
        let mut state = npu.state().lock();
        let ended = state
            .sched
            .finish(index, task::now_ns())
            .map(|finished| state.end(finished, Some(cause.error()), task));
        // The core is free again: another job may be started before this one is announced.
        self.go_on(&mut state);
        drop(state);
        if let Some(ended) = ended {
            ended.announce(npu);
        }
        crate::dispatch::end_cancelled(npu);
    }

    /// One line for the log.
    fn report(&self, report: &Report) {
        if !task::may_log() {
            return;
        }
        let job = &report.job;
        let (client, task, snapshot) = (job.batch.client.number(), report.task, &report.snapshot);
        let dev = self.device().as_ref();
        let (number, index) = (job.index, self.index());
        match report.cause {
            Cause::Timeout => dev_err!(
                dev,
                "client {client}, job {number}, task {task}: timed out on core {index} ({snapshot})\n"
            ),
            Cause::Fault(fault) => dev_err!(
                dev,
                "client {client}, job {number}, task {task}: {} of {:#x} on core {index} refused by the IOMMU\n",
                if fault.write { "write" } else { "read" },
                fault.address
            ),
            Cause::Dma(_) => dev_err!(
                dev,
                "client {client}, job {number}, task {task}: DMA failed on core {index} ({snapshot})\n"
            ),
            Cause::Taken => {}
        }
    }

    /// Makes a dump of the last job that went wrong, if there is one.
    pub(crate) fn tell(&self) {
        let report = self.npu().state().lock().lanes[self.index()].report.take();
        if let Some(report) = report {
            // Without memory there is no dump; the job is over anyway.
            let _ = self.dump(&report);
        }
    }

    /// Keeps the hanging job's commands and the core's registers for those who want to know why.
    fn dump(&self, report: &Report) -> Result {
        let Report {
            cause,
            job,
            task,
            snapshot,
            ..
        } = report;
        let mut dump = Dump::new()?;
        dump.line(fmt!(
            "ferrite: core {}, {cause}\n{snapshot}\nclient {}, submission {}, job {}, task {task}\n",
            self.index(),
            job.batch.client.number(),
            job.number(self.npu()),
            job.index
        ))?;
        dump.line(fmt!(
            "hardware {:#x}, clock {} Hz, at {} ns\n",
            self.version(),
            self.npu().rate(),
            report.at
        ))?;
        dump.line(fmt!(
            "{} tasks asked for, {} ended\n",
            snapshot.tasks,
            snapshot.ended()
        ))?;
        for ((status, pointer), block) in snapshot.blocks.iter().zip(["CNA", "CORE"]) {
            dump.line(fmt!("{block}: status {status:#x}, pointer {pointer:#x}\n"))?;
        }
        let commands = job.commands(*task);
        let address = u64::from(commands.address);
        for used in &job.batch.buffers {
            let range = used.mapping.range();
            dump.line(fmt!("buffer {:#x} +{:#x}\n", range.start, range.len))?;
            if !(range.start..range.end()).contains(&address) {
                continue;
            }
            let first = address - range.start;
            let words = u64::from(commands.amount + 1) * 2;
            for word in 0..words.min(MAX_DUMPED) {
                let Some(value) = used.buffer.peek(first + word * 8) else {
                    break;
                };
                dump.line(fmt!("{:#010x}: {value:#018x}\n", address + word * 8))?;
            }
        }
        dump.submit(self.device());
        Ok(())
    }
}
