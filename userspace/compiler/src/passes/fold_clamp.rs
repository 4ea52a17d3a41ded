//! Stand-alone RELU, RELU6 and the like into the operator before them.

use ferrite_ir::op::{Binary, OpKind};

use crate::index::Index;
use crate::npu::{Form, Range, Stored, Work};

/// Narrows the range of convolutions and additions whose result nothing but a clamp reads, and makes
/// the clamp a view of that result.
pub fn fold_clamp(form: &mut Form, index: &Index) {
    for at in 0..form.items.len() {
        let item = &form.items[at];
        let Work::Rescale(source) = item.work else {
            continue;
        };
        let stored = |tensor| Stored::of(index.tensor(tensor));
        let range = item.range;
        if stored(source) == stored(index.result(item.op))
            && index.only_use(source)
            && let Some((op, node)) = index.producer(source)
            && takes_clamp(&node.kind)
        {
            let producer = form.item_mut(op);
            producer.range = producer.range.within(range);
            let item = &mut form.items[at];
            (item.work, item.range) = (Work::View(source), Range::FULL);
        }
    }
}

fn takes_clamp(kind: &OpKind) -> bool {
    matches!(
        kind,
        OpKind::Conv2d(_)
            | OpKind::DepthwiseConv2d { .. }
            | OpKind::FullyConnected { .. }
            | OpKind::Binary {
                op: Binary::Add | Binary::Sub,
                ..
            }
    )
}
