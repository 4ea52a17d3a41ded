//! The kernel's side: files whose content is the state, so that all processes that have one see the
//! same, as with open files of a driver. A file of a node begins with a table of its buffers, whose
//! pages follow; dma-bufs and sync files hold a few words.
#![allow(unsafe_code)]

use bytemuck::{Pod, Zeroable};
use ferrite_sim::memory::{Memory, MemoryFault, Refusal};
use nix::libc::{self, c_int};
use std::ops::Range;

/// Marks the files of this library.
const MAGIC: u64 = 0x6661_6b65_206e_6f64;
/// Buffers that a node may have at a time and in all: handles are not used again.
const HANDLES: usize = 1 << 14;
/// Where the pages of buffers begin, in a node's file.
const ARENA: u64 = 1 << 20;
/// Bytes of a node's file, most of them never touched.
const NODE_BYTES: i64 = 1 << 34;
/// Where the NPU's own copy of a page is, behind the page: see [`Object::clean`].
const SHADOW: u64 = 1 << 33;
/// Bytes of a cache line.
const LINE: u64 = 64;
const PAGE: u64 = 4096;

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Rocket = 1,
    Etnaviv = 2,
    DmaBuf = 3,
    SyncFile = 4,
    Ferrite = 5,
}

impl Kind {
    pub fn is_node(self) -> bool {
        matches!(self, Kind::Rocket | Kind::Etnaviv | Kind::Ferrite)
    }
}

/// Beginning of each file.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Head {
    magic: u64,
    kind: u32,
    /// Of a node: buffers made so far. Of a sync file: its state. Of a dma-buf: the buffer's handle.
    value: i32,
    /// Of a node: end of the pages in use. Of a dma-buf: the node's descriptor.
    end: u64,
    /// Of a node: the last submission's number and end.
    last: End,
}

/// How a submission ended: its number, 0 or an error number, the job and the task at fault.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub struct End {
    pub number: u64,
    pub error: u32,
    pub job: u32,
    pub task: u32,
    pub reserved: u32,
}

/// A buffer of a node.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct Buffer {
    /// Where its pages are in the node's file.
    pub offset: u64,
    /// Bytes; 0 when it is closed.
    pub size: u64,
    /// Address for the NPU, if the driver chooses it.
    pub address: u64,
    /// End of the last job that wrote to it: 1, or a negative error number.
    pub status: i64,
}

/// A file of this library, by its number. Not closed when dropped: it is the caller's.
#[derive(Clone, Copy, Debug)]
pub struct Object {
    fd: c_int,
    pub kind: Kind,
}

fn read<T: Pod>(fd: c_int, at: u64) -> Option<T> {
    let mut value = T::zeroed();
    // SAFETY: the buffer is a live `T`, for which any bytes will do.
    let got = unsafe { libc::pread(fd, (&raw mut value).cast(), size_of::<T>(), at as i64) };
    (got == size_of::<T>() as isize).then_some(value)
}

fn write<T: Pod>(fd: c_int, at: u64, value: &T) {
    // SAFETY: the buffer is a live `T`.
    let put = unsafe { libc::pwrite(fd, (&raw const *value).cast(), size_of::<T>(), at as i64) };
    assert_eq!(put, size_of::<T>() as isize, "writing to a file in memory");
}

impl Object {
    /// A new file.
    pub fn new(kind: Kind, value: i32) -> Result<Object, c_int> {
        // SAFETY: the name is a C string.
        let fd = unsafe { libc::memfd_create(c"ferrite-fake".as_ptr(), libc::MFD_CLOEXEC) };
        if fd < 0 {
            return Err(nix::errno::Errno::last_raw());
        }
        if kind.is_node() {
            // SAFETY: the file is this function's own.
            assert_eq!(unsafe { libc::ftruncate(fd, NODE_BYTES) }, 0);
        }
        let head = Head {
            magic: MAGIC,
            kind: kind as u32,
            value,
            end: ARENA,
            last: End::default(),
        };
        write(fd, 0, &head);
        Ok(Object { fd, kind })
    }

    /// The file of this library that has the number `fd`.
    pub fn of(fd: c_int) -> Option<Object> {
        let head: Head = read(fd, 0)?;
        let kinds = [
            Kind::Rocket,
            Kind::Etnaviv,
            Kind::Ferrite,
            Kind::DmaBuf,
            Kind::SyncFile,
        ];
        let kind = kinds.into_iter().find(|&kind| kind as u32 == head.kind)?;
        (head.magic == MAGIC).then_some(Object { fd, kind })
    }

    pub fn fd(self) -> c_int {
        self.fd
    }

    /// The state of a sync file.
    pub fn value(self) -> i32 {
        read::<Head>(self.fd, 0).map_or(0, |head| head.value)
    }

    fn place(handle: u32) -> u64 {
        (size_of::<Head>() + handle as usize * size_of::<Buffer>()) as u64
    }

    /// Makes a buffer; the driver's address for it is `base` more than its place in the file.
    pub fn add(self, size: u64, base: u64) -> Result<(u32, Buffer), c_int> {
        let mut head: Head = read(self.fd, 0).ok_or(libc::EIO)?;
        let size = size.next_multiple_of(PAGE);
        let handle = head.value as u32 + 1;
        if handle as usize >= HANDLES || head.end + size > SHADOW {
            return Err(libc::ENOMEM);
        }
        let buffer = Buffer {
            offset: head.end,
            size,
            address: base + head.end - ARENA,
            status: 1,
        };
        head.value += 1;
        // The page behind it stays unmapped for the NPU.
        head.end += size + PAGE;
        write(self.fd, 0, &head);
        write(self.fd, Object::place(handle), &buffer);
        Ok((handle, buffer))
    }

