//! Operators that take longer on the NPU than by way of the host.

use std::collections::HashSet;

use ferrite_hw::Timing;
use ferrite_ir::TensorId;

use super::drop_worthless::{bytes, host_seconds};
use super::plan_segments::reads;
use crate::error::Unsupported;
use crate::index::Index;
use crate::lowered::{Legal, LegalWork};

/// Leaves operators to the host that the host does sooner: single ones whose layers take longer than a
/// submission more, the way to the host and back, and the host's own kernel; and all those at the end
/// of a network, which are on their way to the host in any case, if the host saves more than the price of a
/// submission.
///
/// Judged are operators without multiply-accumulates in models that have some, as by `drop_worthless`.
pub fn drop_slow<L>(
    index: &Index,
    timing: &Timing,
    steps: &mut [Legal<L>],
    seconds: impl Fn(&L) -> f64,
) {
    if index.graph.total_macs() == 0 {
        return;
    }
    for step in steps.iter_mut() {
        let LegalWork::Npu { reads, layers, .. } = &step.work else {
            continue;
        };
        if index.graph.macs(step.op) != 0 {
            continue;
        }
        let made = &index.graph.node(step.op).outputs;
        let crossing: f64 = reads.iter().chain(made).map(|&t| bytes(index, t)).sum();
        let device: f64 = layers.iter().map(&seconds).sum();
        let host = host_seconds(index, timing, step.op);
        let host = host + timing.kick + crossing / timing.host_bytes;
        if host < device {
            step.work = LegalWork::Host(slower("by way of the host", device, host));
        }
    }
    let end = end(index, steps);
    if let Some((device, host)) = balance(index, timing, steps, &end, seconds)
        && host + timing.kick < device
    {
        for at in end {
            steps[at].work = LegalWork::Host(slower("here, with all behind", device, host));
        }
    }
}

fn slower(how: &str, device: f64, host: f64) -> Unsupported {
    let (device, host) = (device * 1e6, host * 1e6);
    Unsupported::new(format!(
        "some {device:.0} us on the NPU, {host:.0} us {how}"
    ))
}

/// Steps of the NPU without multiply-accumulates on which none with them depends, in order.
fn end<L>(index: &Index, steps: &[Legal<L>]) -> Vec<usize> {
    let mut needed: HashSet<TensorId> = HashSet::new();
    let mut end = Vec::new();
    for (at, step) in steps.iter().enumerate().rev() {
        let npu = matches!(step.work, LegalWork::Npu { .. });
        let works = npu && index.graph.macs(step.op) != 0;
        let outputs = &index.graph.node(step.op).outputs;
        if works || outputs.iter().any(|made| needed.contains(made)) {
            needed.extend(reads(index, step));
        } else if npu {
            end.push(at);
        }
    }
    end.reverse();
    end
}

/// Seconds of these steps on the NPU and on the host, each with what then crosses.
fn balance<L>(
    index: &Index,
    timing: &Timing,
    steps: &[Legal<L>],
    end: &[usize],
    seconds: impl Fn(&L) -> f64,
) -> Option<(f64, f64)> {
    let (mut device, mut host) = (0.0, 0.0);
    let (mut made, mut read) = (HashSet::new(), HashSet::new());
    for step in end.iter().map(|&at| &steps[at]) {
        if let LegalWork::Npu { layers, .. } = &step.work {
            device += layers.iter().map(&seconds).sum::<f64>();
        }
        host += host_seconds(index, timing, step.op);
        made.extend(&index.graph.node(step.op).outputs);
        read.extend(reads(index, step));
    }
    // What is viewed crosses as the view.
    for step in steps {
        if let LegalWork::View(source) = step.work
            && made.contains(&source)
        {
            read.insert(source);
            made.insert(index.result(step.op));
        }
    }
    let crossing = |tensors: &mut dyn Iterator<Item = &TensorId>| {
        tensors.map(|&tensor| bytes(index, tensor)).sum::<f64>() / timing.host_bytes
    };
    host += crossing(&mut read.difference(&made));
    device += crossing(&mut made.difference(&read));
    (!end.is_empty()).then_some((device, host))
}
