//! What selecting an operator gives.

use ferrite_ir::op::Activation;

use crate::error::Unsupported;
use crate::npu::Work;

/// What an operator asks for, and its fused activation; or why that is not for an NPU.
pub type Selected = Result<(Work, Activation), Unsupported>;
