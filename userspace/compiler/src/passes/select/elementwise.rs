//! ADD, SUB and other functions of two operands, QUANTIZE between 8-bit types, and stand-alone clamps.

use ferrite_ir::op::{Activation, Binary, Unary};
use ferrite_ir::{OpId, TensorId};

use super::selected::Selected;
use crate::error::Unsupported;
use crate::index::Index;
use crate::npu::{Elementwise, Work};

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
        _ => {
            return Err(Unsupported::new(format!(
                "{name} of {:?} and {:?}, of which one is constant",
                a.shape, b.shape
            )));
        }
    }
    if a.shape != b.shape {
        return Err(Unsupported::new(format!(
            "{name} of operands {:?} and {:?}, which differ in shape",
            a.shape, b.shape
        )));
    }
    Ok((Work::Elementwise { function, operands }, activation))
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

/// PRELU: one slope for all channels makes it a function of each byte.
pub fn prelu(index: &Index, op: OpId) -> Selected {
    let (input, slopes) = (index.operand(op, 0)?, index.operand(op, 1)?);
    let constant = index.tensor(slopes);
    match constant.is_constant() && constant.elements() == 1 {
        true => table(index, op, input),
        false => Err(Unsupported::new(format!(
            "slopes of shape {:?} in place of one",
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
