//! What Ferrite's driver has beyond mainline's ABI. Mainline's driver fails these.

use std::os::fd::AsRawFd;

use ferrite_uapi::{drm, ferrite, rocket};

use super::rig::{Fail, Jobs, Rig, check};
use crate::device::{Device, ioctl, now};
use crate::task;

type Entry = (&'static str, &'static str, fn() -> Result<(), Fail>);

pub const CASES: &[Entry] = &[
    ("query", "the device and its cores can be asked for", query),
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
    (
        "wait_tells_the_result",
        "W3: a submission's end says which job failed, and why",
        wait_tells_the_result,
    ),
    (
        "explicit_dependencies",
        "jobs of a submission may depend on each other as the caller says",
        explicit_dependencies,
    ),
    ("core_mask", "a job may be bound to cores", core_mask),
    (
        "syncobjs",
        "submissions wait for synchronisation objects, and signal them",
        syncobjs,
    ),
    (
        "fair_shares",
        "three clients get shares within 10 % of equal, whatever their jobs' sizes",
        fair_shares,
    ),
    (
        "bad_extensions",
        "what makes no sense is refused",
        bad_extensions,
    ),
];

fn job(jobs: &Jobs, index: usize) -> ferrite::Job {
    let plain = jobs.jobs[index];
    ferrite::Job {
        tasks: plain.tasks,
        in_bo_handles: plain.in_bo_handles,
        out_bo_handles: plain.out_bo_handles,
        task_count: plain.task_count,
        task_struct_size: plain.task_struct_size,
        in_bo_handle_count: plain.in_bo_handle_count,
        out_bo_handle_count: plain.out_bo_handle_count,
        ..ferrite::Job::default()
    }
}

fn submission(jobs: &[ferrite::Job]) -> ferrite::Submit {
    ferrite::Submit {
        jobs: jobs.as_ptr() as u64,
        job_count: jobs.len() as u32,
        job_struct_size: size_of::<ferrite::Job>() as u32,
        ..ferrite::Submit::default()
    }
}

fn wait(device: &Device, number: u64) -> Result<ferrite::Wait, i32> {
    let mut wait = ferrite::Wait {
        number,
        timeout_ns: now() + Rig::PATIENCE * 1_000_000,
        ..ferrite::Wait::default()
    };
    ioctl(device, ferrite::IOCTL_WAIT, &mut wait)?;
    Ok(wait)
}

fn ask<T: Default>(device: &Device, kind: u32, index: u32) -> Result<T, i32> {
    let mut answer = T::default();
    let mut query = ferrite::Query {
        kind,
        index,
        size: size_of::<T>() as u32,
        reserved: 0,
        data: &raw mut answer as u64,
    };
    ioctl(device, ferrite::IOCTL_QUERY, &mut query)?;
    Ok(answer)
}

fn query() -> Result<(), Fail> {
    let device = Device::open()?;
    let info: ferrite::DeviceInfo = ask(&device, ferrite::QUERY_DEVICE, 0)?;
    check(info.cores != 0, "no cores")?;
    check(info.features & ferrite::FEATURE_SUBMIT != 0, "no features")?;
    let first = info.cores.trailing_zeros();
    let core: ferrite::CoreInfo = ask(&device, ferrite::QUERY_CORE, first)?;
    check(
        core.version == 0x4649_5245,
        format!("version {:#x}", core.version),
    )?;
    let none = ask::<ferrite::CoreInfo>(&device, ferrite::QUERY_CORE, 31).err();
    check(none == Some(libc::ENOENT), format!("core 31 gave {none:?}"))?;
    // A caller that knows less gets less.
    let mut cores = 0u32;
    let mut short = ferrite::Query {
        size: 4,
        data: &raw mut cores as u64,
        ..ferrite::Query::default()
    };
    ioctl(&device, ferrite::IOCTL_QUERY, &mut short)?;
    check(
        cores == info.cores && short.size == 4,
        "a short query differs",
    )
}

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

fn wait_tells_the_result() -> Result<(), Fail> {
    let device = Device::open()?;
    let rig = Rig::new(&device)?;
    let mut plain = Jobs::new();
    plain.add(vec![rig.task()], &rig.inputs(), &[rig.activations.handle]);
    plain.add(
        vec![rig.endless()],
        &rig.inputs(),
        &[rig.activations.handle],
    );
    plain.add(vec![rig.task()], &[rig.activations.handle], &[]);
    let list: Vec<ferrite::Job> = (0..3).map(|index| job(&plain, index)).collect();
    let mut good = submission(&list[..1]);
    ioctl(&device, ferrite::IOCTL_SUBMIT, &mut good)?;
    let mut bad = submission(&list);
    ioctl(&device, ferrite::IOCTL_SUBMIT, &mut bad)?;
    let end = wait(&device, good.number)?;
    check(
        end.error == 0 && end.busy_ns > 0,
        format!("the good one: {end:?}"),
    )?;
    let end = wait(&device, bad.number)?;
    check(
        (end.error, end.failed_job) == (libc::ETIMEDOUT as u32, 1),
        format!("the bad one: {end:?}"),
    )?;
    let unknown = wait(&device, bad.number + 1).err();
    check(
        unknown == Some(libc::ENOENT),
        format!("an unknown number gave {unknown:?}"),
    )?;
    rig.check_works()
}

