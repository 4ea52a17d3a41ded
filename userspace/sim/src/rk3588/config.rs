//! What a model is allowed to do.

use super::fault::FaultKind;
use ferrite_hw::{Grade, Timing, timing};

/// Settings of a core.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Config {
    /// Weakest grade of evidence that a behaviour may rest on; a weaker one is a fault.
    pub evidence: Grade,
    /// Prices of the time estimate.
    pub timing: Timing,
}

impl Default for Config {
    /// Silicon evidence only.
    fn default() -> Self {
        Config {
            evidence: Grade::Silicon,
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
