//! What a model is allowed to do.

use super::fault::FaultKind;
use ferrite_hw::{Grade, Timing, timing};

/// Settings of a core.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Config {
    /// Weakest grade of evidence that a behaviour may rest on; a weaker one is a fault.
    pub evidence: Grade,
    /// Whether the convolution buffer keeps its contents over a reset, as memory does: nothing is known
    /// of it. A command list that uses them then gets them; otherwise that is a fault.
    pub buffer_outlives_reset: bool,
    /// Prices of the time estimate.
    pub timing: Timing,
}

impl Default for Config {
    /// Silicon evidence only.
    fn default() -> Self {
        Config {
            evidence: Grade::Silicon,
            buffer_outlives_reset: false,
            timing: timing::RK3588,
        }
    }
}

impl Config {
    /// An error unless behaviours of `grade` are allowed.
    pub(crate) fn require(&self, grade: Grade, behaviour: &'static str) -> Result<(), FaultKind> {
        if grade <= self.evidence {
            return Ok(());
        }
        Err(FaultKind::Evidence {
            behaviour,
            grade,
            allowed: self.evidence,
        })
    }
}
