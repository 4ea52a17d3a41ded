//! Who goes first.

use super::DeviceError;
use std::fmt;
use std::str::FromStr;

/// How jobs stand to those of other programs and processes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Priority {
    /// Only when nothing else wants to run.
    Low,
    /// As they come, in turn with others.
    #[default]
    Normal,
    /// Before all others; needs `CAP_SYS_NICE`.
    High,
}

/// Priorities by name.
const NAMES: [(&str, Priority); 3] = [
    ("low", Priority::Low),
    ("normal", Priority::Normal),
    ("high", Priority::High),
];

/// A name that no priority has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown priority `{0}`; known are: low, normal, high")]
pub struct UnknownPriority(pub String);

impl Priority {
    /// Takes no other priority than the usual one.
    ///
    /// # Errors
    /// For the others, that `device` knows none.
    pub fn expect_normal(self, device: &str) -> Result<(), DeviceError> {
        match self {
            Priority::Normal => Ok(()),
            Priority::Low | Priority::High => Err(DeviceError::Unsupported(format!(
                "{device} runs jobs as they come and knows no priorities; the RK3588's NPU with ferrite.ko does"
            ))),
        }
    }
}

impl FromStr for Priority {
    type Err = UnknownPriority;

    fn from_str(name: &str) -> Result<Self, UnknownPriority> {
        let known = NAMES.iter().find(|(known, _)| *known == name);
        let (_, priority) = known.ok_or_else(|| UnknownPriority(name.to_owned()))?;
        Ok(*priority)
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = NAMES.iter().find(|(_, priority)| priority == self);
        f.pad(name.map_or("", |(name, _)| name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for (name, priority) in NAMES {
            assert_eq!(name.parse(), Ok(priority));
            assert_eq!(priority.to_string(), name);
        }
        let error = "urgent".parse::<Priority>().unwrap_err().to_string();
        assert!(
            error.contains("urgent") && error.contains("normal"),
            "{error}"
        );
    }
}
