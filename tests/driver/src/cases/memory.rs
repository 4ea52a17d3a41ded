//! Buffers as processes see them.

use std::io;
use std::mem::MaybeUninit;

use ferrite_uapi::ferrite;

use super::life::bound;
use super::rig::{Entry, Fail, Rig, check};
use crate::device::{Buffer, Device, ioctl};
use crate::task;

pub const CASES: &[Entry] = &[
    (
        "export_from_the_middle",
        "F25: an exported buffer that is mapped from an offset shows what is there",
        export_from_the_middle,
    ),
    (
        "mapped_at_once",
        "writing to a mapped buffer does not fault page by page",
        mapped_at_once,
    ),
    (
        "mapped_in_child",
        "a child writes to its parent's mapping",
        mapped_in_child,
    ),
    (
        "unmade_buffers",
        "buffers that cannot be made are refused, and leave nothing behind",
        unmade_buffers,
    ),
    (
        "mapped_without_cores",
        "W20: a mapping outlives the cores",
        mapped_without_cores,
    ),
];

const PAGE: usize = 4096;
const PAGES: usize = 100;

fn buffer(device: &Device) -> Result<Buffer<'_>, Fail> {
    Ok(device.buffer((PAGES * PAGE) as u32)?)
}

/// Page faults of this process so far, those that read from a disk not counted.
fn faults() -> Result<i64, Fail> {
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: `usage` is valid for writes.
    if unsafe { libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error().into());
    }
    // SAFETY: Zeroed, then filled by the call.
    Ok(unsafe { usage.assume_init() }.ru_minflt)
}

/// Writes a byte to each page, and reads it.
fn touch(bytes: &mut [u8], add: usize) -> Result<(), Fail> {
    for (number, page) in bytes.chunks_exact_mut(PAGE).enumerate() {
        page[number] = (number + add) as u8;
    }
    holds(bytes, add)
}

fn holds(bytes: &[u8], add: usize) -> Result<(), Fail> {
    for (number, page) in bytes.chunks_exact(PAGE).enumerate() {
        let found = page[number];
        check(
            found == (number + add) as u8,
            format!("page {number} holds {found}"),
        )?;
    }
    Ok(())
}

fn mapped_at_once() -> Result<(), Fail> {
    let device = Device::open()?;
    let buffer = buffer(&device)?;
    let taken = buffer.map(|bytes| {
        let before = faults()?;
        touch(bytes, 1)?;
        Ok::<i64, Fail>(faults()? - before)
    })??;
    // A few may be the program's own.
    check(taken < 5, format!("{taken} page faults for {PAGES} pages"))?;
    // The same bytes in another mapping.
    buffer.map(|bytes| holds(bytes, 1))?
}

fn mapped_in_child() -> Result<(), Fail> {
    let device = Device::open()?;
    buffer(&device)?.map(|bytes| {
        // SAFETY: There are no other threads.
        let child = unsafe { libc::fork() };
        if child == 0 {
            let status = i32::from(touch(bytes, 2).is_err());
            // SAFETY: Ends the child without touching what belongs to the parent.
            unsafe { libc::_exit(status) };
        }
        check(child > 0, "no process")?;
        let mut status = 0;
        // SAFETY: The child is ours; `status` is valid for writes.
        unsafe { libc::waitpid(child, &mut status, 0) };
        check(status == 0, format!("the child ended with {status:#x}"))?;
        holds(bytes, 2)
    })?
}

/// What they would leave behind is found by the debug kernel when the device has gone, as it does in
/// the next case.
fn unmade_buffers() -> Result<(), Fail> {
    let device = Device::open()?;
    for size in [1 << 40, 1 << 50, (1 << 63) - PAGE as u64, 1 << 63, u64::MAX] {
        let mut create = ferrite::CreateBuffer {
            size,
            ..ferrite::CreateBuffer::default()
        };
        let made = ioctl(&device, ferrite::IOCTL_CREATE_BUFFER, &mut create);
        check(
            made.is_err(),
            format!("a buffer of {size:#x} bytes was made"),
        )?;
    }
    Rig::new(&device)?.check_works()
}

fn mapped_without_cores() -> Result<(), Fail> {
    let (folder, cores) = bound()?;
    let device = Device::open()?;
    let result = buffer(&device)?.map(|bytes| {
        touch(bytes, 3)?;
        for core in &cores {
            std::fs::write(folder.join("unbind"), core)?;
        }
        let kept = holds(bytes, 3).and_then(|()| touch(bytes, 4));
        for core in &cores {
            std::fs::write(folder.join("bind"), core)?;
        }
        kept?;
        holds(bytes, 4)
    });
    drop(device);
    result??;
    let device = Device::open()?;
    check(device.buffer(task::CONSTANTS).is_ok(), "no buffer")?;
    Rig::new(&device)?.check_works()
}

fn export_from_the_middle() -> Result<(), Fail> {
    let device = Device::open()?;
    let buffer = device.buffer(4 * 4096)?;
    buffer.map(|bytes| {
        for (page, bytes) in bytes.chunks_exact_mut(4096).enumerate() {
            bytes.fill(page as u8 + 1);
        }
    })?;
    let export = buffer.export()?;
    for page in [1, 3] {
        let len = (4 - page) * 4096;
        // SAFETY: A new mapping of a part of the buffer.
        let address = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                len,
                libc::PROT_READ,
                libc::MAP_SHARED,
                std::os::fd::AsRawFd::as_raw_fd(&export),
                (page * 4096) as libc::off_t,
            )
        };
        check(address != libc::MAP_FAILED, "the export cannot be mapped")?;
        // SAFETY: Just mapped, with so many bytes.
        let bytes = unsafe { std::slice::from_raw_parts(address.cast::<u8>(), len) };
        let seen: Vec<u8> = bytes.iter().step_by(4096).copied().collect();
        // SAFETY: Mapped above, and not used any more.
        unsafe { libc::munmap(address, len) };
        let expected: Vec<u8> = (page as u8 + 1..=4).collect();
        check(
            seen == expected,
            format!("from page {page} on there is {seen:?}"),
        )?;
    }
    Ok(())
}
