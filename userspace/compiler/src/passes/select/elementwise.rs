//! ADD, SUB and other functions of two operands, QUANTIZE between 8-bit types, and stand-alone clamps.

use ferrite_ir::op::{Activation, Binary, Unary};
use ferrite_ir::{OpId, TensorId};

use super::selected::Selected;
use crate::error::Unsupported;
use crate::index::{Index, map_shape};
use crate::npu::{Conv, ConvKind, Elementwise, Grouping, Window, Work};

/// A sum or difference of two maps, or of a map and a constant.
pub fn add(index: &Index, op: OpId, subtract: bool, activation: Activation) -> Selected {
    let (first, second) = (index.operand(op, 0)?, index.operand(op, 1)?);
    let (a, b) = (index.tensor(first), index.tensor(second));
    let work = match (a.is_constant(), b.is_constant()) {
        (false, true) => Work::AddConstant {
            input: first,
            constant: second,
            subtract,
        },
        (true, false) if !subtract => Work::AddConstant {
            input: second,
            constant: first,
            subtract,
        },
        _ if a.shape != b.shape => {
            return Err(Unsupported::new(format!(
                "operands {:?} and {:?} differ in shape",
                a.shape, b.shape
            )));
        }
        _ => Work::Add {
            operands: [first, second],
            subtract,
        },
    };
    Ok((work, activation))
}

/// The function of two maps that a binary operator is, beside sums.
pub fn function(op: Binary) -> Option<Elementwise> {
    match op {
        Binary::Mul => Some(Elementwise::Multiply),
        Binary::Maximum => Some(Elementwise::Maximum),
        Binary::Minimum => Some(Elementwise::Minimum),
        _ => None,
    }
}

/// A function of two maps.
pub fn pair(index: &Index, op: OpId, function: Elementwise, activation: Activation) -> Selected {
    let operands = [index.operand(op, 0)?, index.operand(op, 1)?];
    let [a, b] = operands.map(|operand| index.tensor(operand));
    let name = index.graph.op_name(op);
    match [a, b].map(|operand| operand.is_constant()) {
        [false, false] => {}
        [false, true] if b.elements() == 1 => return table(index, op, operands[0]),
        [true, false] if a.elements() == 1 => return table(index, op, operands[1]),
        [false, true] if function == Elementwise::Multiply => {
            return Ok((factors(index, op, operands[0], operands[1])?, activation));
        }
        [true, false] if function == Elementwise::Multiply => {
            return Ok((factors(index, op, operands[1], operands[0])?, activation));
        }
        _ => {
            return Err(Unsupported::new(format!(
                "{name} of {:?} and {:?}, of which one is constant",
                a.shape, b.shape
            )));
        }
    }
    let shapes = [a, b].map(map_shape);
    if let [Some([.., channels]), Some(one)] = shapes
        && one == [1, 1, channels]
        && a.shape == index.tensor(index.result(op)).shape
    {
        return Ok((Work::Elementwise { function, operands }, activation));
    }
    if let [Some(one), Some([.., channels])] = shapes
        && one == [1, 1, channels]
        && b.shape == index.tensor(index.result(op)).shape
    {
        let operands = [operands[1], operands[0]];
        return Ok((Work::Elementwise { function, operands }, activation));
    }
    if a.shape != b.shape {
        return Err(Unsupported::new(format!(
            "{name} of operands {:?} and {:?}, which differ in shape",
            a.shape, b.shape
        )));
    }
    Ok((Work::Elementwise { function, operands }, activation))
}

/// A product with a constant for each channel: a depthwise convolution of one tap, which TFLite rounds in
/// the same way.
pub fn factors(
    index: &Index,
    op: OpId,
    input: TensorId,
    constant: TensorId,
) -> Result<Work, Unsupported> {
    let (map, values) = (index.tensor(input), index.tensor(constant));
    let result = index.tensor(index.result(op));
    let shape = map_shape(map).filter(|&[.., channels]| {
        let by_channel = values.shape.last() == Some(&channels);
        by_channel && values.elements() == channels && map.shape == result.shape
    });
    let shape = shape.ok_or_else(|| {
        Unsupported::new(format!(
            "a constant of shape {:?} is not one value for each channel",
            values.shape
        ))
    })?;
    Ok(Work::Conv(Conv {
        kind: ConvKind::Depthwise,
        input,
        images: 1,
        input_shape: shape,
        output_shape: shape,
        window: Window::unit(),
        patches: None,
        grouping: Grouping::Groups {
            inputs: 1,
            outputs: 1,
            channel_last: true,
        },
        filter: constant,
        bias: None,
    }))
}

/// A function of each byte of a map alone, with the operator's own activation.
pub fn table(index: &Index, op: OpId, input: TensorId) -> Selected {
    let (from, to) = (index.tensor(input), index.tensor(index.result(op)));
    if from.shape != to.shape {
        return Err(Unsupported::new(format!(
            "a map of {:?} that becomes {:?} by a constant",
            from.shape, to.shape
        )));
    }
    Ok((Work::Table(input), Activation::None))
}

/// PRELU; with one slope for all channels a function of each byte.
pub fn prelu(index: &Index, op: OpId) -> Selected {
    let (input, slopes) = (index.operand(op, 0)?, index.operand(op, 1)?);
    let constant = index.tensor(slopes);
    let channels = index.tensor(input).shape.last();
    let by_channel = constant.shape.last() == channels && Some(&constant.elements()) == channels;
    match constant.elements() {
        _ if !constant.is_constant() => Err(Unsupported::new("slopes that are computed")),
        1 => table(index, op, input),
        _ if by_channel => Ok((Work::Prelu { input, slopes }, Activation::None)),
        _ => Err(Unsupported::new(format!(
            "slopes of shape {:?} in place of one, or one for each channel",
            constant.shape
        ))),
    }
}

/// Whether a unary operator, beside clamps, is defined on quantised bytes.
pub fn is_tabled(unary: Unary) -> bool {
    matches!(
        unary,
        Unary::Logistic | Unary::Tanh | Unary::HardSwish | Unary::Relu0To1
    )
}

/// The values of the operand, in steps of the result, within an activation's range.
pub fn rescale(index: &Index, op: OpId, activation: Activation) -> Selected {
    Ok((Work::Rescale(index.operand(op, 0)?), activation))
}

/// The activation that a unary operator is, if it is a clamp that convolutions can have too.
pub fn clamp(unary: Unary) -> Option<Activation> {
    match unary {
        Unary::Relu => Some(Activation::Relu),
        Unary::Relu6 => Some(Activation::Relu6),
        Unary::ReluN1To1 => Some(Activation::ReluN1To1),
        _ => None,
    }
}
