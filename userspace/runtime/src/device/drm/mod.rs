//! What DRM nodes of all drivers have in common: opening, buffer objects, fences.

pub mod fence;
pub mod gem;
pub mod ioctl;

use super::DeviceError;
use ferrite_process::Process;
use nix::time::{ClockId, clock_gettime};
use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::ops::Deref;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// An open node. Forked children inherit it with all that the driver keeps for it: what they close
/// or submit there is closed or submitted for the process that opened it.
#[derive(Debug)]
pub struct Node {
    file: File,
    path: PathBuf,
    process: Process,
}

impl Node {
    /// Checks that this process opened the node.
    pub fn check(&self) -> Result<(), DeviceError> {
        match self.is_ours() {
            true => Ok(()),
            false => Err(DeviceError::Forked {
                path: self.path.clone(),
                process: self.process,
            }),
        }
    }

    /// The driver's version and the device as the system knows it, whatever number its node has.
    pub fn identity(&self, driver: &str, (major, minor): (i32, i32)) -> String {
        let numbers = self.file.metadata().map(|node| node.rdev());
        let device = numbers.and_then(|numbers| {
            let (major, minor) = (nix::libc::major(numbers), nix::libc::minor(numbers));
            std::fs::canonicalize(format!("/sys/dev/char/{major}:{minor}/device"))
        });
        let device = device.unwrap_or_else(|_| self.path.clone());
        format!("{driver} {major}.{minor} at {}", device.display())
    }

    /// Whether this process opened the node.
    pub fn is_ours(&self) -> bool {
        self.process.is_current()
    }
}

impl Deref for Node {
    type Target = File;

    fn deref(&self) -> &File {
        &self.file
    }
}

/// Opens a node and checks that its driver is `driver`; also gives the driver's version.
pub fn open(path: &Path, driver: &'static str) -> Result<(Node, (i32, i32)), DeviceError> {
    let file = OpenOptions::new()
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
    let (found, version) = ioctl::version(&file)
        .map_err(|e| system(format!("asking {} for its DRM version", path.display()), e))?;
    if found != driver {
        return Err(DeviceError::Driver {
            path: path.to_owned(),
            driver: found,
            known: driver,
        });
    }
    let node = Node {
        file,
        path: path.to_owned(),
        process: Process::current(),
    };
    Ok((node, version))
}

/// The `CLOCK_MONOTONIC` time after `patience`.
pub fn deadline(patience: Duration) -> Result<Duration, DeviceError> {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC)
        .map_err(|e| system("reading the clock".to_owned(), e))?;
    Ok(Duration::from(now).saturating_add(patience))
}

/// The same as the kernel's interfaces take it, in nanoseconds.
pub fn deadline_ns(patience: Duration) -> Result<i64, DeviceError> {
    Ok(i64::try_from(deadline(patience)?.as_nanos()).unwrap_or(i64::MAX))
}

/// A failed system call.
pub fn system(what: String, errno: nix::errno::Errno) -> DeviceError {
    DeviceError::System {
        what,
        source: errno.into(),
    }
}
