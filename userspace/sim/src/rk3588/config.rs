//! What a model is allowed to do.

use super::fault::FaultKind;
use ferrite_hw::rk3588::{Parameters, parameters::RK3588};
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
    /// Sizes and limits of the chip. Atoms have 8 or 16 bytes, and the MAC array the RK3588's groups.
    pub chip: &'static Parameters,
}

impl Default for Config {
    /// Silicon evidence only.
    fn default() -> Self {
        Config {
            evidence: Grade::Silicon,
            buffer_outlives_reset: false,
            timing: timing::RK3588,
            chip: &RK3588,
        }
    }
}

impl Config {
    /// Bytes of an atom.
    pub(crate) fn atom(&self) -> Result<u32, FaultKind> {
        match self.chip.atom_bytes {
            8 => Ok(8),
            16 => Ok(16),
            _ => Err(FaultKind::NotModelled("atoms of other than 8 and 16 bytes")),
        }
    }

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
