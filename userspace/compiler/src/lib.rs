//! From a graph to NPU jobs: placement, lowering, memory planning, register commands.
#![deny(unsafe_code)]

mod common;
pub mod content;
pub mod executable;
pub mod file;
mod plan;
pub mod rk3588;
pub mod vivante;

use std::fmt;

use ferrite_hw::rk3588::table::FieldOverflow;
use ferrite_ir::{Graph, OpId};

pub use executable::{Evidence, Executable, Placement, Target};
pub use plan::Plan;

/// What to compile for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// The NPU.
    pub target: Target,
    /// Weakest grade of hardware knowledge that lowerings may rest on.
    pub evidence: Evidence,
    /// Cores to spread independent work over.
    pub cores: usize,
}

impl Options {
    /// Proven lowerings on one core.
    pub fn new(target: Target) -> Self {
        Options {
            target,
            evidence: Evidence::Silicon,
            cores: 1,
        }
    }
}

/// Why a target cannot do something, and what would help.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsupported {
    /// What stands in the way.
    pub reason: String,
    /// What would change that, if anything.
    pub remedy: Option<String>,
}

impl Unsupported {
    /// For this reason.
    pub fn new(reason: impl Into<String>) -> Self {
        Unsupported {
            reason: reason.into(),
            remedy: None,
        }
    }

    /// With a remedy.
    pub fn with_remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }
}

impl fmt::Display for Unsupported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)?;
        match &self.remedy {
            Some(remedy) => write!(f, " ({remedy})"),
            None => Ok(()),
        }
    }
}

/// Why a graph cannot be compiled at all. Operators that the NPU cannot run are no error: they stay
/// on the CPU, with the reason in [`Executable::placements`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CompileError {
    /// The nodes do not come in an order in which they can run.
    #[error("operator {} reads a tensor that nothing before it computes", op.0)]
    Order {
        /// The first such operator.
        op: OpId,
    },
    /// Constants contradict their shapes.
    #[error("constants cannot be packed: {0}")]
    Constants(String),
    /// A planned value does not fit its register field.
    #[error("operator {}: {why}", op.map_or(-1, |op| i64::from(op.0)))]
    Register {
        /// The operator.
        op: Option<OpId>,
        /// The value and the field.
        why: FieldOverflow,
    },
    /// A planned value does not fit its descriptor field.
    #[error("operator {}: {why}", op.0)]
    Descriptor {
        /// The operator.
        op: OpId,
        /// The value and the field.
        why: ferrite_hw::vivante::FieldOverflow,
    },
}

/// Where each operator of `graph` would run: [`Executable::placements`] without the rest.
pub fn place(graph: &Graph, options: &Options) -> Result<Vec<Placement>, CompileError> {
    Plan::new(graph, options).map(|plan| plan.placements)
}

/// Compiles `graph`.
pub fn compile(graph: &Graph, options: &Options) -> Result<Executable, CompileError> {
    Plan::new(graph, options)?.compile()
}
