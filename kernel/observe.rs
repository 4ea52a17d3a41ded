// SPDX-License-Identifier: GPL-2.0-only
//! What the driver shows of itself: fdinfo and debugfs.

use crate::abstractions::{
    drm::DebugfsFile,
    print::Printer,
    task, //
};
use crate::client::{
    Client,
    Direction, //
};
use crate::npu::{Ferrite, Npu};
use kernel::{
    prelude::*,
    seq_file::SeqFile,
    seq_print, //
};

/// Files in the device's debugfs folder.
pub(crate) const DEBUGFS: &[DebugfsFile<Ferrite>] = &[(c"cores", cores), (c"jobs", jobs)];

/// `drm-usage-stats` of a client; see Documentation/gpu/drm-usage-stats.rst.
pub(crate) fn fdinfo(client: &Client, printer: &Printer) {
    let (usage, cores) = {
        let state = client.npu().state().lock();
        (
            state.sched.usage_of(client.id(), task::now_ns()),
            state.sched.present().count_ones(),
        )
    };
    printer.print(fmt!("drm-engine-npu:\t{} ns\n", usage.busy_ns));
    printer.print(fmt!("drm-engine-capacity-npu:\t{cores}\n"));
    let rate = client.npu().rate();
    let cycles = (usage.busy_ns / 1000).saturating_mul(rate / 1_000_000);
    printer.print(fmt!("drm-maxfreq-npu:\t{rate} Hz\n"));
    printer.print(fmt!("drm-cycles-npu:\t{cycles}\n"));
    printer.print(fmt!("rocket-jobs-npu:\t{}\n", usage.jobs));
    let synced = |direction| client.synced(direction);
    printer.print(fmt!("rocket-to-npu:\t{} bytes\n", synced(Direction::ToNpu)));
    printer.print(fmt!("rocket-to-cpu:\t{} bytes\n", synced(Direction::ToCpu)));
}

fn cores(npu: &Npu, file: &SeqFile) {
    seq_print!(file, "clock {} Hz\n", npu.rate());
    let state = npu.state().lock();
    for (index, lane) in state.lanes.iter().enumerate() {
        if lane.core.is_none() {
            continue;
        }
        let usage = state.sched.usage_of_core(index, task::now_ns());
        let doing = match state.sched.on_core(index) {
            Some(_) => "busy",
            None => "idle",
        };
        seq_print!(
            file,
            "core {index}: {doing}, powered {}, attached {}, jobs {}, busy {} ns, resets {}, \
             spurious interrupts {}\n",
            u32::from(lane.powered),
            state.sched.attached(index).map_or(-1, |id| i64::from(id.0)),
            usage.jobs,
            usage.busy_ns,
            lane.resets,
            lane.spurious
        );
    }
}

fn jobs(npu: &Npu, file: &SeqFile) {
    let state = npu.state().lock();
    seq_print!(file, "{} jobs\n", state.sched.jobs());
    for (job, spec, stage) in state.sched.each_job() {
        seq_print!(
            file,
            "client {} job {}: {stage}, {} tasks, cores {:#x}, priority {}\n",
            job.batch.client.number(),
            job.index,
            spec.tasks,
            spec.cores,
            spec.priority as u32
        );
    }
}
