//! Options: `key=value` pairs of the host, and `FERRITE_*` variables of the same names.

use ferrite_compiler::Evidence;
use ferrite_runtime::device::{DeviceSpec, Priority, UnknownDevice, UnknownPriority};
use ferrite_runtime::selftest::proven::GRADES;
use log::LevelFilter;
use std::path::PathBuf;

/// What to do when the device fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnError {
    /// Report the error, and fail the call that it happened in.
    #[default]
    Fail,
    /// Report the error, and go on with CPU kernels.
    Cpu,
}

/// All options.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Where to run. `auto` takes hardware only: the simulator has to be asked for.
    pub device: DeviceSpec,
    /// Where compiled graphs are kept; nowhere if it is not set.
    pub cache_dir: Option<PathBuf>,
    /// How much to say on standard error.
    pub log: LevelFilter,
    /// Weakest grade of hardware knowledge to rest on; what `ferrite selftest` has proven on the
    /// device if it is not set.
    pub evidence: Option<Evidence>,
    /// What to do when the device fails.
    pub on_error: OnError,
    /// How jobs stand to those of others.
    pub priority: Priority,
    /// Whether to leave to the host what the NPU can only do approximately.
    pub exact: bool,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            device: DeviceSpec::Auto,
            cache_dir: None,
            log: LevelFilter::Error,
            evidence: None,
            on_error: OnError::Fail,
            priority: Priority::Normal,
            exact: false,
        }
    }
}

/// The names of all options, and of their variables.
pub const KNOWN: [(&str, &str); 7] = [
    ("device", "FERRITE_DEVICE"),
    ("cache_dir", "FERRITE_CACHE_DIR"),
    ("log", "FERRITE_LOG"),
    ("evidence", "FERRITE_EVIDENCE"),
    ("on_error", "FERRITE_ON_ERROR"),
    ("priority", "FERRITE_PRIORITY"),
    ("exact", "FERRITE_EXACT"),
];

/// An option that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OptionError {
    /// There is no such option.
    #[error("unknown option `{key}`; known are: {}", KNOWN.map(|(key, _)| key).join(", "))]
    Unknown {
        /// Its name.
        key: String,
    },
    /// The value is none of those that the option takes.
    #[error("option `{key}` is `{value}`; it can be: {choices}")]
    Value {
        /// The option.
        key: &'static str,
        /// The value.
        value: String,
        /// What would do.
        choices: &'static str,
    },
    /// Not a device.
    #[error("option `device`: {0}")]
    Device(#[from] UnknownDevice),
    /// Not a priority.
    #[error("option `priority`: {0}")]
    Priority(#[from] UnknownPriority),
}

impl Options {
    /// The host's options over the environment's over the defaults. `variable` looks up a variable
    /// of the environment.
    ///
    /// # Errors
    /// For the first option that is unknown or has a wrong value.
    pub fn read(
        given: &[(String, String)],
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Options, OptionError> {
        let mut options = Options::default();
        for (key, name) in KNOWN {
            if given.iter().any(|(given, _)| given == key) {
                continue;
            }
            if let Some(value) = variable(name).filter(|value| !value.is_empty()) {
                options.set(key, &value)?;
            }
        }
        for (key, value) in given {
            options.set(key, value)?;
        }
        Ok(options)
    }

    fn set(&mut self, key: &str, value: &str) -> Result<(), OptionError> {
        let wrong = |key, choices| OptionError::Value {
            key,
            value: value.to_owned(),
            choices,
        };
        match key {
            "device" => self.device = value.parse()?,
            "priority" => self.priority = value.parse()?,
            "cache_dir" => self.cache_dir = (!value.is_empty()).then(|| value.into()),
            "log" => {
                self.log = value
                    .parse()
                    .map_err(|_| wrong("log", "off, error, warn, info, debug, trace"))?;
            }
            "evidence" => {
                let grade = GRADES.iter().find(|(_, name)| *name == value);
                let (grade, _) =
                    grade.ok_or_else(|| wrong("evidence", "silicon, sibling, inferred"))?;
                self.evidence = Some(*grade);
            }
            "on_error" => {
                self.on_error = match value {
                    "fail" => OnError::Fail,
                    "cpu" => OnError::Cpu,
                    _ => return Err(wrong("on_error", "fail, cpu")),
                };
            }
            "exact" => {
                self.exact = match value {
                    "0" => false,
                    "1" => true,
                    _ => return Err(wrong("exact", "0, 1")),
                };
            }
            _ => {
                let key = key.to_owned();
                return Err(OptionError::Unknown { key });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferrite_compiler::Target;

    fn given(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        let owned = |&(key, value): &(&str, &str)| (key.to_owned(), value.to_owned());
        pairs.iter().map(owned).collect()
    }

    #[test]
    fn the_host_overrides_the_environment() {
        let variable = |name: &str| match name {
            "FERRITE_DEVICE" => Some("cpu".to_owned()),
            "FERRITE_LOG" => Some("debug".to_owned()),
            "FERRITE_CACHE_DIR" => Some(String::new()),
            _ => None,
        };
        let options = given(&[("device", "sim:rk3588"), ("on_error", "cpu")]);
        let options = Options::read(&options, variable).unwrap();
        assert_eq!(options.device, DeviceSpec::Sim(Target::Rk3588, None));
        assert_eq!(options.log, LevelFilter::Debug);
        assert_eq!(options.on_error, OnError::Cpu);
        assert_eq!(options.cache_dir, None);
    }

    #[test]
    fn errors_list_what_would_do() {
        let error = |key: &str, value: &str| {
            Options::read(&given(&[(key, value)]), |_| None)
                .unwrap_err()
                .to_string()
        };
        for (known, _) in KNOWN {
            assert!(error("devise", "x").contains(known));
        }
        assert!(error("device", "npu").contains("sim:rk3588"));
        assert!(error("evidence", "none").contains("silicon, sibling, inferred"));
        assert!(error("on_error", "panic").contains("fail, cpu"));
        assert!(error("log", "loud").contains("trace"));
        assert!(error("priority", "urgent").contains("low, normal, high"));
        assert!(error("exact", "yes").contains("0, 1"));
    }

    #[test]
    fn exactness_is_asked_for() {
        let read = |value| Options::read(&given(&[("exact", value)]), |_| None);
        assert!(!Options::default().exact);
        assert!(read("1").is_ok_and(|options| options.exact));
        assert!(read("0").is_ok_and(|options| !options.exact));
    }

    #[test]
    fn wrong_variables_are_errors_too() {
        let variable = |name: &str| (name == "FERRITE_EVIDENCE").then(|| "gold".to_owned());
        assert!(Options::read(&[], variable).is_err());
        assert!(Options::read(&given(&[("evidence", "silicon")]), variable).is_ok());
    }
}
