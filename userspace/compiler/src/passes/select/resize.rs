//! RESIZE_NEAREST_NEIGHBOR.

use ferrite_ir::OpId;
use ferrite_ir::op::Activation;

use super::selected::Selected;
use crate::error::Unsupported;
use crate::index::{Index, nhwc};
use crate::npu::{Grid, Stored, Work};

/// A map whose elements are copies of the nearest of another.
pub fn nearest(index: &Index, op: OpId, grid: Grid) -> Selected {
    let (input, output) = (index.operand(op, 0)?, index.result(op));
    let (from, to) = (index.tensor(input), index.tensor(output));
    nhwc(from)?;
    nhwc(to)?;
    if Stored::of(from) != Stored::of(to) {
        return Err(Unsupported::new(
            "a resize between maps that are not quantised alike",
        ));
    }
    Ok((Work::Nearest { input, grid }, Activation::None))
}
