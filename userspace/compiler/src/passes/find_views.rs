//! Operators that neither move nor change a byte on the device.

use ferrite_ir::TensorId;

use crate::error::Unsupported;
use crate::index::{Index, map_shape};
use crate::npu::{Form, Item, Range, Stored, Work};
use crate::target::Rules;

/// Makes views of rescalings that change nothing. Of reshapes that would move bytes, those that make pixels
/// of channels become work of their own, and others are left to the host.
pub fn find_views(form: &mut Form, index: &Index, rules: &Rules) {
    for item in &mut form.items {
        match item.work {
            Work::Rescale(source) if is_identity(index, item, source) => {
                item.work = Work::View(source);
            }
            Work::View(source) if unfolds(index, rules, item, source) => {
                item.work = Work::Unfold(source);
            }
            Work::View(source) if !stays(index, rules, item, source) => {
                item.work = Work::Host(Unsupported::new(format!(
                    "no lowering of {} to {}",
                    index.graph.op_name(item.op),
                    rules.chip
                )));
            }
            _ => {}
        }
    }
}

/// Whether a rescaling keeps all values as they are stored on the device, where int8 and uint8 have
/// one form.
fn is_identity(index: &Index, item: &Item, source: TensorId) -> bool {
    let steps = |tensor| Stored::of(index.tensor(tensor)).map(|stored| (stored.scale, stored.zero));
    let output = index.result(item.op);
    item.range == Range::FULL
        && !index.tensor(source).is_constant()
        && steps(source).is_some()
        && steps(source) == steps(output)
}

/// Whether a reshape makes several pixels of each one's channels, in atoms, which that would move.
fn unfolds(index: &Index, rules: &Rules, item: &Item, source: TensorId) -> bool {
    let (from, to) = (index.tensor(source), index.tensor(index.result(item.op)));
    let (Some([h, w, all]), Some([rows, columns, some])) = (map_shape(from), map_shape(to)) else {
        return false;
    };
    !rules.planes
        && !from.is_constant()
        && all > some
        && all.is_multiple_of(some)
        && h * w * (all / some) == rows * columns
        && Stored::of(from).is_some_and(|stored| Some(stored) == Stored::of(to))
}

/// Whether a view's bytes lie on the device as its source's do.
fn stays(index: &Index, rules: &Rules, item: &Item, source: TensorId) -> bool {
    let (from, to) = (index.tensor(source), index.tensor(index.result(item.op)));
    let in_place = |from, to| Some(rules.same_bytes(map_shape(from)?, map_shape(to)?));
    !from.is_constant()
        && in_place(from, to) == Some(true)
        && Stored::of(from).is_some_and(|stored| Some(stored) == Stored::of(to))
}
