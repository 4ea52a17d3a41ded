//! From a graph's operators to items of the NPU form, one each.
//!
//! What an NPU could do becomes work for it, whatever the chip; what no NPU work stands for stays with
//! the host, with the reason.

mod blocks;
mod concat;
mod conv;
mod elementwise;
mod fully_connected;
mod pad;
mod pool;
mod reference;
mod resize;
mod selected;
mod slice;

use ferrite_ir::OpId;
use ferrite_ir::op::{Activation, Binary, OpKind, Reduce};

use crate::error::Unsupported;
use crate::index::Index;
use crate::npu::{Form, Grid, Item, Range, Work};
use crate::target::Rules;
use selected::Selected;

/// The items of all operators.
pub fn select(index: &Index, rules: &Rules) -> Form {
    let items = index.graph.op_ids().map(|op| item(index, rules, op));
    Form {
        items: items.collect(),
    }
}

fn item(index: &Index, rules: &Rules, op: OpId) -> Item {
    let host = |why| Item {
        op,
        range: Range::FULL,
        work: Work::Host(why),
    };
    let selected = work(index, rules, op).and_then(|(work, activation)| {
        let range = index.stored(index.result(op))?.range(activation);
        let item = Item { op, range, work };
        for map in item.maps() {
            index.stored(map)?;
        }
        Ok(item)
    });
    selected.unwrap_or_else(host)
}

fn work(index: &Index, rules: &Rules, op: OpId) -> Selected {
    reference::check(index.graph, op)?;
    match &index.graph.node(op).kind {
        OpKind::Conv2d(params) => conv::conv(index, op, params, None),
        OpKind::DepthwiseConv2d { params, multiplier } => {
            conv::conv(index, op, params, Some(*multiplier))
        }
        &OpKind::TransposeConv {
            padding,
            stride,
            activation,
        } => conv::transposed(index, op, stride, padding, activation),
        OpKind::FullyConnected { activation, .. } => {
            fully_connected::fully_connected(index, rules, op, *activation)
        }
        OpKind::Binary {
            op: kind @ (Binary::Add | Binary::Sub),
            activation,
        } => elementwise::add(index, op, *kind == Binary::Sub, *activation),
        OpKind::Binary {
            op: kind,
            activation,
        } => match elementwise::function(*kind) {
            Some(function) => elementwise::pair(index, op, function, *activation),
            None => unknown(index, rules, op),
        },
        OpKind::Quantize => elementwise::rescale(index, op, Activation::None),
        OpKind::Unary(unary) => match elementwise::clamp(*unary) {
            Some(activation) => elementwise::rescale(index, op, activation),
            None if elementwise::is_tabled(*unary) => {
                elementwise::table(index, op, index.operand(op, 0)?)
            }
            None => unknown(index, rules, op),
        },
        OpKind::DepthToSpace { block } => blocks::blocks(index, op, *block, false),
        OpKind::SpaceToDepth { block } => blocks::blocks(index, op, *block, true),
        OpKind::Split => slice::split(index, rules, op, [1, 0]),
        OpKind::SplitV => slice::split(index, rules, op, [0, 2]),
        OpKind::StridedSlice { .. } | OpKind::Slice => slice::slice(index, rules, op),
        OpKind::LeakyRelu { .. } => elementwise::table(index, op, index.operand(op, 0)?),
        OpKind::Prelu => elementwise::prelu(index, op),
        OpKind::Concatenation { axis, activation } => concat::concat(index, op, *axis, *activation),
        OpKind::AveragePool2d(params) => pool::average(index, op, params),
        OpKind::MaxPool2d(params) => pool::maximum(index, op, params),
        OpKind::Reduce {
            op: Reduce::Mean, ..
        } => pool::mean(index, op),
        OpKind::Pad => pad::pad(index, op),
        kind @ &(OpKind::ResizeBilinear {
            align_corners,
            half_pixel_centers,
        }
        | OpKind::ResizeNearest {
            align_corners,
            half_pixel_centers,
        }) => {
            let grid = Grid {
                align_corners,
                half_pixel_centers,
            };
            match kind {
                OpKind::ResizeBilinear { .. } => resize::bilinear(index, op, grid),
                _ => resize::nearest(index, op, grid),
            }
        }
        OpKind::Reshape | OpKind::Squeeze | OpKind::ExpandDims => {
            let source = index.operand(op, 0)?;
            Ok((Work::View(source), Activation::None))
        }
        _ => unknown(index, rules, op),
    }
}

fn unknown(index: &Index, rules: &Rules, op: OpId) -> Selected {
    Err(Unsupported::new(format!(
        "no lowering of {} to {}",
        index.graph.op_name(op),
        rules.chip
    )))
}
