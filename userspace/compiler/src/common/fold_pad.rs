//! PAD into the convolution behind it.

use ferrite_ir::TensorId;
use ferrite_ir::op::OpKind;

use super::index::Index;
use super::stored::Stored;

/// If `tensor` is a PAD of rows and columns with the zero point, at most a kernel's worth: what it
/// pads, and the rows above and columns to the left it adds.
pub fn fold_pad(ctx: &Index, tensor: TensorId) -> Option<(TensorId, usize, usize)> {
    let (_, node) = ctx.producer(tensor)?;
    if node.kind != OpKind::Pad {
        return None;
    }
    let source = (*node.inputs.first()?)?;
    let paddings = ctx.ints((*node.inputs.get(1)?)?)?;
    let (before, after) = (
        Stored::of(ctx.tensor(source))?,
        Stored::of(ctx.tensor(tensor))?,
    );
    if before != after || ctx.tensor(source).shape.len() != 4 || paddings.len() != 8 {
        return None;
    }
    // A value operand must be the zero point, which is what PAD without one fills in.
    if let Some(value) = node.inputs.get(2).copied().flatten() {
        let value = *ctx.ints(value)?.first()?;
        if value != i64::from(before.zero + before.offset) {
            return None;
        }
    }
    let batch_and_channels = [0, 1, 6, 7];
    if batch_and_channels.iter().any(|&i| paddings[i] != 0) || paddings.iter().any(|&p| p < 0) {
        return None;
    }
    Some((source, paddings[2] as usize, paddings[4] as usize))
}
