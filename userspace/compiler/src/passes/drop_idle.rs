//! Operators whose result is made in place, where nothing on the device would notice.

use std::collections::HashSet;

use ferrite_ir::{OpId, TensorId};

use crate::error::Unsupported;
use crate::index::Index;
use crate::lowered::{Legal, LegalWork};

/// Leaves steps without layers to the host where the device has neither operands nor use for the
/// result.
pub fn drop_idle<L>(index: &Index, steps: &mut [Legal<L>]) {
    let empty =
        |step: &Legal<L>| matches!(&step.work, LegalWork::Npu { layers, .. } if layers.is_empty());
    if !steps.iter().any(empty) {
        return;
    }
    let step_of = |op: OpId| steps.iter().find(|step| step.op == op);
    let on_device = |mut tensor: TensorId| loop {
        let step = index.producer(tensor).and_then(|(op, _)| step_of(op));
        match step.map(|step| &step.work) {
            Some(LegalWork::View(source)) => tensor = *source,
            Some(LegalWork::Npu { .. }) => return true,
            Some(LegalWork::Host(_) | LegalWork::Requantise(..)) | None => return false,
        }
    };
    let mut used = HashSet::new();
    for step in steps.iter() {
        match &step.work {
            LegalWork::Npu { reads, .. } => used.extend(reads),
            LegalWork::View(source) => used.extend([*source]),
            LegalWork::Host(_) | LegalWork::Requantise(..) => {}
        }
    }
    let made = |op: OpId| &index.graph.node(op).outputs;
    let is_idle = |step: &Legal<L>| match &step.work {
        LegalWork::Npu { reads, layers, .. } => {
            layers.is_empty()
                && !reads.iter().any(|&tensor| on_device(tensor))
                && !made(step.op).iter().any(|made| used.contains(made))
        }
        _ => false,
    };
    let idle: Vec<bool> = steps.iter().map(is_idle).collect();
    for (step, idle) in steps.iter_mut().zip(idle) {
        if idle {
            let why = Unsupported::new("its operands and result are on the host");
            step.work = LegalWork::Host(why);
        }
    }
}
