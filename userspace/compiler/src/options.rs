//! What to compile for.

use std::num::NonZeroU32;

use ferrite_hw::rk3588::{Parameters, parameters::RK3588};

use crate::executable::{Evidence, Target};

/// What to compile for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// The NPU.
    pub target: Target,
    /// Weakest grade of hardware knowledge that lowerings may rest on.
    pub evidence: Evidence,
    /// Cores to spread independent work over.
    pub cores: usize,
    /// Whether to leave to the host what an NPU can only do with other weights than the model's.
    pub exact: bool,
    /// The NPU's clock in MHz, if that is not the cost model's.
    pub clock_mhz: Option<NonZeroU32>,
    /// Sizes and limits of an NPU of the RK3588's family.
    pub rk3588: &'static Parameters,
}

impl Options {
    /// Proven lowerings on one core.
    pub fn new(target: Target) -> Self {
        Options {
            target,
            evidence: Evidence::Silicon,
            cores: 1,
            exact: false,
            clock_mhz: None,
            rk3588: &RK3588,
        }
    }
}
