//! What can be wrong with a model file.

use crate::verify::VerifyError;
use crate::{flatbuffer, flexbuffer};

/// Why a file is not a model that can be read, and where.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[allow(missing_docs)]
pub enum ReadError {
    #[error("file of {bytes} bytes is too short for a TFLite model")]
    TooShort { bytes: usize },
    #[error("not a TFLite model: file identifier is \"{}\", expected \"TFL3\"", found.escape_ascii())]
    Identifier { found: [u8; 4] },
    #[error("model schema version {found} is not supported, expected 3")]
    Version { found: u32 },
    #[error("damaged model: {0}")]
    Structure(#[from] flatbuffer::Fault),
    #[error("model has no subgraph")]
    NoSubgraph,
    #[error(
        "model needs {needed} bytes of memory, more than the {limit} that a file of its size can: \
         parts of it are referred to again and again"
    )]
    Bloated { needed: usize, limit: usize },
    #[error("{list}[{index}] names tensor {tensor}, but there are {tensors}")]
    GraphOperand {
        list: &'static str,
        index: usize,
        tensor: i32,
        tensors: usize,
    },
    #[error("tensor {tensor} \"{name}\": {fault}")]
    Tensor {
        tensor: usize,
        name: String,
        fault: TensorFault,
    },
    #[error("operator {op} {name}: {fault}")]
    Op {
        op: usize,
        name: String,
        fault: OpFault,
    },
    #[error("tensor {tensor} \"{name}\" is a graph output but nothing produces it")]
    OutputNotProduced { tensor: usize, name: String },
    #[error("{}", errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Inconsistent { errors: Vec<VerifyError> },
}

impl ReadError {
    /// What the owner of a model that is in order, but not for Ferrite, can do.
    pub fn remedy(&self) -> Option<&'static str> {
        const STATE: &str = "the model keeps a state from one run to the next (streaming): convert it \
             with the state as inputs and outputs, or without";
        const SHAPE: &str = "convert the model again with inputs of a fixed shape";
        const FLAT: &str = "convert the model again without loops and branches, or in parts";
        match self {
            ReadError::Tensor { fault, .. } => match fault {
                TensorFault::ElementType {
                    name: Some("RESOURCE" | "VARIANT"),
                    ..
                } => Some(STATE),
                TensorFault::ElementType { .. } => {
                    Some("convert the model again without elements of this type")
                }
                TensorFault::Dimension { size: ..0, .. } => Some(SHAPE),
                TensorFault::Unsupported { .. } => {
                    Some("convert the model again with plain weights in one file")
                }
                _ => None,
            },
            ReadError::Op {
                name,
                fault: OpFault::ControlFlow { .. },
                ..
            } => Some(if name == "CALL_ONCE" { STATE } else { FLAT }),
            _ => None,
        }
    }
}

/// What is wrong with a tensor.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[allow(missing_docs)]
pub enum TensorFault {
    #[error("{0}")]
    Structure(#[from] flatbuffer::Fault),
    #[error("rank {rank} is above the limit of {limit}")]
    Rank { rank: usize, limit: usize },
    #[error("dimension {axis} is {size}")]
    Dimension { axis: usize, size: i32 },
    #[error("shape {shape:?} of {element} byte elements takes more than {limit} bytes")]
    TooLarge {
        shape: Vec<usize>,
        element: usize,
        limit: usize,
    },
    #[error("element type {} is not supported", .name.map_or(format!("code {code}"), str::to_owned))]
    ElementType {
        code: i8,
        name: Option<&'static str>,
    },
    #[error("buffer {buffer} does not exist, there are {buffers}")]
    NoBuffer { buffer: u32, buffers: usize },
    #[error("buffer {buffer} has {found} bytes, shape {shape:?} needs {expected}")]
    DataLength {
        buffer: u32,
        found: usize,
        expected: usize,
        shape: Vec<usize>,
    },
    #[error(
        "data of buffer {buffer} at {offset} with {size} bytes is outside the file of {file} bytes"
    )]
    DataOutside {
        buffer: u32,
        offset: u64,
        size: u64,
        file: usize,
    },
    #[error("{what} is not supported")]
    Unsupported { what: &'static str },
    #[error("{scales} scales for {expected} indices along dimension {axis}")]
    ScaleCount {
        scales: usize,
        expected: usize,
        axis: usize,
    },
    #[error("{zero_points} zero points for {scales} scales")]
    ZeroPointCount { zero_points: usize, scales: usize },
    #[error("quantised dimension {axis} of a tensor of rank {rank}")]
    QuantAxis { axis: i32, rank: usize },
    #[error("scale {index} is {scale}")]
    Scale { index: usize, scale: f32 },
    #[error("zero point {index} is {zero_point}, outside of the element type's range")]
    ZeroPoint { index: usize, zero_point: i64 },
    #[error("it is {first} and {second}")]
    Role {
        first: &'static str,
        second: &'static str,
    },
}

