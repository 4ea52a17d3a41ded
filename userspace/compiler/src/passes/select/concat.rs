//! CONCATENATION of channels, rows or columns.

use ferrite_ir::OpId;
use ferrite_ir::op::Activation;

use super::selected::Selected;
use crate::error::Unsupported;
use crate::index::Index;
use crate::npu::{Operands, Work};

/// A concatenation along the channels, or along rows or columns of single images.
pub fn concat(index: &Index, op: OpId, axis: i32, activation: Activation) -> Selected {
    if activation != Activation::None {
        return Err(Unsupported::new("a concatenation with an activation"));
    }
    let shape = &index.tensor(index.result(op)).shape;
    let rank = shape.len();
    let operands = 0..index.graph.node(op).inputs.len();
    let operands: Result<Operands, _> = operands.map(|i| index.operand(op, i)).collect();
    let operands = operands?;
    let from = if axis < 0 { axis + rank as i32 } else { axis };
    // Axes behind the one that is joined.
    let behind = (rank as i32 - 1).checked_sub(from);
    let single = rank > 3 && shape[..rank - 3].iter().all(|&images| images == 1);
    let work = match behind {
        Some(0) if rank > 1 => Work::Concat(operands),
        Some(1) if rank > 2 => Work::Join {
            operands,
            columns: true,
        },
        Some(2) if single || rank == 3 => Work::Join {
            operands,
            columns: false,
        },
        _ => {
            return Err(Unsupported::new(format!(
                "a concatenation of {shape:?} along axis {axis}"
            )));
        }
    };
    Ok((work, Activation::None))
}
