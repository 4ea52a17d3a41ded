//! The graph a model becomes: tensors with shapes and quantisation, operators with checked
//! parameters, in execution order.
#![deny(unsafe_code)]

pub mod arity;
mod bytes;
mod clamp;
pub mod flatbuffer;
pub mod flexbuffer;
pub mod graph;
mod macs;
pub mod op;
pub mod rewrite;
mod single_op;
pub mod tensor;
pub mod text;
pub mod tflite;
pub mod verify;
pub mod window;

pub use self::bytes::Bytes;
pub use cranelift_entity as entity;
pub use cranelift_entity::{EntityRef, EntitySet, PrimaryMap, SecondaryMap};
pub use graph::{Graph, Node, OpId, TensorId, Uses};
pub use op::OpKind;
pub use single_op::{SingleOp, single_op};
pub use tensor::{DType, Quant, Shape, Tensor};
pub use verify::{VerifyError, VerifyFault, verify};
pub use window::{SpatialWindows, Windows};
