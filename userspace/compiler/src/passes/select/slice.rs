//! STRIDED_SLICE and SLICE of channels.

use ferrite_ir::OpId;
use ferrite_ir::op::{Activation, OpKind};

use super::selected::Selected;
use crate::error::Unsupported;
use crate::index::{Index, map_shape};
use crate::npu::{Stored, Work};
use crate::target::Rules;

/// Neighbouring channels of a map.
pub fn channels(index: &Index, rules: &Rules, op: OpId) -> Selected {
    let (input, output) = (index.operand(op, 0)?, index.result(op));
    let (from, to) = (index.tensor(input), index.tensor(output));
    let first = first(index, op).filter(|&first| {
        let shapes = (map_shape(from), map_shape(to));
        let inside = matches!(
            shapes,
            (Some([h, w, all]), Some([rows, columns, some]))
                if [h, w] == [rows, columns] && first + some <= all
        );
        inside && Stored::of(from) == Stored::of(to)
    });
    let input_shape = &from.shape;
    first
        .map(|first| (Work::Channels { input, first }, Activation::None))
        .ok_or_else(|| {
            Unsupported::new(format!(
                "no lowering to {} of {} of {input_shape:?} to {:?} other than of neighbouring channels",
                rules.chip,
                index.graph.op_name(op),
                to.shape
            ))
        })
}

/// The first channel, if all of the other axes is taken, one element after the other.
fn first(index: &Index, op: OpId) -> Option<usize> {
    let shape = &index.tensor(index.operand(op, 0).ok()?).shape;
    let rank = shape.len();
    let ints = |operand| index.ints(index.operand(op, operand).ok()?);
    let begin = ints(1)?;
    if begin.len() != rank || index.tensor(index.result(op)).shape.len() != rank {
        return None;
    }
    let masked = match index.graph.node(op).kind {
        OpKind::StridedSlice {
            begin_mask,
            ellipsis_mask: 0,
            new_axis_mask: 0,
            shrink_axis_mask: 0,
            ..
        } if ints(3)?.iter().all(|&stride| stride == 1) => begin_mask,
        OpKind::Slice => 0,
        _ => return None,
    };
    // Axes that keep their size begin with their first element.
    let channels = shape.last().copied()? as i64;
    match masked >> (rank - 1) & 1 == 1 {
        true => Some(0),
        false => {
            let first = begin[rank - 1];
            usize::try_from(if first < 0 { first + channels } else { first }).ok()
        }
    }
}
