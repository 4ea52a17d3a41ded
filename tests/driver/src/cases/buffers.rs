//! Ferrite's calls for buffers: making, asking for, sharing and handing over a part of them.

use std::os::fd::AsRawFd;

use ferrite_uapi::{drm, ferrite};

use super::rig::{Entry, Fail, Jobs, Rig, check, fdinfo};
use crate::device::{Device, ioctl, now};
use crate::task;

pub const CASES: &[Entry] = &[
    (
        "buffer_info",
        "buffers have flags, 64-bit sizes, and can be asked for",
        buffer_info,
    ),
    (
        "sharing",
        "W6: a buffer of another file works in one's own address space",
        sharing,
    ),
    ("ranges", "a part of a buffer can be handed over", ranges),
];

fn buffer_info() -> Result<(), Fail> {
    let device = Device::open()?;
    let mut made = ferrite::CreateBuffer {
        size: 5000,
        flags: ferrite::BUFFER_WRITE_COMBINED,
        ..ferrite::CreateBuffer::default()
    };
    ioctl(&device, ferrite::IOCTL_CREATE_BUFFER, &mut made)?;
    let mut info = ferrite::BufferInfo {
        handle: made.handle,
        ..ferrite::BufferInfo::default()
    };
    ioctl(&device, ferrite::IOCTL_BUFFER_INFO, &mut info)?;
    check(info.size == 8192, format!("size {}", info.size))?;
    check(info.flags == made.flags, format!("flags {:#x}", info.flags))?;
    check(
        (info.dma_address, info.offset) == (made.dma_address, made.offset),
        "another place",
    )?;
    device.close(made.handle)?;
    // More than the address space, and more than the machine.
    for size in [1 << 33, 1 << 62] {
        let mut large = ferrite::CreateBuffer {
            size,
            ..ferrite::CreateBuffer::default()
        };
        let result = ioctl(&device, ferrite::IOCTL_CREATE_BUFFER, &mut large);
        check(
            matches!(result, Err(libc::ENOMEM | libc::ENOSPC)),
            format!("{size} bytes gave {result:?}"),
        )?;
    }
    Ok(())
}

fn sharing() -> Result<(), Fail> {
    let (one, other) = (Device::open()?, Device::open()?);
    let (from, to) = (Rig::new(&one)?, Rig::new(&other)?);
    let fd = from.activations.export()?;
    let mut import = drm::PrimeHandle {
        handle: 0,
        flags: 0,
        fd: fd.as_raw_fd(),
    };
    ioctl(&other, drm::IOCTL_PRIME_FD_TO_HANDLE, &mut import)?;
    let mut info = ferrite::BufferInfo {
        handle: import.handle,
        ..ferrite::BufferInfo::default()
    };
    ioctl(&other, ferrite::IOCTL_BUFFER_INFO, &mut info)?;
    let output = task::OUTPUT as usize;
    from.activations.map(|bytes| bytes[output..].fill(0xa5))?;
    from.activations.fini()?;
    // The other file's job writes this file's buffer.
    to.commands.write(
        0,
        &task::commands(info.dma_address as u32, to.constants.address),
    )?;
    to.commands.fini()?;
    let mut jobs = Jobs::new();
    jobs.add(vec![to.task()], &to.inputs(), &[import.handle]);
    other.submit(&jobs.jobs)?;
    from.activations.prep(Rig::PATIENCE)?;
    let changed = from
        .activations
        .map(|bytes| bytes[output..output + 32].iter().any(|&byte| byte != 0xa5))?;
    check(changed, "nothing was written")
}

fn ranges() -> Result<(), Fail> {
    let device = Device::open()?;
    let rig = Rig::new(&device)?;
    let size = u64::from(task::ACTIVATIONS.next_multiple_of(4096));
    let finish = |offset, size| {
        let mut arg = ferrite::Finish {
            handle: rig.activations.handle,
            flags: 0,
            offset,
            size,
        };
        ioctl(&device, ferrite::IOCTL_FINISH, &mut arg)
    };
    let prepare = |offset, size| {
        let mut arg = ferrite::Prepare {
            handle: rig.activations.handle,
            flags: ferrite::PREPARE_READ,
            timeout_ns: now() + Rig::PATIENCE * 1_000_000,
            offset,
            size,
        };
        ioctl(&device, ferrite::IOCTL_PREPARE, &mut arg)
    };
    rig.clear_output()?;
    rig.activations.prep(Rig::PATIENCE)?;
    finish(0, u64::from(task::OUTPUT))?;
    rig.submit_job(1)?;
    prepare(u64::from(task::OUTPUT), task::OUTPUT_LEN as u64)?;
    check(rig.output_hash()? == task::OUTPUT_HASH, "another output")?;
    let synced = || -> Result<(u64, u64), Fail> {
        Ok((
            fdinfo(&device, "rocket-to-npu")?,
            fdinfo(&device, "rocket-to-cpu")?,
        ))
    };
    let before = synced()?;
    for (offset, len) in [(0, size), (4096, 0), (size, 0), (size - 1, 1), (4095, 2)] {
        finish(offset, len)?;
        prepare(offset, len)?;
    }
    let after = synced()?;
    // A length of 0 stands for all that follows.
    let bytes = size + (size - 4096) + 1 + 2;
    check(
        after == (before.0 + bytes, before.1 + bytes),
        format!("{bytes} bytes were counted from {before:?} to {after:?}"),
    )?;
    for (offset, len) in [
        (0, size + 1),
        (size + 1, 0),
        (u64::MAX, 1),
        (4096, u64::MAX),
    ] {
        let results = (finish(offset, len), prepare(offset, len));
        check(
            results == (Err(libc::EINVAL), Err(libc::EINVAL)),
            format!("{len} bytes at {offset} gave {results:?}"),
        )?;
    }
    rig.check_works()
}
