//! FULLY_CONNECTED: a 1x1 convolution, or one with a kernel as large as the map where the map was
//! flattened right before.

use ferrite_ir::OpId;
use ferrite_ir::op::{Activation, Hw};

use super::selected::Selected;
use crate::error::Unsupported;
use crate::index::{Index, map_shape};
use crate::npu::{Conv, ConvKind, Grouping, Window, Work};
use crate::target::Rules;

/// A fully connected layer.
pub fn fully_connected(index: &Index, rules: &Rules, op: OpId, activation: Activation) -> Selected {
    let (given, filter) = (index.operand(op, 0)?, index.operand(op, 1)?);
    let output = index.result(op);
    let [outputs, inputs] = index.tensor(filter).shape[..] else {
        return Err(Unsupported::new("the filter is not a matrix"));
    };
    let elements = index.tensor(given).elements();
    if inputs == 0
        || !elements.is_multiple_of(inputs)
        || index.tensor(output).elements() != elements / inputs * outputs
    {
        return Err(Unsupported::new(format!(
            "{elements} input elements do not make rows of {inputs}"
        )));
    }
    let rows = elements / inputs;
    let source = index.origin(given);
    let shape = |tensor| map_shape(index.tensor(tensor));
    // The rows of a matrix are pixels, however they are arranged.
    let in_rows = |tensor| shape(tensor).filter(|&[_, _, channels]| channels == inputs);
    // The images whose elements are the rows, and rows and columns of one.
    let images = || {
        let [h, w, channels] = match index.tensor(source).shape[..] {
            [n, h, w, channels] if n == rows => [h, w, channels],
            _ if rows == 1 => shape(source)?,
            _ => return None,
        };
        (h * w * channels == inputs && rules.flattens(rows)).then_some([h, w, channels])
    };
    let pixels = |input, [h, w, _]: [usize; 3]| Conv {
        kind: ConvKind::FullyConnected,
        input,
        images: 1,
        input_shape: [h, w, inputs],
        output_shape: [h, w, outputs],
        window: Window::unit(),
        patches: None,
        grouping: Grouping::Dense,
        filter,
        bias: index.optional(op, 2),
    };
    let conv = if let Some(shape) = in_rows(source) {
        pixels(source, shape)
    } else if let Some([h, w, channels]) = images() {
        Conv {
            images: rows,
            input_shape: [h, w, channels],
            window: Window {
                kernel: Hw { h, w },
                ..Window::unit()
            },
            ..pixels(source, [1, 1, outputs])
        }
    } else if let Some(shape) = in_rows(given) {
        pixels(given, shape)
    } else {
        return Err(Unsupported::new(format!(
            "input {:?} does not lie in rows of {inputs}",
            index.tensor(given).shape
        )));
    };
    Ok((Work::Conv(conv), activation))
}
