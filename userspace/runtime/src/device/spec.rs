//! Names of devices.

use ferrite_compiler::executable::Target;
use std::fmt;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::str::FromStr;

/// What a user asked to run on.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum DeviceSpec {
    /// Hardware if there is any, else the RK3588 simulator.
    #[default]
    Auto,
    /// The CPU kernels for every operator.
    Cpu,
    /// The simulator of an NPU, and its clock in MHz if that is not the cost model's.
    Sim(Target, Option<NonZeroU32>),
    /// A DRM accel node: `/dev/accel/accelN`.
    Accel(PathBuf),
    /// A DRM render node: `/dev/dri/renderDN`, or a link to one that tells its device,
    /// `/dev/dri/by-path/...-render`.
    Render(PathBuf),
}

/// A name that is none of the known ones.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "unknown device `{0}`; known are: auto, cpu, sim:rk3588, sim:a311d (with another clock: sim:rk3588@MHZ), /dev/accel/accelN, /dev/dri/renderDN"
)]
pub struct UnknownDevice(pub String);

impl FromStr for DeviceSpec {
    type Err = UnknownDevice;

    fn from_str(name: &str) -> Result<Self, UnknownDevice> {
        let numbered = |prefix: &str| {
            name.strip_prefix(prefix)
                .is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
        };
        let by_path = name
            .strip_prefix("/dev/dri/by-path/")
            .and_then(|link| link.strip_suffix("-render"))
            .is_some_and(|device| !device.is_empty() && !device.contains('/'));
        match name {
            "auto" => Ok(DeviceSpec::Auto),
            "cpu" => Ok(DeviceSpec::Cpu),
            _ if numbered("/dev/accel/accel") => Ok(DeviceSpec::Accel(name.into())),
            _ if numbered("/dev/dri/renderD") || by_path => Ok(DeviceSpec::Render(name.into())),
            _ => simulator(name).ok_or_else(|| UnknownDevice(name.to_owned())),
        }
    }
}

/// A simulator by its name.
fn simulator(name: &str) -> Option<DeviceSpec> {
    let name = name.strip_prefix("sim:")?;
    let (target, clock) = match name.split_once('@') {
        None => (name, None),
        Some((target, clock)) => (target, Some(clock.parse().ok()?)),
    };
    Some(DeviceSpec::Sim(target.parse().ok()?, clock))
}

impl fmt::Display for DeviceSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DeviceSpec::Auto => f.write_str("auto"),
            DeviceSpec::Cpu => f.write_str("cpu"),
            DeviceSpec::Sim(target, None) => write!(f, "sim:{target}"),
            DeviceSpec::Sim(target, Some(clock)) => write!(f, "sim:{target}@{clock}"),
            DeviceSpec::Accel(path) | DeviceSpec::Render(path) => path.display().fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for name in [
            "auto",
            "cpu",
            "sim:rk3588",
            "sim:a311d",
            "sim:rk3588@200",
            "/dev/accel/accel0",
            "/dev/dri/renderD128",
            "/dev/dri/by-path/platform-etnaviv-render",
        ] {
            assert_eq!(name.parse::<DeviceSpec>().unwrap().to_string(), name);
        }
        for name in [
            "",
            "npu",
            "sim:",
            "sim:rk3588@",
            "sim:rk3588@0",
            "sim:rk3588@fast",
            "/dev/accel/accel",
            "/dev/dri/card0",
            "/dev/dri/by-path/platform-etnaviv-card",
            "/dev/dri/by-path/-render",
            "/dev/dri/by-path/../card0-render",
            "/dev/accel/accelx",
        ] {
            let error = name.parse::<DeviceSpec>().unwrap_err().to_string();
            assert!(error.contains("sim:rk3588"), "{error}");
        }
    }
}
