//! RESIZE_NEAREST_NEIGHBOR and RESIZE_BILINEAR.

use ferrite_ir::op::Activation;
use ferrite_ir::{OpId, TensorId};

use super::selected::Selected;
use crate::error::Unsupported;
use crate::index::{Index, nhwc};
use crate::npu::{Grid, Stored, Work};

/// A map whose elements are copies of the nearest of another.
pub fn nearest(index: &Index, op: OpId, grid: Grid) -> Selected {
    let input = checked(index, op)?;
    Ok((Work::Nearest { input, grid }, Activation::None))
}

/// A map whose elements are means of the four of another that are around them.
pub fn bilinear(index: &Index, op: OpId, grid: Grid) -> Selected {
    let input = checked(index, op)?;
    // Around a single pixel there is no other.
    let work = match index.tensor(input).shape[..] {
        [_, 1, 1, _] => Work::Nearest { input, grid },
        _ => Work::Bilinear { input, grid },
    };
    Ok((work, Activation::None))
}

/// The operand, of which the result is a map in the same steps.
fn checked(index: &Index, op: OpId) -> Result<TensorId, Unsupported> {
    let (input, output) = (index.operand(op, 0)?, index.result(op));
    let (from, to) = (index.tensor(input), index.tensor(output));
    nhwc(from)?;
    nhwc(to)?;
    match Stored::of(from) == Stored::of(to) {
        true => Ok(input),
        false => Err(Unsupported::new(
            "a resize between maps that are not quantised alike",
        )),
    }
}
