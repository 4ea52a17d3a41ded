//! Operators on the CPU, with the arithmetic of TFLite's reference kernels.
//!
//! They are the fallback for what an NPU cannot place, and all of `--device cpu`. Results are
//! bit-exact with LiteRT's reference resolver; where that is faulty, the module of the operator
//! says so. [`Interpreter`] runs whole graphs, [`run_op`] single operators.

#![deny(unsafe_code)]

mod arg_max;
mod binary;
mod broadcast;
mod byte_pairs;
mod context;
mod conv;
mod convert;
mod depthwise;
mod depthwise_lanes;
mod depthwise_quads;
mod detection;
mod dispatch;
mod error;
mod fixed_point;
mod fully_connected;
mod gather;
mod image;
mod interpreter;
mod join;
mod layout;
pub mod memory;
mod pad;
mod pool;
mod reduce;
mod requant;
mod resize;
mod slice;
mod softmax;
mod strided;
mod table;
mod taps;
mod transpose_conv;
mod unary;
mod value;
mod window;

pub use error::{CpuError, KernelError};
pub use fixed_point::{Multiplier, doubling_high_mul, rounding_shift_right};
pub use interpreter::{Interpreter, copy, run_graph, run_op};
pub use resize::{Between, bilinear_sources, nearest_sources};
pub use value::{Element, Value};
