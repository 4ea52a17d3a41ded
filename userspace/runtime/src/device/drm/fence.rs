//! The end of jobs, with the error that the drivers keep from waiters on buffers.
//!
//! `PREP_BO` and `CPU_PREP` say that a buffer is idle, not that its jobs succeeded: after a timeout
//! the driver resets the core and the waiter finds stale bytes. The job's fence knows better, and a
//! sync file shows it.

use super::super::{DeviceError, JobError};
use super::{ioctl, system};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

/// A sync file.
#[derive(Debug)]
pub struct Fence(OwnedFd);

impl From<OwnedFd> for Fence {
    fn from(sync_file: OwnedFd) -> Fence {
        Fence(sync_file)
    }
}

impl Fence {
    /// The pending writes of a dma-buf.
    pub fn of(dma_buf: &OwnedFd) -> Result<Fence, DeviceError> {
        ioctl::export_sync_file(dma_buf)
            .map(Fence)
            .map_err(|e| system("exporting the fences of a buffer".to_owned(), e))
    }

    /// Waits until all its jobs have ended, and tells if one ended with an error.
    pub fn wait(&self, patience: Duration) -> Result<(), JobError> {
        let deadline = Instant::now() + patience;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let millis = left.as_millis().min(i32::MAX as u128) as i32;
            let timeout = PollTimeout::try_from(millis).unwrap_or(PollTimeout::MAX);
            match poll(
                &mut [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)],
                timeout,
            ) {
                Ok(0) if left.is_zero() => return Err(JobError::Timeout(patience)),
                Ok(0) | Err(nix::errno::Errno::EINTR) => {}
                Ok(_) => break,
                Err(errno) => return Err(system("polling a fence".to_owned(), errno).into()),
            }
        }
        let status = ioctl::sync_status(&self.0)
            .map_err(|e| system("asking for the state of a fence".to_owned(), e))?;
        if status < 0 {
            return Err(JobError::Failed {
                cause: std::io::Error::from_raw_os_error(-status),
            });
        }
        Ok(())
    }
}
