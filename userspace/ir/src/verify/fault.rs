//! What can be wrong with a graph.

use crate::graph::OpId;

/// Errors after this many are not reported: more than a person reads, and a bound for hostile files.
pub(super) const MAX_ERRORS: usize = 64;

/// What is wrong with one operator, or with the graph as a whole.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{place}: {fault}", place = .op.as_ref().map_or("graph".to_owned(), |(op, name)| format!("operator {} {name}", op.as_u32())))]
pub struct VerifyError {
    /// The operator and its TFLite name; `None` for inputs and outputs of the graph.
    pub op: Option<(OpId, String)>,
    /// What is wrong with it.
    pub fault: VerifyFault,
}

/// Kinds of inconsistency. Operands are counted from 0.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[allow(missing_docs)]
pub enum VerifyFault {
    #[error("tensor {tensor} does not exist, there are {tensors}")]
    NoTensor { tensor: u32, tensors: usize },
    #[error("tensor {tensor} is read, but nothing before produces it")]
    NotYetProduced { tensor: u32 },
    #[error("tensor {tensor} is written, but has a value already")]
    WrittenTwice { tensor: u32 },
    #[error("constant {tensor} has {found} bytes, expected {expected}")]
    DataLength {
        tensor: u32,
        found: usize,
        expected: usize,
    },
    #[error("{found} inputs")]
    InputCount { found: usize },
    #[error("{found} outputs")]
    OutputCount { found: usize },
    #[error("input {operand} is omitted")]
    Omitted { operand: usize },
    #[error("tensor {tensor} of shape {shape:?} has no elements")]
    Empty { tensor: u32, shape: Vec<usize> },
    #[error("input {operand} has shape {shape:?}, expected rank {expected}")]
    Rank {
        operand: usize,
        shape: Vec<usize>,
        expected: usize,
    },
    #[error("output {output} has shape {found:?}, expected {expected:?}")]
    OutputShape {
        output: usize,
        found: Vec<usize>,
        expected: Vec<usize>,
    },
    #[error("input {operand} has shape {shape:?}, which does not fit {other:?}")]
    Mismatch {
        operand: usize,
        shape: Vec<usize>,
        other: Vec<usize>,
    },
    #[error("window of {window} elements, {dilation} apart, does not fit {input} elements")]
    Window {
        window: usize,
        dilation: usize,
        input: usize,
    },
    #[error("axis {axis} of rank {rank}")]
    Axis { axis: i32, rank: usize },
    #[error("input {operand} has the value {value:?}, which is not valid for shape {shape:?}")]
    Value {
        operand: usize,
        value: Vec<i32>,
        shape: Vec<usize>,
    },
    #[error("{what} has element type {found}, expected {expected}")]
    ElementType {
        what: String,
        found: &'static str,
        expected: &'static str,
    },
    #[error("{what} is {element} without quantisation")]
    NotQuantized { what: String, element: &'static str },
    #[error("{what} is quantised with {scales} scales along dimension {axis}")]
    Axes {
        what: String,
        scales: usize,
        axis: usize,
    },
}
