//! How well a behaviour of the hardware is supported.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Grades of hardware knowledge, strongest first.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize,
)]
pub enum Grade {
    /// Seen on the chip, or programmed this way by drivers that are known to work on it.
    #[default]
    Silicon,
    /// Measured on a related chip.
    Sibling,
    /// Inferred from names, documentation or a similar design; never tested.
    Inferred,
}

impl Grade {
    /// All grades, strongest first.
    pub const ALL: [Grade; 3] = [Grade::Silicon, Grade::Sibling, Grade::Inferred];

    /// Name on command lines and in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Grade::Silicon => "silicon",
            Grade::Sibling => "sibling",
            Grade::Inferred => "inferred",
        }
    }

    /// What it stands for, in a few words.
    pub const fn meaning(self) -> &'static str {
        match self {
            Grade::Silicon => "Seen on the chip",
            Grade::Sibling => "Measured on a related chip",
            Grade::Inferred => "Inferred",
        }
    }
}

impl fmt::Display for Grade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A name that no grade has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown grade of evidence `{0}`; known are: silicon, sibling, inferred")]
pub struct UnknownGrade(pub String);

impl FromStr for Grade {
    type Err = UnknownGrade;

    fn from_str(name: &str) -> Result<Self, UnknownGrade> {
        let mut all = Grade::ALL.into_iter();
        all.find(|grade| grade.name() == name)
            .ok_or_else(|| UnknownGrade(name.to_owned()))
    }
}