fn explicit_dependencies() -> Result<(), Fail> {
    let device = Device::open()?;
    let rig = Rig::new(&device)?;
    let other = device.buffer(4096)?;
    let mut plain = Jobs::new();
    // They share no buffer; the second needs the first, which hangs.
    plain.add(vec![rig.endless()], &rig.inputs(), &[]);
    plain.add(vec![rig.task()], &rig.inputs(), &[other.handle]);
    // The third shares a buffer with the second, and does not wait for it.
    plain.add(vec![rig.task()], &rig.inputs(), &[other.handle]);
    let after = [0u32];
    let mut list: Vec<ferrite::Job> = (0..3).map(|index| job(&plain, index)).collect();
    list[1].after = after.as_ptr() as u64;
    list[1].after_count = 1;
    let mut arg = submission(&list);
    arg.flags = ferrite::SUBMIT_EXPLICIT;
    let usage = |device: &Device| -> Result<u64, i32> {
        let info: ferrite::DeviceInfo = ask(device, ferrite::QUERY_DEVICE, 0)?;
        (0..32)
            .filter(|core| info.cores & 1 << core != 0)
            .map(|core| ask::<ferrite::CoreInfo>(device, ferrite::QUERY_CORE, core))
            .try_fold(0, |sum, core| Ok(sum + core?.jobs))
    };
    let before = usage(&device)?;
    ioctl(&device, ferrite::IOCTL_SUBMIT, &mut arg)?;
    let end = wait(&device, arg.number)?;
    check(
        (end.error, end.failed_job) == (libc::ETIMEDOUT as u32, 0),
        format!("{end:?}"),
    )?;
    let ran = usage(&device)? - before;
    check(ran == 2, format!("{ran} jobs ran instead of 2"))?;
    rig.check_works()
}

fn core_mask() -> Result<(), Fail> {
    let device = Device::open()?;
    let rig = Rig::new(&device)?;
    let info: ferrite::DeviceInfo = ask(&device, ferrite::QUERY_DEVICE, 0)?;
    let last = 31 - info.cores.leading_zeros();
    let before: ferrite::CoreInfo = ask(&device, ferrite::QUERY_CORE, last)?;
    let mut plain = Jobs::new();
    for _ in 0..4 {
        plain.add(vec![rig.task()], &rig.inputs(), &[rig.activations.handle]);
    }
    let list: Vec<ferrite::Job> = (0..4)
        .map(|index| ferrite::Job {
            cores: 1 << last,
            affinity: 1,
            ..job(&plain, index)
        })
        .collect();
    let mut arg = submission(&list);
    ioctl(&device, ferrite::IOCTL_SUBMIT, &mut arg)?;
    wait(&device, arg.number)?;
    let after: ferrite::CoreInfo = ask(&device, ferrite::QUERY_CORE, last)?;
    let ran = after.jobs - before.jobs;
    check(ran == 4, format!("{ran} of 4 jobs ran on core {last}"))?;
    let nowhere = [ferrite::Job {
        cores: 1 << 31,
        ..list[0]
    }];
    let result = ioctl(&device, ferrite::IOCTL_SUBMIT, &mut submission(&nowhere));
    check(
        result == Err(libc::ENODEV),
        format!("a core that is not there gave {result:?}"),
    )
}

fn syncobj(device: &Device) -> Result<u32, i32> {
    let mut arg = drm::SyncobjCreate::default();
    ioctl(device, drm::IOCTL_SYNCOBJ_CREATE, &mut arg)?;
    Ok(arg.handle)
}

