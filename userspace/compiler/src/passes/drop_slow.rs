//! Operators that take longer on the NPU than by way of the host.

use ferrite_hw::Timing;
use ferrite_ir::{EntitySet, TensorId};

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
    let works = |step: &Legal<L>| index.graph.macs(step.op) != 0;
    let works: Vec<bool> = steps.iter().map(works).collect();
    if !works.contains(&true) {
        return;
    }
    for (step, _) in steps.iter_mut().zip(&works).filter(|(_, works)| !**works) {
        let LegalWork::Npu { reads, layers, .. } = &step.work else {
            continue;
        };
        let made = &index.graph.node(step.op).outputs;
        let crossing: f64 = reads.iter().chain(made).map(|&t| bytes(index, t)).sum();
        let device: f64 = layers.iter().map(&seconds).sum();
        let host = host_seconds(index, timing, step.op);
        let host = host + timing.kick + crossing / timing.host_bytes;
        if host < device {
            step.work = LegalWork::Host(slower("by way of the host", device, host));
        }
    }
    let end = end(index, steps, &works);
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
fn end<L>(index: &Index, steps: &[Legal<L>], works: &[bool]) -> Vec<usize> {
    let mut needed = EntitySet::with_capacity(index.graph.tensors.len());
    let mut end = Vec::new();
    for (at, step) in steps.iter().enumerate().rev() {
        let npu = matches!(step.work, LegalWork::Npu { .. });
        let works = npu && works[at];
        let outputs = &index.graph.node(step.op).outputs;
        if works || outputs.iter().any(|&made| needed.contains(made)) {
            for read in reads(index, step) {
                needed.insert(read);
            }
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
    if end.is_empty() {
        return None;
    }
    let (mut made, mut read) = (EntitySet::new(), EntitySet::new());
    for step in end.iter().map(|&at| &steps[at]) {
        if let LegalWork::Npu { layers, .. } = &step.work {
            device += layers.iter().map(&seconds).sum::<f64>();
        }
        host += host_seconds(index, timing, step.op);
        for &output in &index.graph.node(step.op).outputs {
            made.insert(output);
        }
        for input in reads(index, step) {
            read.insert(input);
        }
    }
    // What is viewed crosses as the view.
    for step in steps {
        if let LegalWork::View(source) = step.work
            && made.contains(source)
        {
            read.insert(source);
            made.insert(index.result(step.op));
        }
    }
    let crossing = |tensors: &EntitySet<TensorId>, others: &EntitySet<TensorId>| {
        let alone = tensors.keys().filter(|&tensor| !others.contains(tensor));
        alone.map(|tensor| bytes(index, tensor)).sum::<f64>() / timing.host_bytes
    };
    host += crossing(&read, &made);
    device += crossing(&made, &read);
    Some((device, host))
}
