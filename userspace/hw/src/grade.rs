//! How well a behaviour of the hardware is supported.

/// Grades of hardware knowledge, strongest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum Grade {
    /// Seen on the chip, or programmed this way by drivers that are known to work on it.
    #[default]
    Silicon,
    /// Measured on a related chip.
    Sibling,
    /// Inferred from names, documentation or a similar design; never tested.
    Inferred,
}

impl std::fmt::Display for Grade {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Grade::Silicon => "silicon",
            Grade::Sibling => "sibling",
            Grade::Inferred => "inferred",
        })
    }
}
