//! Memory of the in-process simulator: buffers at bus addresses.

use crate::memory::{Memory, MemoryFault, Refusal};
use ferrite_process::memory::fallible;
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Granularity in which writes are remembered, in bytes.
const GRAIN: usize = 16;
/// Page size; buffers start on a page and are followed by an unmapped one.
const PAGE: u64 = 4096;

/// A buffer that host and device share. Remembers which bytes were ever written.
#[derive(Debug)]
pub struct Buffer {
    inner: RwLock<Inner>,
    len: usize,
}

#[derive(Debug)]
struct Inner {
    bytes: Vec<u8>,
    /// One bit per grain; empty when tracking is off.
    written: Vec<u64>,
}

impl Buffer {
    /// A buffer of `len` zero bytes; with `track`, device reads of never-written bytes are faults.
    ///
    /// # Panics
    /// If there is no memory for it.
    pub fn new(len: usize, track: bool) -> Self {
        Buffer::try_new(len, track).expect("memory for a buffer")
    }

    /// As [`Buffer::new`]; `None` if there is no memory for it.
    pub fn try_new(len: usize, track: bool) -> Option<Self> {
        let words = if track { len.div_ceil(GRAIN * 64) } else { 0 };
        Some(Buffer {
            inner: RwLock::new(Inner {
                bytes: fallible(|| bytemuck::try_zeroed_vec(len)).ok()?,
                written: fallible(|| bytemuck::try_zeroed_vec(words)).ok()?,
            }),
            len,
        })
    }

    /// Length in bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Host access to all bytes.
    pub fn with<R>(&self, f: impl FnOnce(&[u8]) -> R) -> R {
        f(&self.shared().bytes)
    }

    /// Host access to all bytes for writing; counts as a write of `range`.
    ///
    /// # Panics
    /// If `range` is not inside the buffer.
    pub fn with_mut<R>(&self, range: std::ops::Range<usize>, f: impl FnOnce(&mut [u8]) -> R) -> R {
        let mut inner = self.exclusive();
        inner.mark(range.start, range.len());
        f(&mut inner.bytes[range])
    }

    // A panic while a lock was held leaves bytes as they are: they stay valid.
    fn shared(&self) -> RwLockReadGuard<'_, Inner> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn exclusive(&self) -> RwLockWriteGuard<'_, Inner> {
        self.inner.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn mark(&mut self, start: usize, len: usize) {
        if self.written.is_empty() || len == 0 {
            return;
        }
        for_words(start, len, |word, mask| self.written[word] |= mask);
    }

    fn all_written(&self, start: usize, len: usize) -> bool {
        let mut all = true;
        if !self.written.is_empty() && len > 0 {
            for_words(start, len, |word, mask| {
                all &= self.written[word] & mask == mask;
            });
        }
        all
    }
}

/// Calls `f` with each bitmap word that the byte range touches and the mask inside it.
fn for_words(start: usize, len: usize, mut f: impl FnMut(usize, u64)) {
    let (first, last) = (start / GRAIN, (start + len - 1) / GRAIN);
    for word in first / 64..=last / 64 {
        let low = if word == first / 64 { first % 64 } else { 0 };
        let high = if word == last / 64 { last % 64 } else { 63 };
        f(word, (u64::MAX >> (63 - high)) & (u64::MAX << low));
    }
}

/// Buffers at bus addresses. Cheap to share between cores; map and unmap at any time.
#[derive(Debug)]
pub struct FlatMemory {
    buffers: RwLock<BTreeMap<u64, Arc<Buffer>>>,
    track: bool,
}

impl Default for FlatMemory {
    fn default() -> Self {
        FlatMemory::new()
    }
}

impl FlatMemory {
    /// Empty memory that faults on device reads of bytes that nobody has written.
    pub fn new() -> Self {
        FlatMemory {
            buffers: RwLock::default(),
            track: true,
        }
    }

    /// Empty memory whose unwritten bytes read as zero.
    pub fn zeroed() -> Self {
        FlatMemory {
            track: false,
            ..FlatMemory::new()
        }
    }

    /// Maps a new buffer at the first free address. The page behind it stays unmapped.
    /// `None` if the 32-bit address space, or the memory of this machine, is exhausted.
    pub fn alloc(&self, len: usize) -> Option<(u64, Arc<Buffer>)> {
        let mut buffers = self.exclusive();
        let mut address = PAGE;
        for (&start, buffer) in buffers.iter() {
            if start.saturating_sub(address) >= pages(len) + PAGE {
                break;
            }
            address = address.max(start + pages(buffer.len()) + PAGE);
        }
        if address + pages(len) > u64::from(u32::MAX) {
            return None;
        }
        let buffer = Arc::new(Buffer::try_new(len, self.track)?);
        buffers.insert(address, Arc::clone(&buffer));
        Some((address, buffer))
    }

