//! Buffers, of which only what the CPU has touched is brought to the NPU, and only what it asks for back.

use super::super::super::DeviceError;
use super::super::super::drm::gem::Gem;
use super::super::super::drm::{Node, deadline_ns, system};
use super::super::{GRACE, PAGE};
use super::ioctl;
use ferrite_compiler::executable::Role;
use ferrite_uapi::ferrite as uapi;
use nix::errno::Errno;
use std::ops::Range;
use std::sync::Arc;

/// Bytes of a line of the CPU's caches (Cortex-A55 and Cortex-A76).
const LINE: usize = 64;

/// A mapped buffer object.
#[derive(Debug)]
pub struct Buffer {
    gem: Gem,
    address: u64,
    /// What the CPU has written and the NPU has not been given.
    written: Vec<Range<usize>>,
    /// Whether the NPU may have written since the buffer was made: then the CPU's caches may be stale.
    stale: bool,
    /// Whether jobs that use it may not have ended.
    pending: bool,
}

impl Buffer {
    /// Allocates and maps `size` bytes, rounded up to pages, all zero.
    pub fn new(node: &Arc<Node>, size: usize, role: Role) -> Result<Buffer, DeviceError> {
        let len = size.max(1).next_multiple_of(PAGE);
        // What nothing reads but the NPU need not pass through the CPU's caches. Commands are read by
        // the driver.
        let flags = match role {
            Role::Constants => uapi::BUFFER_WRITE_COMBINED,
            Role::Commands | Role::Activations => 0,
        };
        let created = ioctl::create_buffer(node, len as u64, flags)
            .map_err(|e| system(format!("allocating a buffer of {len} bytes"), e))?;
        let gem = Gem::map(node, created.handle, len, || Ok(created.offset))?;
        Ok(Buffer {
            gem,
            address: created.dma_address,
            written: Vec::new(),
            stale: false,
            pending: false,
        })
    }

    /// GEM handle.
    pub fn handle(&self) -> u32 {
        self.gem.handle()
    }

    /// Address in the NPU's address space.
    pub fn address(&self) -> u64 {
        self.address
    }

    /// All bytes, of a buffer that jobs do not write to.
    pub fn bytes(&self) -> &[u8] {
        self.gem.bytes()
    }

    /// The first `len` bytes of a new buffer, for the CPU to write.
    pub fn fill(&mut self, len: usize) -> &mut [u8] {
        self.written.push(0..len);
        &mut self.gem.bytes_mut()[..len]
    }

    /// Bytes for the CPU to replace, all of them.
    pub fn write(&mut self, part: Range<usize>) -> Result<&mut [u8], DeviceError> {
        self.settle()?;
        if self.stale {
            // Of a line that is replaced in part the rest is kept: it must be what the NPU has written.
            for edge in [part.start, part.end]
                .into_iter()
                .filter(|edge| edge % LINE != 0)
            {
                let line = edge / LINE * LINE;
                let end = (line + LINE).min(self.gem.bytes_mut().len());
                self.prepare(line..end, uapi::PREPARE_WRITE)?;
            }
        }
        self.written.push(part.clone());
        Ok(&mut self.gem.bytes_mut()[part])
    }

    /// Bytes for the CPU to read.
    pub fn read(&mut self, part: Range<usize>) -> Result<&[u8], DeviceError> {
        self.settle()?;
        if self.stale {
            self.prepare(part.clone(), uapi::PREPARE_READ)?;
        }
        Ok(&self.gem.bytes_mut()[part])
    }

    /// Gives the NPU what the CPU has written.
    pub fn give(&mut self) -> Result<(), DeviceError> {
        while let Some(part) = self.written.last() {
            let finish = uapi::Finish {
                handle: self.handle(),
                flags: 0,
                offset: part.start as u64,
                size: part.len() as u64,
            };
            if finish.size > 0 {
                ioctl::finish(self.gem.node(), finish)
                    .map_err(|e| system("giving a buffer to the NPU".to_owned(), e))?;
            }
            self.written.pop();
        }
        Ok(())
    }

    /// Jobs that use it are queued; `writes` if it may get another content.
    pub fn queued(&mut self, writes: bool) {
        self.pending = true;
        self.stale |= writes;
    }

    /// All jobs that use it have ended.
    pub fn idle(&mut self) {
        self.pending = false;
    }

    /// Waits for jobs whose end an earlier wait has not seen.
    fn settle(&mut self) -> Result<(), DeviceError> {
        if self.pending {
            let none = 0..self.gem.bytes_mut().len().min(LINE);
            self.prepare(none, uapi::PREPARE_WRITE)?;
            self.pending = false;
        }
        Ok(())
    }

    fn prepare(&self, part: Range<usize>, flags: u32) -> Result<(), DeviceError> {
        let prepare = uapi::Prepare {
            handle: self.handle(),
            flags,
            timeout_ns: deadline_ns(GRACE)?,
            offset: part.start as u64,
            size: part.len() as u64,
        };
        match ioctl::prepare(self.gem.node(), prepare) {
            // With an I/O error the driver says that a job failed which was to write to the buffer, as
            // the wait for it did; the NPU is done with it all the same.
            Ok(()) | Err(Errno::EIO) => Ok(()),
            Err(errno) => Err(system(
                "waiting for the NPU's writes to a buffer".to_owned(),
                errno,
            )),
        }
    }
}
