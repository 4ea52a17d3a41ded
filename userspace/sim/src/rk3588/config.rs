//! What a model is allowed to do.

use super::fault::FaultKind;
use ferrite_hw::Grade;

/// Settings of a core.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Config {
    /// Weakest grade of evidence that a behaviour may rest on; a weaker one is a fault.
    pub evidence: Grade,
    /// NPU clock in Hz, for the time estimate only.
    pub clock_hz: f64,
    /// Memory bandwidth in bytes per second, for the time estimate only.
    pub bandwidth: f64,
    /// Cost of a kick (submission and interrupt) in seconds, for the time estimate only.
    pub kick_seconds: f64,
}

impl Default for Config {
    /// Silicon evidence only; the clock of vendor tables, LPDDR4X bandwidth and the submission
    /// cost measured with mainline's driver.
    fn default() -> Self {
        Config {
            evidence: Grade::Silicon,
            clock_hz: 1e9,
            bandwidth: 33.8e9,
            kick_seconds: 54e-6,
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
