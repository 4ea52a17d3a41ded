//! Operators that take longer on the NPU than by way of the host.

use ferrite_hw::Timing;

use super::drop_worthless::{bytes, host_seconds};
use crate::error::Unsupported;
use crate::index::Index;
use crate::lowered::{Legal, LegalWork};

/// Leaves operators to the host whose layers take longer than a submission more, the way to the host and
/// back, and the host's own kernel: those that move few channels of many pixels.
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
    for step in steps {
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
            let (device, host) = (device * 1e6, host * 1e6);
            step.work = LegalWork::Host(Unsupported::new(format!(
                "some {device:.0} us on the NPU, {host:.0} us by way of the host"
            )));
        }
    }
}
