//! What can be wrong: operators that a target cannot do, graphs that cannot be compiled.

use std::fmt;

use ferrite_hw::rk3588::table::FieldOverflow;
use ferrite_ir::OpId;

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
/// on the CPU, with the reason in [`Executable::placements`](crate::Executable::placements).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CompileError {
    /// The nodes do not come in an order in which they can run.
    #[error("operator {} reads a tensor that nothing before it computes", op.as_u32())]
    Order {
        /// The first such operator.
        op: OpId,
    },
    /// Constants contradict their shapes.
    #[error("constants cannot be packed: {0}")]
    Constants(String),
    /// A planned value does not fit its register field.
    #[error("operator {}: {why}", op.map_or(-1, |op| i64::from(op.as_u32())))]
    Register {
        /// The operator.
        op: Option<OpId>,
        /// The value and the field.
        why: FieldOverflow,
    },
    /// A planned value does not fit its descriptor field.
    #[error("operator {}: {why}", op.as_u32())]
    Descriptor {
        /// The operator.
        op: OpId,
        /// The value and the field.
        why: ferrite_hw::vivante::FieldOverflow,
    },
}
