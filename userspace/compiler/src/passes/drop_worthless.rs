//! Segments that take longer on the NPU, with their way there and back, than on the host.

use std::collections::HashSet;

use ferrite_hw::Timing;
use ferrite_ir::op::OpKind;
use ferrite_ir::{OpId, TensorId};

use crate::error::Unsupported;
use crate::index::Index;
use crate::lowered::{Event, Legal, LegalWork};
use crate::npu::Stored;
use crate::passes::plan_segments::Schedule;

/// Leaves the operators of segments to the host that are not worth their round trip, given the seconds
/// that a layer takes. Whether there are any.
///
/// Judged are segments without multiply-accumulates in models that have some: a lone addition costs a
/// kick and two changes of layout, and the host's own kernels round as their reference does. A model's
/// main work is for the NPU however small the model is.
pub fn drop_worthless<L>(
    index: &Index,
    timing: &Timing,
    schedule: &Schedule,
    steps: &mut [Legal<L>],
    seconds: impl Fn(&L) -> f64,
) -> bool {
    let macs = |at: usize| index.graph.macs(steps[at].op);
    let idle = |event: &Event<usize>| matches!(event, Event::Submit(members) if members.iter().all(|&at| macs(at) == 0));
    if !schedule.events.iter().any(idle) || index.graph.total_macs() == 0 {
        return false;
    }
    let leaving = schedule.events.iter().filter_map(|event| match event {
        Event::Leave(_, tensor) => Some(*tensor),
        _ => None,
    });
    let leaving: HashSet<TensorId> = leaving.collect();
    let (mut crossing, mut worthless) = (0.0, Vec::new());
    for event in &schedule.events {
        match event {
            Event::Enter(_, tensor) => crossing += bytes(index, *tensor),
            Event::Submit(members) if idle(event) => {
                let (mut device, mut host) = (timing.kick, 0.0);
                for &at in members {
                    let outputs = &index.graph.node(steps[at].op).outputs;
                    let left = outputs.iter().filter(|tensor| leaving.contains(tensor));
                    crossing += left.map(|&tensor| bytes(index, tensor)).sum::<f64>();
                    if let LegalWork::Npu { layers, .. } = &steps[at].work {
                        device += layers.iter().map(&seconds).sum::<f64>();
                    }
                    host += host_seconds(index, timing, steps[at].op);
                }
                device += std::mem::take(&mut crossing) / timing.host_bytes;
                if host < device {
                    worthless.extend(members.iter().map(|&at| (at, device, host)));
                }
            }
            Event::Submit(_) => crossing = 0.0,
            Event::Cpu(_) | Event::Leave(..) | Event::Requantise(..) => {}
        }
    }
    for &(at, device, host) in &worthless {
        let (device, host) = (device * 1e6, host * 1e6);
        steps[at].work = LegalWork::Host(Unsupported::new(format!(
            "not worth a submission of its own: some {device:.0} us by way of the NPU, {host:.0} us here"
        )));
    }
    !worthless.is_empty()
}

/// Bytes of a map on its way between host and device.
pub(super) fn bytes(index: &Index, tensor: TensorId) -> f64 {
    index.tensor(tensor).elements() as f64
}

/// Seconds that the host takes for an operator without multiply-accumulates.
pub(super) fn host_seconds(index: &Index, timing: &Timing, op: OpId) -> f64 {
    let node = index.graph.node(op);
    let operands = node.inputs.iter().flatten().chain(&node.outputs);
    let computed = operands.filter(|&&tensor| !index.tensor(tensor).is_constant());
    let bytes: usize = computed
        .map(|&tensor| index.tensor(tensor).elements())
        .sum();
    let rate = match copies_runs(index, op) {
        // Copies are as fast as memory, which is taken to be that of the device.
        true => timing.core_bandwidth.max(timing.host_bytes),
        false => timing.host_bytes,
    };
    bytes as f64 / rate
}

/// Whether the host's kernel does nothing but copy long runs of bytes: all, or rows below or beside one
/// another.
fn copies_runs(index: &Index, op: OpId) -> bool {
    let node = index.graph.node(op);
    let stored = |&tensor: &TensorId| Stored::of(index.tensor(tensor));
    let result = &node.outputs[..1.min(node.outputs.len())];
    let mut all = node.inputs.iter().flatten().chain(result).map(stored);
    match node.kind {
        OpKind::Concatenation { axis, .. } => {
            let rank = result.first().map_or(0, |&t| index.tensor(t).shape.len()) as i32;
            let first = all.next();
            axis != -1 && axis != rank - 1 && all.all(|other| Some(other) == first)
        }
        OpKind::Reshape | OpKind::Squeeze | OpKind::ExpandDims => true,
        _ => false,
    }
}