/// What is wrong with an operator.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[allow(missing_docs)]
pub enum OpFault {
    #[error("{0}")]
    Structure(#[from] flatbuffer::Fault),
    #[error("operator code {index} does not exist, there are {codes}")]
    NoOperatorCode { index: u32, codes: usize },
    #[error("operator code {code} is not in any schema version")]
    UnknownCode { code: i32 },
    #[error("control flow runs other subgraphs; only the first of {subgraphs} can be run")]
    ControlFlow { subgraphs: usize },
    #[error("input {index} names tensor {tensor}, but there are {tensors}")]
    Input {
        index: usize,
        tensor: i32,
        tensors: usize,
    },
    #[error("output {index} names tensor {tensor}, but there are {tensors}")]
    Output {
        index: usize,
        tensor: i32,
        tensors: usize,
    },
    #[error("{found} inputs, expected {min} to {max}")]
    InputCount {
        found: usize,
        min: usize,
        max: usize,
    },
    #[error("{found} outputs, expected {expected}")]
    OutputCount { found: usize, expected: usize },
    #[error("input {index} is omitted but not optional")]
    InputOmitted { index: usize },
    #[error("input {index} is tensor {tensor}, which nothing before this operator produces")]
    NotYetProduced { index: usize, tensor: usize },
    #[error("output {index} is tensor {tensor}, which is {role} already")]
    OutputTaken {
        index: usize,
        tensor: usize,
        role: &'static str,
    },
    #[error("options are absent")]
    NoOptions,
    #[error("options are of type {found}, expected {expected}")]
    OptionsType { found: u8, expected: u8 },
    #[error("{field} = {value} is not valid")]
    Option { field: &'static str, value: i64 },
    #[error("{field} = {value} is not a usable number")]
    FloatOption { field: &'static str, value: f32 },
    #[error("{field} = {value} is not supported")]
    UnsupportedOption { field: &'static str, value: i64 },
    #[error("custom options: {0}")]
    CustomOptions(#[from] flexbuffer::Fault),
    #[error("custom options lack {key}")]
    CustomOptionAbsent { key: &'static str },
}

/// Why reading one tensor stopped.
pub(super) enum Stop {
    Fault(TensorFault),
    Error(ReadError),
}

impl<T: Into<TensorFault>> From<T> for Stop {
    fn from(fault: T) -> Self {
        Stop::Fault(fault.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_that_are_in_order_have_remedies() {
        let tensor = |fault| ReadError::Tensor {
            tensor: 0,
            name: "t".to_owned(),
            fault,
        };
        let op = |name: &str| ReadError::Op {
            op: 0,
            name: name.to_owned(),
            fault: OpFault::ControlFlow { subgraphs: 2 },
        };
        let element = |name| tensor(TensorFault::ElementType { code: 13, name });
        let cases = [
            (element(Some("RESOURCE")), "state as inputs"),
            (element(Some("COMPLEX64")), "elements of this type"),
            (
                tensor(TensorFault::Dimension { axis: 0, size: -1 }),
                "fixed shape",
            ),
            (
                tensor(TensorFault::Unsupported {
                    what: "sparse storage",
                }),
                "plain weights",
            ),
            (op("CALL_ONCE"), "state as inputs"),
            (op("WHILE"), "without loops"),
        ];
        for (error, words) in cases {
            let remedy = error.remedy().unwrap_or_default();
            assert!(remedy.contains(words), "{error}: {remedy}");
        }
        // Damage has none.
        let damaged = tensor(TensorFault::Dimension { axis: 0, size: 0 });
        assert_eq!(damaged.remedy(), None);
        assert_eq!(ReadError::NoSubgraph.remedy(), None);
    }
}
