//! The plugin's arguments.

use std::num::NonZeroU64;
use std::path::PathBuf;

use ferrite_hw::Grade;

use crate::kicks::Kicks;

/// How the board is put together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// The chip.
    pub soc: Soc,
    /// Cores that exist.
    pub cores: u32,
    /// Where counts go when QEMU ends.
    pub stats: Option<PathBuf>,
    /// Where jobs are recorded.
    pub trace: Option<PathBuf>,
    /// Where faults are explained.
    pub log: Option<PathBuf>,
    /// Memory answers with an error in each job of this multiple.
    pub dma_errors: Option<NonZeroU64>,
    /// Kicks that never end.
    pub hang: Kicks,
    /// Resets of IOMMUs, by command, that do not happen.
    pub iommu_errors: Kicks,
    /// Weakest evidence that the RK3588 model accepts.
    pub evidence: Grade,
    /// Guest time counts instructions, so jobs have to take a fixed number of them too.
    pub icount: bool,
}

/// A chip whose NPU the board can have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Soc {
    /// Rockchip RK3588.
    #[default]
    Rk3588,
    /// Amlogic A311D.
    A311d,
}

/// An argument that makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OptionError {
    /// Not of the form `key=value`, or an unknown key.
    #[error("unknown argument {0:?}")]
    Unknown(String),
    /// A key with a value it does not take.
    #[error("argument {0:?}: bad value")]
    Value(String),
}

/// Cores of the chip.
pub const CORES: u32 = 3;

impl Options {
    /// Reads `key=value` arguments.
    pub fn parse(arguments: &[String]) -> Result<Self, OptionError> {
        let mut options = Self {
            cores: CORES,
            ..Self::default()
        };
        for argument in arguments {
            let bad = || OptionError::Value(argument.clone());
            match argument.split_once('=') {
                Some(("soc", "rk3588")) => options.soc = Soc::Rk3588,
                Some(("soc", "a311d")) => options.soc = Soc::A311d,
                Some(("cores", count)) => {
                    options.cores = count.parse().map_err(|_| bad())?;
                    if !(1..=CORES).contains(&options.cores) {
                        return Err(bad());
                    }
                }
                Some(("stats", path)) => options.stats = Some(path.into()),
                Some(("trace", path)) => options.trace = Some(path.into()),
                Some(("log", path)) => options.log = Some(path.into()),
                Some(("dma-errors", every)) => {
                    options.dma_errors = Some(every.parse().map_err(|_| bad())?);
                }
                Some(("evidence", "silicon")) => options.evidence = Grade::Silicon,
                Some(("evidence", "sibling")) => options.evidence = Grade::Sibling,
                Some(("evidence", "inferred")) => options.evidence = Grade::Inferred,
                Some(("hang", kicks)) => options.hang = kicks.parse().map_err(|_| bad())?,
                Some(("iommu-errors", resets)) => {
                    options.iommu_errors = resets.parse().map_err(|_| bad())?;
                }
                Some(("icount", "on")) => options.icount = true,
                Some(("icount", "off")) => options.icount = false,
                Some(("soc" | "icount" | "evidence", _)) => return Err(bad()),
                _ => return Err(OptionError::Unknown(argument.clone())),
            }
        }
        Ok(options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Options, OptionError> {
        let owned: Vec<String> = arguments.iter().map(|a| (*a).to_owned()).collect();
        Options::parse(&owned)
    }

    #[test]
    fn arguments_are_taken_over() {
        let options = parse(&["soc=rk3588", "cores=2", "stats=/a,b", "icount=on"]).unwrap();
        assert_eq!((options.soc, options.cores), (Soc::Rk3588, 2));
        assert_eq!(parse(&["soc=a311d"]).unwrap().soc, Soc::A311d);
        assert_eq!(options.stats, Some(PathBuf::from("/a,b")));
        assert!(options.icount && options.trace.is_none());
        let options = parse(&["dma-errors=7", "evidence=inferred"]).unwrap();
        assert_eq!(options.dma_errors.map(NonZeroU64::get), Some(7));
        assert_eq!(options.evidence, Grade::Inferred);
        assert_eq!(parse(&[]).unwrap().cores, CORES);
    }

    #[test]
    fn nonsense_is_refused() {
        for bad in [
            "cores=0",
            "cores=4",
            "cores=x",
            "soc=rk3399",
            "icount=maybe",
            "hang=0",
            "iommu-errors=0",
            "dma-errors=0",
            "evidence=rumour",
        ] {
            assert_eq!(
                parse(&[bad]),
                Err(OptionError::Value(bad.to_owned())),
                "{bad}"
            );
        }
        for bad in ["", "cores", "speed=9"] {
            assert_eq!(
                parse(&[bad]),
                Err(OptionError::Unknown(bad.to_owned())),
                "{bad}"
            );
        }
    }
}
