//! CONCATENATION of channels.

use ferrite_ir::OpId;
use ferrite_ir::op::Activation;

use super::selected::Selected;
use crate::error::Unsupported;
use crate::index::Index;
use crate::npu::{Operands, Work};

/// A concatenation along the channels.
pub fn concat(index: &Index, op: OpId, axis: i32, activation: Activation) -> Selected {
    if activation != Activation::None {
        return Err(Unsupported::new("a concatenation with an activation"));
    }
    let rank = index.tensor(index.result(op)).shape.len();
    if rank < 2 || (axis != -1 && axis as usize != rank - 1) {
        return Err(Unsupported::new(format!(
            "a concatenation along axis {axis} instead of the channels"
        )));
    }
    let operands = 0..index.graph.node(op).inputs.len();
    let operands: Result<Operands, _> = operands.map(|i| index.operand(op, i)).collect();
    Ok((Work::Concat(operands?), Activation::None))
}
