//! What the model is allowed to do, and the chip it is.

use super::fault::FaultKind;
use ferrite_hw::vivante::chip::{A311D_PARAMETERS, Parameters};
use ferrite_hw::{Grade, Timing, timing};

/// Settings of the model.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Config {
    /// Weakest grade of evidence that a behaviour may rest on; a weaker one is a fault.
    pub evidence: Grade,
    /// Sizes of the units.
    pub chip: Parameters,
    /// Prices of the time estimate.
    pub timing: Timing,
}

impl Default for Config {
    /// Silicon evidence only, an A311D.
    fn default() -> Self {
        Config {
            evidence: Grade::Silicon,
            chip: A311D_PARAMETERS,
            timing: timing::A311D,
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

    /// An error unless the behaviour is a usual one or inferred behaviours are allowed.
    pub(crate) fn usual(&self, usual: bool, behaviour: &'static str) -> Result<(), FaultKind> {
        if usual {
            return Ok(());
        }
        self.require(Grade::Inferred, behaviour)
    }
}