fn syncobjs() -> Result<(), Fail> {
    let device = Device::open()?;
    let rig = Rig::new(&device)?;
    let (first, second) = (syncobj(&device)?, syncobj(&device)?);
    let other = device.buffer(4096)?;
    let mut plain = Jobs::new();
    plain.add(vec![rig.endless()], &rig.inputs(), &[]);
    plain.add(vec![rig.task()], &rig.inputs(), &[other.handle]);
    let (out_first, out_second) = ([first], [second]);
    let one = [job(&plain, 0)];
    let mut arg = submission(&one);
    arg.out_syncobjs = out_first.as_ptr() as u64;
    arg.out_syncobj_count = 1;
    // Nothing is there to wait for yet.
    let early = [job(&plain, 1)];
    let mut empty = submission(&early);
    empty.in_syncobjs = out_second.as_ptr() as u64;
    empty.in_syncobj_count = 1;
    let result = ioctl(&device, ferrite::IOCTL_SUBMIT, &mut empty);
    check(
        result == Err(libc::ENOENT),
        format!("a syncobj without a fence gave {result:?}"),
    )?;
    ioctl(&device, ferrite::IOCTL_SUBMIT, &mut arg)?;
    let mut then = submission(&early);
    then.in_syncobjs = out_first.as_ptr() as u64;
    then.in_syncobj_count = 1;
    then.out_syncobjs = out_second.as_ptr() as u64;
    then.out_syncobj_count = 1;
    ioctl(&device, ferrite::IOCTL_SUBMIT, &mut then)?;
    let mut signalled = drm::SyncobjWait {
        handles: out_second.as_ptr() as u64,
        timeout_nsec: now() + Rig::PATIENCE * 1_000_000,
        count_handles: 1,
        ..drm::SyncobjWait::default()
    };
    ioctl(&device, drm::IOCTL_SYNCOBJ_WAIT, &mut signalled)?;
    // The second needed the first, which hung: it did not run.
    let end = wait(&device, then.number)?;
    check(
        end.error == libc::ECANCELED as u32,
        format!("the job that waited: {end:?}"),
    )?;
    rig.check_works()
}

/// Time that a file's jobs ran, from its fdinfo.
fn busy_ns(device: &Device) -> Result<u64, Fail> {
    let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", device.as_raw_fd()))?;
    info.lines()
        .find_map(|line| line.strip_prefix("drm-engine-npu:"))
        .and_then(|rest| rest.split_whitespace().next()?.parse().ok())
        .ok_or_else(|| Fail(format!("no engine time in fdinfo: {info:?}")))
}

fn fair_shares() -> Result<(), Fail> {
    let devices = [Device::open()?, Device::open()?, Device::open()?];
    // More work for each than is done before the shares are read.
    let sizes = [(1000, 16), (400, 40), (100, 160)];
    let mut rigs = Vec::new();
    let mut kept = Vec::new();
    for device in &devices {
        rigs.push(Rig::new(device)?);
    }
    for ((device, rig), (count, tasks)) in devices.iter().zip(&rigs).zip(sizes) {
        let mut plain = Jobs::new();
        for _ in 0..count {
            plain.add(
                vec![rig.task(); tasks],
                &rig.inputs(),
                &[rig.activations.handle],
            );
        }
        let list: Vec<ferrite::Job> = (0..count).map(|index| job(&plain, index)).collect();
        let mut arg = submission(&list);
        arg.flags = ferrite::SUBMIT_EXPLICIT;
        ioctl(device, ferrite::IOCTL_SUBMIT, &mut arg)?;
        kept.push((plain, list));
    }
    let before: Vec<u64> = devices.iter().map(busy_ns).collect::<Result<_, _>>()?;
    // Jobs run to their end: the time must be long against the longest, which a busy host stretches.
    let mut shares = Vec::new();
    for ms in [700, 700, 1400, 2800] {
        std::thread::sleep(std::time::Duration::from_millis(ms));
        shares = devices
            .iter()
            .zip(&before)
            .map(|(device, before)| Ok(busy_ns(device)? - before))
            .collect::<Result<_, Fail>>()?;
        for rig in &rigs {
            let still = rig.activations.prep(0);
            check(
                still == Err(libc::EBUSY),
                format!("a client ran out of work: {shares:?} ns"),
            )?;
        }
        let mean = shares.iter().sum::<u64>() / 3;
        if shares.iter().all(|share| share.abs_diff(mean) * 10 <= mean) {
            return Ok(());
        }
    }
    Err(Fail(format!("{shares:?} ns")))
}

fn bad_extensions() -> Result<(), Fail> {
    let device = Device::open()?;
    let rig = Rig::new(&device)?;
    let mut plain = Jobs::new();
    plain.add(vec![rig.task()], &rig.inputs(), &[rig.activations.handle]);
    let own = [0u32];
    let good = job(&plain, 0);
    let bad = [
        ferrite::Job {
            after: own.as_ptr() as u64,
            after_count: 1,
            ..good
        },
        ferrite::Job {
            reserved: 1,
            ..good
        },
        ferrite::Job {
            task_struct_size: size_of::<rocket::Task>() as u32 - 1,
            ..good
        },
    ];
    for job in bad {
        let list = [job];
        let result = ioctl(&device, ferrite::IOCTL_SUBMIT, &mut submission(&list));
        check(
            result == Err(libc::EINVAL),
            format!("{job:?} gave {result:?}"),
        )?;
    }
    let list = [good];
    for (flags, priority) in [(1 << 31, 0), (0, 2), (0, -2)] {
        let mut arg = ferrite::Submit {
            flags,
            priority,
            ..submission(&list)
        };
        let result = ioctl(&device, ferrite::IOCTL_SUBMIT, &mut arg);
        check(
            result == Err(libc::EINVAL),
            format!("flags {flags:#x}, priority {priority} gave {result:?}"),
        )?;
    }
    rig.check_works()
}
