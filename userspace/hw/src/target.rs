//! The chips that there is a compiler and a simulator for.

use crate::{Timing, rk3588, timing};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A known chip. All that is known of it is in [`Target::chip`].
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize,
)]
pub enum Target {
    /// Rockchip RK3588.
    #[default]
    Rk3588,
    /// Amlogic A311D (Vivante VIPNano-QI).
    A311d,
}

/// What is known of a chip before anybody has asked a device.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Chip {
    /// Name on command lines, in files and in names of devices.
    pub name: &'static str,
    /// Name in sentences.
    pub label: &'static str,
    /// Maker and name.
    pub title: &'static str,
    /// Cores that work on jobs of their own at the same time.
    pub cores: usize,
    /// What work takes.
    pub timing: Timing,
}

static RK3588: Chip = Chip {
    name: "rk3588",
    label: "RK3588",
    title: "Rockchip RK3588",
    cores: rk3588::parameters::RK3588.cores,
    timing: timing::RK3588,
};

static A311D: Chip = Chip {
    name: "a311d",
    label: "A311D",
    title: "Amlogic A311D",
    // Its NN cores share every job.
    cores: 1,
    timing: timing::A311D,
};

impl Target {
    /// All known chips.
    pub const ALL: [Target; 2] = [Target::Rk3588, Target::A311d];

    /// What is known of it.
    pub fn chip(self) -> &'static Chip {
        match self {
            Target::Rk3588 => &RK3588,
            Target::A311d => &A311D,
        }
    }

    /// Name on command lines, in files and in names of devices.
    pub fn name(self) -> &'static str {
        self.chip().name
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A name that no known chip has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown target `{0}`; known are: {known}", known = Target::ALL.map(Target::name).join(", "))]
pub struct UnknownTarget(pub String);

impl FromStr for Target {
    type Err = UnknownTarget;

    fn from_str(name: &str) -> Result<Self, UnknownTarget> {
        let mut all = Target::ALL.into_iter();
        all.find(|target| target.name() == name)
            .ok_or_else(|| UnknownTarget(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Grade;

    #[test]
    fn names_are_read_back() {
        for target in Target::ALL {
            assert_eq!(target.to_string().parse(), Ok(target));
        }
        for grade in Grade::ALL {
            assert_eq!(grade.to_string().parse(), Ok(grade));
        }
        let error = "rk3568".parse::<Target>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "unknown target `rk3568`; known are: rk3588, a311d"
        );
    }
}
