//! STRIDED_SLICE and SLICE, SPLIT and SPLIT_V of channels.

use ferrite_ir::op::{Activation, Hw, OpKind};
use ferrite_ir::{OpId, TensorId};

use super::selected::Selected;
use crate::error::Unsupported;
use crate::index::{Index, map_shape};
use crate::npu::{Stored, Work};
use crate::target::Rules;

/// Neighbouring channels of a map, or of rows and columns of it.
pub fn slice(index: &Index, rules: &Rules, op: OpId) -> Selected {
    let (input, output) = (index.operand(op, 0)?, index.result(op));
    let (from, to) = (index.tensor(input), index.tensor(output));
    let work = ranges(index, op)
        .filter(|_| Stored::of(from) == Stored::of(to))
        .and_then(|ranges| work(input, &ranges, [map_shape(from)?, map_shape(to)?]));
    work.map(|work| (work, Activation::None)).ok_or_else(|| {
        Unsupported::new(format!(
            "no lowering to {} of {} of {:?} to {:?}",
            rules.chip,
            index.graph.op_name(op),
            from.shape,
            to.shape
        ))
    })
}

/// The elements of an axis that are taken.
struct Taken {
    first: usize,
    step: usize,
    /// All of them.
    all: bool,
}

/// What is taken of rows, columns and channels; of the axes before these, all.
fn work(input: TensorId, ranges: &[Taken], [from, to]: [[usize; 3]; 2]) -> Option<Work> {
    let (channels, others) = ranges.split_last()?;
    let inside = |axis: usize, first: usize, step: usize| {
        first.saturating_add((to[axis] - 1).saturating_mul(step)) < from[axis]
    };
    if channels.step != 1 || !inside(2, channels.first, 1) {
        return None;
    }
    if others.iter().all(|axis| axis.all) {
        let first = channels.first;
        return Some(Work::Channels { input, first });
    }
    let [.., rows, columns] = others else {
        return None;
    };
    let fits = inside(0, rows.first, rows.step) && inside(1, columns.first, columns.step);
    fits.then_some(Work::Slice {
        input,
        first: [rows.first, columns.first, channels.first],
        step: Hw {
            h: rows.step,
            w: columns.step,
        },
    })
}

/// What is taken of each axis. Rows of several images are not equally far apart: of these, all must be.
fn ranges(index: &Index, op: OpId) -> Option<Vec<Taken>> {
    let shape = |tensor| &index.tensor(tensor).shape;
    let (from, to) = (shape(index.operand(op, 0).ok()?), shape(index.result(op)));
    let ints = |operand| index.ints(index.operand(op, operand).ok()?);
    let (begin, rank) = (ints(1)?, from.len());
    if begin.len() != rank || to.len() != rank {
        return None;
    }
    let (masked, steps) = match index.graph.node(op).kind {
        OpKind::StridedSlice {
            begin_mask,
            ellipsis_mask: 0,
            new_axis_mask: 0,
            shrink_axis_mask: 0,
            ..
        } => (begin_mask, ints(3)?),
        OpKind::Slice => (0, vec![1; rank]),
        _ => return None,
    };
    if steps.len() != rank {
        return None;
    }
    let taken = |axis: usize| {
        let (step, extent) = (usize::try_from(steps[axis]).ok()?, from[axis] as i64);
        let first = match begin[axis] {
            _ if masked >> axis & 1 == 1 => 0,
            first if first < 0 => usize::try_from(first + extent).ok()?,
            first => usize::try_from(first).ok()?,
        };
        let all = (first, step) == (0, 1) && from[axis] == to[axis];
        (step > 0).then_some(Taken { first, step, all })
    };
    let ranges: Option<Vec<Taken>> = (0..rank).map(taken).collect();
    let images: usize = from[..rank.saturating_sub(3)].iter().product();
    ranges.filter(|ranges| images == 1 || ranges[..rank - 1].iter().all(|axis| axis.all))
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
