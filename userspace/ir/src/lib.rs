//! The graph a model becomes: tensors with shapes and quantisation, operators with checked
//! parameters, in execution order.
#![deny(unsafe_code)]

pub mod arity;
pub mod flatbuffer;
pub mod flexbuffer;
pub mod graph;
pub mod op;
pub mod tensor;
pub mod tflite;

pub use graph::{Graph, Node, OpId, TensorId};
pub use op::OpKind;
pub use tensor::{DType, Quant, Tensor};
