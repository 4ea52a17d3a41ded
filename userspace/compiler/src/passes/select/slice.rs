//! STRIDED_SLICE, SLICE, SPLIT and SPLIT_V of channels.

use ferrite_ir::op::{Activation, OpKind};
use ferrite_ir::{OpId, TensorId};

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

/// A map cut along its channels: `operands` are the numbers of the map and of the axis.
pub fn split(index: &Index, rules: &Rules, op: OpId, operands: [usize; 2]) -> Selected {
    let [input, axis] = operands.map(|operand| index.operand(op, operand));
    let (input, axis) = (input?, axis?);
    let (from, name) = (index.tensor(input), index.graph.op_name(op));
    let rank = from.shape.len();
    let last = index
        .ints(axis)
        .is_some_and(|axis| matches!(axis[..], [axis] if axis == -1 || axis == rank as i64 - 1));
    let parts = &index.graph.node(op).outputs;
    let of_channels = |part: &TensorId| {
        let part = index.tensor(*part);
        let pixels = |shape: Option<[usize; 3]>| shape.map(|[h, w, _]| [h, w]);
        Stored::of(part) == Stored::of(from) && pixels(map_shape(part)) == pixels(map_shape(from))
    };
    match last && rank > 1 && parts.iter().all(of_channels) {
        true => Ok((Work::Split(input), Activation::None)),
        false => Err(Unsupported::new(format!(
            "no lowering to {} of {name} of {:?} other than of channels",
            rules.chip, from.shape
        ))),
    }
}
