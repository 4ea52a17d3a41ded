//! System calls on the accel node.

use std::ffi::c_ulong;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::Path;
use std::ptr::NonNull;

use ferrite_uapi::ioctl::{DRM_COMMAND_BASE, drm_iow, drm_iowr};
use ferrite_uapi::{drm, rocket};

/// Numbers of mainline's four ioctls.
pub const CREATE_BO: u32 =
    drm_iowr::<rocket::CreateBo>(DRM_COMMAND_BASE + rocket::CREATE_BO as u32);
/// See [`CREATE_BO`].
pub const SUBMIT: u32 = drm_iow::<rocket::Submit>(DRM_COMMAND_BASE + rocket::SUBMIT as u32);
/// See [`CREATE_BO`].
pub const PREP_BO: u32 = drm_iow::<rocket::PrepBo>(DRM_COMMAND_BASE + rocket::PREP_BO as u32);
/// See [`CREATE_BO`].
pub const FINI_BO: u32 = drm_iow::<rocket::FiniBo>(DRM_COMMAND_BASE + rocket::FINI_BO as u32);

/// An open node.
pub struct Device(File);

/// Calls `ioctl` until it is not interrupted. Returns the error number.
pub fn ioctl<T>(fd: &impl AsRawFd, number: u32, arg: &mut T) -> Result<(), i32> {
    loop {
        // SAFETY: The number was made of `T`'s size, or the caller wants to see it refused: the
        // kernel copies as many bytes as the number says, and all callers pass at least as many.
        let ret = unsafe {
            libc::ioctl(
                fd.as_raw_fd(),
                number as c_ulong as _,
                std::ptr::from_mut(arg),
            )
        };
        if ret >= 0 {
            return Ok(());
        }
        let error = io::Error::last_os_error().raw_os_error().unwrap_or(0);
        if error != libc::EINTR && error != libc::EAGAIN {
            return Err(error);
        }
    }
}

/// Monotonic time in nanoseconds.
pub fn now() -> i64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` is valid for writes.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time) };
    time.tv_sec * 1_000_000_000 + time.tv_nsec
}

impl Device {
    /// Opens the NPU's node.
    pub fn open() -> io::Result<Self> {
        let first = std::fs::read_dir("/dev/accel")?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .min()
            .ok_or(io::ErrorKind::NotFound)?;
        Self::open_at(&first)
    }

    /// Opens a node.
    pub fn open_at(path: &Path) -> io::Result<Self> {
        Ok(Device(
            OpenOptions::new().read(true).write(true).open(path)?,
        ))
    }

    /// A buffer of `size` bytes.
    pub fn buffer(&self, size: u32) -> Result<Buffer<'_>, i32> {
        let mut arg = rocket::CreateBo {
            size,
            ..Default::default()
        };
        ioctl(self, CREATE_BO, &mut arg)?;
        Ok(Buffer {
            device: self,
            handle: arg.handle,
            address: arg.dma_address as u32,
            offset: arg.offset,
            size: size as usize,
        })
    }

    /// Submits jobs.
    pub fn submit(&self, jobs: &[rocket::Job]) -> Result<(), i32> {
        let mut arg = rocket::Submit {
            jobs: jobs.as_ptr() as u64,
            job_count: jobs.len() as u32,
            job_struct_size: size_of::<rocket::Job>() as u32,
            reserved: 0,
        };
        ioctl(self, SUBMIT, &mut arg)
    }

    /// Drops a handle.
    pub fn close(&self, handle: u32) -> Result<(), i32> {
        ioctl(
            self,
            drm::IOCTL_GEM_CLOSE,
            &mut drm::GemClose { handle, pad: 0 },
        )
    }

    /// The driver's version.
    pub fn version(&self) -> Result<(i32, i32), i32> {
        let mut version = drm::Version::default();
        ioctl(self, drm::IOCTL_VERSION, &mut version)?;
        Ok((version.version_major, version.version_minor))
    }
}

impl AsRawFd for Device {
    fn as_raw_fd(&self) -> i32 {
        self.0.as_raw_fd()
    }
}

/// A buffer; closes its handle when dropped.
pub struct Buffer<'a> {
    device: &'a Device,
    /// GEM handle.
    pub handle: u32,
    /// Device address.
    pub address: u32,
    offset: u64,
    size: usize,
}

impl Buffer<'_> {
    /// Runs `work` on the buffer's bytes, mapped for that time.
    pub fn map<R>(&self, work: impl FnOnce(&mut [u8]) -> R) -> io::Result<R> {
        // SAFETY: A new mapping, of as many bytes as the buffer has.
        let address = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                self.size,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                self.device.as_raw_fd(),
                self.offset as libc::off_t,
            )
        };
        if address == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let bytes = NonNull::new(address.cast::<u8>()).ok_or(io::ErrorKind::Other)?;
        // SAFETY: The mapping lives until it is unmapped below.
        let result = work(unsafe { std::slice::from_raw_parts_mut(bytes.as_ptr(), self.size) });
        // SAFETY: Mapped above, and not used any more.
        unsafe { libc::munmap(address, self.size) };
        Ok(result)
    }

    /// Waits for the NPU, at most `ms`, and gives the buffer to the CPU.
    pub fn prep(&self, ms: i64) -> Result<(), i32> {
        let mut arg = rocket::PrepBo {
            handle: self.handle,
            reserved: 0,
            timeout_ns: now() + ms * 1_000_000,
        };
        ioctl(self.device, PREP_BO, &mut arg)
    }

    /// Gives the buffer to the NPU.
    pub fn fini(&self) -> Result<(), i32> {
        let mut arg = rocket::FiniBo {
            handle: self.handle,
            reserved: 0,
        };
        ioctl(self.device, FINI_BO, &mut arg)
    }

    /// Stores words at a byte offset.
    pub fn write(&self, offset: usize, words: &[u64]) -> io::Result<()> {
        self.map(|bytes| {
            for (at, word) in bytes[offset..].chunks_exact_mut(8).zip(words) {
                at.copy_from_slice(&word.to_le_bytes());
            }
        })
    }

    /// Exports the buffer as a dma-buf.
    pub fn export(&self) -> Result<OwnedFd, i32> {
        let mut arg = drm::PrimeHandle {
            handle: self.handle,
            flags: (libc::O_CLOEXEC | libc::O_RDWR) as u32,
            fd: -1,
        };
        ioctl(self.device, drm::IOCTL_PRIME_HANDLE_TO_FD, &mut arg)?;
        // SAFETY: The kernel just made the descriptor for us.
        Ok(unsafe { OwnedFd::from_raw_fd(arg.fd) })
    }
}

impl Drop for Buffer<'_> {
    fn drop(&mut self) {
        // It may be closed already, by a test of just that.
        let _ = self.device.close(self.handle);
    }
}
