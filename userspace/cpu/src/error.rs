//! What can go wrong in a kernel or in a run on the CPU.

use ferrite_ir::{DType, OpId, TensorId};
use thiserror::Error;

/// Why a kernel cannot compute its operator.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum KernelError {
    /// A required operand is absent or not yet computed.
    #[error("operand {index} is missing")]
    MissingOperand {
        /// Position in the node's operands.
        index: usize,
    },
    /// The node has fewer results than its operator produces, or the other way round.
    #[error("the node has {found} results where its operator has {expected}")]
    ResultCount {
        /// Results of the node.
        found: usize,
        /// Results of the operator.
        expected: usize,
    },
    /// No kernel for this element type in this place.
    #[error("{what} has element type {found:?}, which this kernel does not take")]
    ElementType {
        /// Which operand or result.
        what: &'static str,
        /// Its type.
        found: DType,
    },
    /// Shapes that do not go together.
    #[error("{what}: shapes {shapes:?}")]
    Shape {
        /// The rule that is broken.
        what: &'static str,
        /// The shapes in question.
        shapes: Vec<Vec<usize>>,
    },
    /// Quantisation parameters that are absent or that the kernel cannot honour.
    #[error("tensor {tensor:?}: {what}")]
    Quantisation {
        /// Name of the tensor.
        tensor: String,
        /// What is wrong.
        what: &'static str,
    },
    /// A scale ratio outside the range of fixed-point multipliers.
    #[error("multiplier {value} is outside the range of the fixed-point kernels")]
    Multiplier {
        /// The real-valued ratio.
        value: f64,
    },
    /// A parameter outside its range.
    #[error("{what} is {value}")]
    Parameter {
        /// The parameter.
        what: &'static str,
        /// Its value.
        value: i64,
    },
    /// An index operand that points outside its tensor.
    #[error("{what} {index} is outside 0..{size}")]
    Index {
        /// Which index.
        what: &'static str,
        /// Its value.
        index: i64,
        /// Number of valid indices.
        size: usize,
    },
    /// An integer division by zero.
    #[error("division by zero")]
    DivisionByZero,
    /// A value, or what is made to compute it, does not fit.
    #[error(transparent)]
    Memory(#[from] crate::memory::OutOfMemory),
    /// A value of more bytes than a run may hold.
    #[error("a value of shape {shape:?} is too large")]
    TooLarge {
        /// Its shape.
        shape: Vec<usize>,
    },
    /// Bytes that do not make up a value of the given type and shape.
    #[error("{bytes} bytes for a value of {expected} bytes")]
    ByteCount {
        /// Bytes given.
        bytes: usize,
        /// Bytes needed.
        expected: usize,
    },
    /// No kernel for this operator.
    #[error("no CPU kernel for this operator")]
    Unsupported,
}

/// Why a graph cannot be run.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum CpuError {
    /// An operator failed.
    #[error("operator {} ({kind}): {source}", op.as_u32())]
    Op {
        /// The node.
        op: OpId,
        /// Its operator's name.
        kind: String,
        /// What went wrong.
        source: KernelError,
    },
    /// The id is not of this graph.
    #[error("operator {} of a graph with {nodes} operators", op.as_u32())]
    NoSuchOp {
        /// The id.
        op: OpId,
        /// Number of nodes.
        nodes: usize,
    },
    /// A node or the graph names a tensor that does not exist.
    #[error("tensor {} of a graph with {tensors} tensors", tensor.as_u32())]
    NoSuchTensor {
        /// The id.
        tensor: TensorId,
        /// Number of tensors.
        tensors: usize,
    },
    /// Not as many inputs as the graph has.
    #[error("{found} inputs for a graph with {expected}")]
    InputCount {
        /// Inputs given.
        found: usize,
        /// Inputs of the graph.
        expected: usize,
    },
    /// An input of the wrong type or shape.
    #[error(
        "input {index} is {found:?} {found_shape:?}, the graph wants {expected:?} {expected_shape:?}"
    )]
    Input {
        /// Position in the graph's inputs.
        index: usize,
        /// Type given.
        found: DType,
        /// Shape given.
        found_shape: Vec<usize>,
        /// Type of the graph's input.
        expected: DType,
        /// Shape of the graph's input.
        expected_shape: Vec<usize>,
    },
    /// A constant whose bytes do not fit its type and shape.
    #[error("constant {}: {source}", tensor.as_u32())]
    Constant {
        /// The tensor.
        tensor: TensorId,
        /// What is wrong.
        source: KernelError,
    },
    /// A graph output that no node computes.
    #[error("output tensor {} is never computed", tensor.as_u32())]
    OutputNotComputed {
        /// The tensor.
        tensor: TensorId,
    },
}
