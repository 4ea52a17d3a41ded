//! Fences that software signals, as in `drivers/dma-buf/sw_sync.c`.

use std::fs::{File, OpenOptions};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use ferrite_uapi::drm;

use super::rig::Fail;
use crate::device::{Device, ioctl};

/// `SW_SYNC_IOC_CREATE_FENCE`.
const CREATE_FENCE: u32 = 0xc028_5700;
/// `SW_SYNC_IOC_INC`.
const ADVANCE: u32 = 0x4004_5701;

/// What signals the fences. Those that are left are signalled when it goes.
pub struct Timeline(File);

impl Timeline {
    /// At 0.
    pub fn new() -> Result<Self, Fail> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open("/sys/kernel/debug/sync/sw_sync")?;
        Ok(Timeline(file))
    }

    /// A fence that is signalled by the next [`advance`](Self::advance).
    pub fn fence(&self) -> Result<OwnedFd, Fail> {
        #[repr(C)]
        struct Create {
            value: u32,
            name: [u8; 32],
            fence: i32,
        }
        let mut create = Create {
            value: 1,
            name: [0; 32],
            fence: -1,
        };
        ioctl(&self.0, CREATE_FENCE, &mut create)?;
        // SAFETY: The kernel just made the descriptor for us.
        Ok(unsafe { OwnedFd::from_raw_fd(create.fence) })
    }

    /// Signals the fences.
    pub fn advance(&self) -> Result<(), Fail> {
        Ok(ioctl(&self.0, ADVANCE, &mut 1u32)?)
    }
}

/// A synchronisation object with a fence; returns its handle.
pub fn import(device: &Device, fence: &OwnedFd) -> Result<u32, Fail> {
    let mut created = drm::SyncobjCreate::default();
    ioctl(device, drm::IOCTL_SYNCOBJ_CREATE, &mut created)?;
    let mut import = drm::SyncobjHandle {
        flags: 1,
        fd: fence.as_raw_fd(),
        handle: created.handle,
        ..Default::default()
    };
    ioctl(device, drm::IOCTL_SYNCOBJ_FD_TO_HANDLE, &mut import)?;
    Ok(created.handle)
}
