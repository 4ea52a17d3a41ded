//! The RK3588 NPU behind a `/dev/accel/accelN` node: mainline's `rocket` driver, or ours, which answers to
//! the same name and has extensions.

mod ferrite;
mod mainline;

use super::drm::{self, Node};
use super::{Device, DeviceError, Priority, Program, check};
use ferrite::Station;
use ferrite_compiler::executable::{Executable, Target};
use ferrite_uapi::ferrite::DeviceInfo;
use ferrite_uapi::rocket as uapi;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Waiting beyond what the driver itself allows means that its answer got lost.
const GRACE: Duration = Duration::from_secs(2);
/// The IOMMU's page: mainline maps whole pages only and trips over other sizes.
const PAGE: usize = 4096;

/// An open accel node.
#[derive(Debug)]
pub struct Rocket {
    driver: Driver,
    path: PathBuf,
    version: (i32, i32),
    priority: Priority,
}

/// Whose driver it is.
#[derive(Debug)]
enum Driver {
    Mainline(Arc<Node>),
    /// Ours, on a node that all of the process share.
    Ferrite(Arc<Station>),
}

impl Rocket {
    /// Opens the node, checks whose driver it is, and asks for its extensions.
    pub fn open(path: &Path) -> Result<Rocket, DeviceError> {
        let (node, version) = drm::open(path, uapi::DRIVER_NAME)?;
        let node = Arc::new(node);
        let driver = match ferrite::station(&node, path)? {
            Some(station) => Driver::Ferrite(station),
            None => Driver::Mainline(node),
        };
        Ok(Rocket {
            driver,
            path: path.to_owned(),
            version,
            priority: Priority::Normal,
        })
    }

    fn node(&self) -> &Node {
        match &self.driver {
            Driver::Mainline(node) => node,
            Driver::Ferrite(station) => &station.node,
        }
    }

    /// What our driver says of itself; `None` from mainline's.
    fn extensions(&self) -> Option<&DeviceInfo> {
        match &self.driver {
            Driver::Mainline(_) => None,
            Driver::Ferrite(station) => Some(&station.info),
        }
    }

    /// The driver, its version and what it can do, in words.
    pub fn description(&self) -> String {
        let (major, minor) = self.version;
        let driver = format!("RK3588 NPU, driver rocket {major}.{minor}");
        match self.extensions() {
            None => driver,
            Some(info) => format!(
                "{driver} with Ferrite's extensions, cores: {}",
                info.cores.count_ones()
            ),
        }
    }
}

/// The clock in MHz, if the driver can tell.
fn megahertz(info: &DeviceInfo) -> Option<NonZeroU32> {
    let megahertz = u32::try_from(info.clock_hz / 1_000_000).ok()?;
    NonZeroU32::new(megahertz)
}

impl Device for Rocket {
    fn name(&self) -> String {
        self.path.display().to_string()
    }

    fn target(&self) -> Target {
        Target::Rk3588
    }

    fn identity(&self) -> String {
        let identity = self.node().identity(uapi::DRIVER_NAME, self.version);
        match self.extensions() {
            None => identity,
            Some(info) => format!("{identity} with extensions {:#x}", info.features),
        }
    }

    fn cores(&self) -> usize {
        // Mainline runs the jobs of one open file in order.
        self.extensions()
            .map_or(1, |info| info.cores.count_ones().max(1) as usize)
    }

    fn clock_mhz(&self) -> Option<NonZeroU32> {
        self.extensions().and_then(megahertz)
    }

    fn set_priority(&mut self, priority: Priority) -> Result<(), DeviceError> {
        if self.extensions().is_none() {
            priority.expect_normal(&self.name())?;
        }
        self.priority = priority;
        Ok(())
    }

    fn load(&self, executable: &Executable) -> Result<Box<dyn Program>, DeviceError> {
        self.node().check()?;
        check(executable, Target::Rk3588)?;
        match &self.driver {
            Driver::Mainline(node) => mainline::load(node, executable),
            Driver::Ferrite(station) => ferrite::load(station, self.priority, executable),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_is_the_drivers() {
        let of = |clock_hz| {
            megahertz(&DeviceInfo {
                clock_hz,
                ..DeviceInfo::default()
            })
        };
        assert_eq!(of(200_000_000), NonZeroU32::new(200));
        assert_eq!(of(999_999_999), NonZeroU32::new(999));
        // A driver that cannot tell, and one that cannot be right.
        assert_eq!(of(0), None);
        assert_eq!(of(u64::MAX), None);
    }
}