    /// Maps a buffer at `address`, replacing one that starts there.
    pub fn map(&self, address: u64, buffer: Arc<Buffer>) {
        self.exclusive().insert(address, buffer);
    }

    /// A new buffer, tracked like this memory's others, mapped at `address`.
    pub fn map_new(&self, address: u64, len: usize) -> Arc<Buffer> {
        let buffer = Arc::new(Buffer::new(len, self.track));
        self.map(address, Arc::clone(&buffer));
        buffer
    }

    /// Unmaps the buffer that starts at `address`.
    pub fn unmap(&self, address: u64) -> Option<Arc<Buffer>> {
        self.exclusive().remove(&address)
    }

    fn exclusive(&self) -> RwLockWriteGuard<'_, BTreeMap<u64, Arc<Buffer>>> {
        self.buffers.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn find(
        &self,
        address: u64,
        len: usize,
        write: bool,
    ) -> Result<(Arc<Buffer>, usize), MemoryFault> {
        let refuse = |address| MemoryFault {
            address,
            len,
            write,
            why: Refusal::Unmapped,
        };
        let buffers = self.buffers.read().unwrap_or_else(PoisonError::into_inner);
        let (&start, buffer) = buffers
            .range(..=address)
            .next_back()
            .ok_or(refuse(address))?;
        let offset = (address - start) as usize;
        match offset.checked_add(len) {
            Some(end) if end <= buffer.len() => Ok((Arc::clone(buffer), offset)),
            _ => Err(refuse(address.max(start + buffer.len() as u64))),
        }
    }
}

fn pages(len: usize) -> u64 {
    (len.max(1) as u64).next_multiple_of(PAGE)
}

impl Memory for FlatMemory {
    fn read(&self, address: u64, out: &mut [u8]) -> Result<(), MemoryFault> {
        let (buffer, offset) = self.find(address, out.len(), false)?;
        let inner = buffer.shared();
        if !inner.all_written(offset, out.len()) {
            let first = (0..out.len())
                .find(|&i| !inner.all_written(offset + i, 1))
                .unwrap_or(0);
            return Err(MemoryFault {
                address: address + first as u64,
                len: out.len(),
                write: false,
                why: Refusal::NeverWritten,
            });
        }
        out.copy_from_slice(&inner.bytes[offset..offset + out.len()]);
        Ok(())
    }

    fn write(&self, address: u64, data: &[u8]) -> Result<(), MemoryFault> {
        let (buffer, offset) = self.find(address, data.len(), true)?;
        let mut inner = buffer.exclusive();
        inner.mark(offset, data.len());
        inner.bytes[offset..offset + data.len()].copy_from_slice(data);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_name_the_first_bad_byte() {
        let memory = FlatMemory::new();
        let (address, buffer) = memory.alloc(100).unwrap();
        memory.write(address, &[7; 32]).unwrap();
        let mut out = [0; 48];
        let fault = memory.read(address, &mut out).unwrap_err();
        assert_eq!(
            (fault.address, fault.why),
            (address + 32, Refusal::NeverWritten)
        );
        buffer.with_mut(32..100, |b| b.fill(1));
        memory.read(address, &mut out).unwrap();
        assert_eq!((out[31], out[32]), (7, 1));
        let fault = memory.read(address + 90, &mut out).unwrap_err();
        assert_eq!(
            (fault.address, fault.why),
            (address + 100, Refusal::Unmapped)
        );
        assert!(memory.write(address - 1, &[0]).is_err());
    }

    #[test]
    fn allocations_do_not_touch() {
        let memory = FlatMemory::zeroed();
        let spans: Vec<_> = [1, 5000, 4096, 12288]
            .iter()
            .map(|&len| (memory.alloc(len).unwrap().0, len as u64))
            .collect();
        for pair in spans.windows(2) {
            assert!(pair[0].0 + pair[0].1 < pair[1].0);
        }
        memory.unmap(spans[1].0).unwrap();
        assert_eq!(memory.alloc(4097).unwrap().0, spans[1].0);
        assert!(memory.alloc(1 << 32).is_none());
    }
}
