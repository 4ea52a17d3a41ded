//! DEPTH_TO_SPACE and SPACE_TO_DEPTH.

use ferrite_ir::OpId;
use ferrite_ir::op::Activation;

use super::selected::Selected;
use crate::error::Unsupported;
use crate::index::{Index, nhwc};
use crate::npu::{Stored, Work};

/// Pixels' channels as blocks of rows and columns, or the other way.
pub fn blocks(index: &Index, op: OpId, block: usize, to_depth: bool) -> Selected {
    let (input, output) = (index.operand(op, 0)?, index.result(op));
    let [from, to] = [input, output].map(|tensor| index.tensor(tensor));
    nhwc(from)?;
    nhwc(to)?;
    if Stored::of(from) != Stored::of(to) {
        return Err(Unsupported::new(
            "blocks of maps that are not quantised alike",
        ));
    }
    let work = match to_depth {
        true => Work::SpaceToDepth { input, block },
        false => Work::DepthToSpace { input, block },
    };
    Ok((work, Activation::None))
}
