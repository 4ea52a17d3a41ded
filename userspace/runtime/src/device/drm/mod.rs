//! What DRM nodes of all drivers have in common: opening, buffer objects, fences.

pub mod fence;
pub mod gem;
pub mod ioctl;

use super::DeviceError;
use nix::time::{ClockId, clock_gettime};
use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

/// Opens a node and checks that its driver is `driver`; also gives the driver's version.
pub fn open(path: &Path, driver: &'static str) -> Result<(File, (i32, i32)), DeviceError> {
    let node = OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .map_err(|source| match source.kind() {
            ErrorKind::NotFound => DeviceError::Missing(path.to_owned()),
            ErrorKind::PermissionDenied => DeviceError::Permission(path.to_owned()),
            _ => DeviceError::System {
                what: format!("opening {}", path.display()),
                source,
            },
        })?;
    let (found, version) = ioctl::version(&node)
        .map_err(|e| system(format!("asking {} for its DRM version", path.display()), e))?;
    if found != driver {
        return Err(DeviceError::Driver {
            path: path.to_owned(),
            driver: found,
            known: driver,
        });
    }
    Ok((node, version))
}

/// The `CLOCK_MONOTONIC` time after `patience`.
pub fn deadline(patience: Duration) -> Result<Duration, DeviceError> {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC)
        .map_err(|e| system("reading the clock".to_owned(), e))?;
    Ok(Duration::from(now).saturating_add(patience))
}

/// A failed system call.
pub fn system(what: String, errno: nix::errno::Errno) -> DeviceError {
    DeviceError::System {
        what,
        source: errno.into(),
    }
}
