//! PAD of rows and columns, or of channels, with the zero point.

use ferrite_ir::OpId;
use ferrite_ir::op::{Activation, Hw};

use super::selected::Selected;
use crate::error::Unsupported;
use crate::index::Index;
use crate::npu::{Stored, Work};

/// A padding that convolutions can make themselves.
pub fn pad(index: &Index, op: OpId) -> Selected {
    let (input, output) = (index.operand(op, 0)?, index.result(op));
    before(index, op)
        .map(|(before, channels)| {
            let work = match channels {
                None => Work::Pad { input, before },
                Some(before) => Work::PadChannels { input, before },
            };
            (work, Activation::None)
        })
        .ok_or_else(|| {
            Unsupported::new(format!(
                "padding of {:?} to {:?} that is not of rows and columns, or of channels, with the zero point",
                index.tensor(input).shape,
                index.tensor(output).shape
            ))
        })
}

/// Rows above and columns to the left, if nothing else than rows and columns is added, or channels before
/// the first if only channels are, and if these hold the zero point.
fn before(index: &Index, op: OpId) -> Option<(Hw, Option<usize>)> {
    let (input, output) = (index.operand(op, 0).ok()?, index.result(op));
    let paddings = index.ints(index.operand(op, 1).ok()?)?;
    let stored = |tensor| Stored::of(index.tensor(tensor));
    let (before, after) = (stored(input)?, stored(output)?);
    if before != after || index.tensor(input).shape.len() != 4 || paddings.len() != 8 {
        return None;
    }
    // A value operand must be the zero point, which is what PAD without one fills in.
    if let Some(value) = index.optional(op, 2) {
        let value = *index.ints(value)?.first()?;
        if value != i64::from(before.zero + before.offset) {
            return None;
        }
    }
    let added = |axes: std::ops::Range<usize>| paddings[axes].iter().any(|&p| p != 0);
    if added(0..2) || added(2..6) && added(6..8) || paddings.iter().any(|&p| p < 0) {
        return None;
    }
    let size = Hw {
        h: paddings[2] as usize,
        w: paddings[4] as usize,
    };
    Some((size, added(6..8).then_some(paddings[6] as usize)))
}