    /// A buffer that is open.
    pub fn buffer(self, handle: u32) -> Result<Buffer, c_int> {
        let known = (1..HANDLES as u32).contains(&handle);
        let buffer: Option<Buffer> = known
            .then(|| read(self.fd, Object::place(handle)))
            .flatten();
        buffer.filter(|buffer| buffer.size > 0).ok_or(libc::ENOENT)
    }

    pub fn set(self, handle: u32, buffer: &Buffer) {
        write(self.fd, Object::place(handle), buffer);
    }

    /// The last submission.
    pub fn last(self) -> End {
        read::<Head>(self.fd, 0).map_or_else(End::default, |head| head.last)
    }

    /// A submission has ended; returns its number.
    pub fn ended(self, (error, job, task): (u32, u32, u32)) -> Result<u64, c_int> {
        let mut head: Head = read(self.fd, 0).ok_or(libc::EIO)?;
        head.last = End {
            number: head.last.number + 1,
            error,
            job,
            task,
            reserved: 0,
        };
        write(self.fd, 0, &head);
        Ok(head.last.number)
    }

    /// Writes the CPU's lines that hold a part of a buffer to the NPU's copy, as a cache is cleaned: a
    /// line goes as a whole.
    pub fn clean(self, buffer: &Buffer, offset: u64, size: u64) -> Result<(), c_int> {
        let (start, end) = (offset / LINE * LINE, (offset + size).next_multiple_of(LINE));
        self.copy(
            buffer.offset,
            buffer.offset + SHADOW,
            start..end.min(buffer.size),
        )
    }

    /// Has the CPU see the NPU's copy of a part of a buffer, as lines of a cache are dropped.
    pub fn invalidate(self, buffer: &Buffer, offset: u64, size: u64) -> Result<(), c_int> {
        self.copy(buffer.offset + SHADOW, buffer.offset, offset..offset + size)
    }

    fn copy(self, from: u64, to: u64, part: Range<u64>) -> Result<(), c_int> {
        let mut bytes = vec![0u8; (part.end - part.start) as usize];
        let (from, to) = ((from + part.start) as i64, (to + part.start) as i64);
        // SAFETY: `bytes` is live and has that many bytes.
        let copied = unsafe {
            libc::pread(self.fd, bytes.as_mut_ptr().cast(), bytes.len(), from);
            libc::pwrite(self.fd, bytes.as_ptr().cast(), bytes.len(), to)
        };
        if copied == bytes.len() as isize {
            Ok(())
        } else {
            Err(libc::EIO)
        }
    }

    /// A dma-buf of a buffer.
    pub fn export(self, handle: u32) -> Result<Object, c_int> {
        self.buffer(handle)?;
        let made = Object::new(Kind::DmaBuf, handle as i32)?;
        let mut head: Head = read(made.fd, 0).ok_or(libc::EIO)?;
        head.end = self.fd as u64;
        write(made.fd, 0, &head);
        Ok(made)
    }

    /// The buffer of a dma-buf, whose node has to be open still.
    pub fn exported(self) -> Result<Buffer, c_int> {
        let head: Head = read(self.fd, 0).ok_or(libc::EIO)?;
        let node = Object::of(head.end as c_int).ok_or(libc::EBADF)?;
        node.buffer(head.value as u32)
    }

    /// All that are open.
    pub fn buffers(self) -> Vec<Buffer> {
        let count = self.value() as u32;
        (1..=count)
            .filter_map(|handle| self.buffer(handle).ok())
            .collect()
    }
}

/// Buffers of a node as the NPU sees them: where each begins and what it is.
pub struct View {
    node: Object,
    buffers: Vec<(u64, Buffer)>,
}

impl View {
    pub fn new(node: Object, buffers: Vec<(u64, Buffer)>) -> View {
        View { node, buffers }
    }

    /// The NPU's copies of all buffers, at the driver's addresses.
    pub fn apart(node: Object) -> View {
        let apart = |buffer: Buffer| Buffer {
            offset: buffer.offset + SHADOW,
            ..buffer
        };
        let buffers = node.buffers().into_iter();
        View::new(node, buffers.map(|b| (b.address, apart(b))).collect())
    }

    fn locate(&self, address: u64, len: usize, write: bool) -> Result<i64, MemoryFault> {
        let inside = |(base, buffer): &&(u64, Buffer)| {
            address >= *base && address + len as u64 <= base + buffer.size
        };
        match self.buffers.iter().find(inside) {
            Some((base, buffer)) => Ok((buffer.offset + address - base) as i64),
            None => Err(MemoryFault {
                address,
                len,
                write,
                why: Refusal::Unmapped,
            }),
        }
    }
}

impl Memory for View {
    fn read(&self, address: u64, out: &mut [u8]) -> Result<(), MemoryFault> {
        let at = self.locate(address, out.len(), false)?;
        // SAFETY: `out` is live and has that many bytes.
        let got = unsafe { libc::pread(self.node.fd, out.as_mut_ptr().cast(), out.len(), at) };
        assert_eq!(got, out.len() as isize, "reading a file in memory");
        Ok(())
    }

    fn write(&self, address: u64, data: &[u8]) -> Result<(), MemoryFault> {
        let at = self.locate(address, data.len(), true)?;
        // SAFETY: `data` is live and has that many bytes.
        let put = unsafe { libc::pwrite(self.node.fd, data.as_ptr().cast(), data.len(), at) };
        assert_eq!(put, data.len() as isize, "writing a file in memory");
        Ok(())
    }
}
