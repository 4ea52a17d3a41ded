//! From items of the NPU form to a family's layers. What the chip cannot do stays with the host.

use crate::lowered::{Legal, LegalWork, Lowered};
use crate::npu::{Form, Item, Work};
use crate::target::{Builder, Family};

/// The steps of all items: one of most, two where the host requantises what the NPU has made.
pub fn legalise<F: Family>(form: &Form, builder: &mut F::Builder<'_>) -> Vec<Legal<F::Layer>> {
    let mut steps = Vec::with_capacity(form.items.len());
    for item in &form.items {
        let op = item.op;
        let mut add = |work| steps.push(Legal { op, work });
        match &item.work {
            Work::Host(why) => add(LegalWork::Host(why.clone())),
            Work::View(source) => {
                let output = builder.result(op);
                builder.alias(output, *source);
                add(LegalWork::View(*source));
            }
            _ => match builder.legalise(item) {
                Ok(lowered) => split(item, lowered, add),
                Err(why) => add(LegalWork::Host(why)),
            },
        }
    }
    steps
}

fn split<L>(item: &Item, lowered: Lowered<L>, mut add: impl FnMut(LegalWork<L>)) {
    add(LegalWork::Npu {
        reads: item.maps(),
        name: lowered.name,
        evidence: lowered.evidence,
        layers: lowered.layers,
        error: lowered.error,
        accumulates: lowered.requantise.is_some(),
    });
    if let Some((map, requantise)) = lowered.requantise {
        add(LegalWork::Requantise(map, requantise));
    }
}
