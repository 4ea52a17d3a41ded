//! What Ferrite's driver has beyond mainline's ABI. Mainline's driver fails these.

use std::os::fd::AsRawFd;

use ferrite_uapi::flags::Features;
use ferrite_uapi::{drm, ferrite, rocket};

use super::rig::{Fail, Jobs, Rig, check, submission, sync};
use super::sw_sync::{Timeline, import};
use crate::device::{Device, FINI_BO, SUBMIT, ioctl, now};
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
        "unknown_tails",
        "F15: what the driver does not know of a longer struct must be zero",
        unknown_tails,
    ),
    (
        "wait_out_of_order",
        "F16: the end of a submission that has not run is waited for, whatever ended since",
        wait_out_of_order,
    ),
    (
        "timeline_points",
        "F18: submissions wait for points of timelines, and signal them",
        timeline_points,
    ),
    (
        "activity_is_private",
        "F18: what the cores do for others is not told without CAP_PERFMON",
        activity_is_private,
    ),
    (
        "chain",
        "the tasks of a chained job are run by one start and end with one interrupt",
        chain,
    ),
    (
        "chain_that_hangs",
        "a chain that hangs names the task that it had reached",
        chain_that_hangs,
    ),
    ("ranges", "a part of a buffer can be handed over", ranges),
    (
        "bad_extensions",
        "what makes no sense is refused",
        bad_extensions,
    ),
];

/// Waits for a submission.
pub fn wait(device: &Device, number: u64) -> Result<ferrite::Wait, i32> {
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
    let all = Features::all();
    let features = Features::from_bits_retain(info.features);
    check(features == all, format!("features {features:?}"))?;
    // The board's clock is fixed.
    check(
        info.clock_hz == 1_000_000_000,
        format!("clock {} Hz", info.clock_hz),
    )?;
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
        cores == info.cores && short.size as usize == size_of::<ferrite::DeviceInfo>(),
        format!("a short query differs: {short:?}"),
    )?;
    let other = ask::<ferrite::DeviceInfo>(&device, ferrite::QUERY_DEVICE, 1).err();
    check(
        other == Some(libc::EINVAL),
        format!("another device gave {other:?}"),
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
    let list = plain.all_extended();
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
    let mut list = plain.all_extended();
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
            ..plain.extended(index)
        })
        .collect();
    let mut arg = submission(&list);
    ioctl(&device, ferrite::IOCTL_SUBMIT, &mut arg)?;
    wait(&device, arg.number)?;
    let after: ferrite::CoreInfo = ask(&device, ferrite::QUERY_CORE, last)?;
    let ran = after.jobs - before.jobs;
    check(ran == 4, format!("{ran} of 4 jobs ran on core {last}"))?;
    for (cores, error) in [
        (1 << 3, libc::ENODEV),
        (1 << 31, libc::EINVAL),
        (0x81, libc::EINVAL),
    ] {
        let nowhere = [ferrite::Job { cores, ..list[0] }];
        let result = ioctl(&device, ferrite::IOCTL_SUBMIT, &mut submission(&nowhere));
        check(
            result == Err(error),
            format!("cores {cores:#x} gave {result:?}"),
        )?;
    }
    Ok(())
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
    let (out_first, out_second) = ([sync(first)], [sync(second)]);
    let handles = [second];
    let one = [plain.extended(0)];
    let mut arg = submission(&one);
    arg.out_syncs = out_first.as_ptr() as u64;
    arg.out_sync_count = 1;
    // Nothing is there to wait for yet.
    let early = [plain.extended(1)];
    let mut empty = submission(&early);
    empty.in_syncs = out_second.as_ptr() as u64;
    empty.in_sync_count = 1;
    let result = ioctl(&device, ferrite::IOCTL_SUBMIT, &mut empty);
    check(
        result == Err(libc::ENOENT),
        format!("a syncobj without a fence gave {result:?}"),
    )?;
    ioctl(&device, ferrite::IOCTL_SUBMIT, &mut arg)?;
    let mut then = submission(&early);
    then.in_syncs = out_first.as_ptr() as u64;
    then.in_sync_count = 1;
    then.out_syncs = out_second.as_ptr() as u64;
    then.out_sync_count = 1;
    ioctl(&device, ferrite::IOCTL_SUBMIT, &mut then)?;
    let mut signalled = drm::SyncobjWait {
        handles: handles.as_ptr() as u64,
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
        let list = plain.all_extended();
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
    let good = plain.extended(0);
    let bad = [
        ferrite::Job {
            after: own.as_ptr() as u64,
            after_count: 1,
            ..good
        },
        ferrite::Job {
            flags: 1 << 31,
            ..good
        },
        ferrite::Job {
            task_struct_size: size_of::<rocket::Task>() as u32 - 4,
            ..good
        },
        // Tasks that do not say what completes them.
        ferrite::Job {
            task_struct_size: size_of::<rocket::Task>() as u32,
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

/// Calls with an argument of a kernel that knows eight bytes more.
fn longer<T: Copy>(device: &Device, number: u32, arg: T, tail: u64) -> Result<(), i32> {
    #[repr(C)]
    struct Longer<T> {
        arg: T,
        tail: u64,
    }
    let mut longer = Longer { arg, tail };
    let size = size_of::<Longer<T>>() as u32;
    ioctl(device, number & !(0x3fff << 16) | size << 16, &mut longer)
}

fn unknown_tails() -> Result<(), Fail> {
    let device = Device::open()?;
    let rig = Rig::new(&device)?;
    let mut plain = Jobs::new();
    plain.add(vec![rig.task()], &rig.inputs(), &[rig.activations.handle]);
    // Elements of arrays: a job of 72 bytes, of either call.
    #[repr(C)]
    struct Longer<T> {
        known: T,
        tail: u64,
    }
    for (tail, expected) in [(0, Ok(())), (1 << 40, Err(libc::E2BIG))] {
        let own = [Longer {
            known: plain.extended(0),
            tail,
        }];
        let mut arg = ferrite::Submit {
            jobs: own.as_ptr() as u64,
            job_count: 1,
            job_struct_size: size_of_val(&own[0]) as u32,
            ..ferrite::Submit::default()
        };
        let result = ioctl(&device, ferrite::IOCTL_SUBMIT, &mut arg);
        check(result == expected, format!("a job of 72 bytes: {result:?}"))?;
        let theirs = [Longer {
            known: plain.jobs[0],
            tail,
        }];
        let mut arg = rocket::Submit {
            jobs: theirs.as_ptr() as u64,
            job_count: 1,
            job_struct_size: size_of_val(&theirs[0]) as u32,
            reserved: 0,
        };
        let result = ioctl(&device, SUBMIT, &mut arg);
        check(
            result == expected,
            format!("mainline's job of 48 bytes: {result:?}"),
        )?;
        let tasks = [Longer {
            known: ferrite::Task {
                regcmd: rig.task().regcmd,
                regcmd_count: rig.task().regcmd_count,
                int_mask: ferrite::COMPLETION_DPU,
                flags: 0,
            },
            tail,
        }];
        let jobs = [ferrite::Job {
            tasks: tasks.as_ptr() as u64,
            task_struct_size: size_of_val(&tasks[0]) as u32,
            ..plain.extended(0)
        }];
        let result = ioctl(&device, ferrite::IOCTL_SUBMIT, &mut submission(&jobs));
        check(
            result == expected,
            format!("a task of 24 bytes: {result:?}"),
        )?;
        // Arguments.
        let info = ferrite::BufferInfo {
            handle: rig.constants.handle,
            ..ferrite::BufferInfo::default()
        };
        let result = longer(&device, ferrite::IOCTL_BUFFER_INFO, info, tail);
        check(result == expected, format!("a longer argument: {result:?}"))?;
        let fini = rocket::FiniBo {
            handle: rig.constants.handle,
            reserved: 0,
        };
        let result = longer(&device, FINI_BO, fini, tail);
        check(
            result == expected,
            format!("a longer argument of mainline's: {result:?}"),
        )?;
    }
    // Flags and fields that are not known.
    let info = &mut ferrite::BufferInfo {
        handle: rig.constants.handle,
        flags: 1,
        ..ferrite::BufferInfo::default()
    };
    let finish = &mut ferrite::Finish {
        handle: rig.constants.handle,
        flags: 1,
        ..ferrite::Finish::default()
    };
    let wait = &mut ferrite::Wait {
        number: 1,
        flags: 1,
        ..ferrite::Wait::default()
    };
    let results = [
        ioctl(&device, ferrite::IOCTL_BUFFER_INFO, info),
        ioctl(&device, ferrite::IOCTL_FINISH, finish),
        ioctl(&device, ferrite::IOCTL_WAIT, wait),
    ];
    check(
        results.iter().all(|result| *result == Err(libc::EINVAL)),
        format!("unknown flags gave {results:?}"),
    )?;
    rig.check_works()
}

fn wait_out_of_order() -> Result<(), Fail> {
    let device = Device::open()?;
    let rig = Rig::new(&device)?;
    let timeline = Timeline::new()?;
    let before = [sync(import(&device, &timeline.fence()?)?)];
    let mut plain = Jobs::new();
    plain.add(vec![rig.task()], &rig.inputs(), &[]);
    let short = [plain.extended(0)];
    // What waits for software, and many that do not.
    let mut last = ferrite::Submit {
        in_syncs: before.as_ptr() as u64,
        in_sync_count: 1,
        ..submission(&short)
    };
    ioctl(&device, ferrite::IOCTL_SUBMIT, &mut last)?;
    let mut end = 0;
    for _ in 0..ferrite::RESULTS + 2 {
        let mut arg = submission(&short);
        ioctl(&device, ferrite::IOCTL_SUBMIT, &mut arg)?;
        end = arg.number;
    }
    wait(&device, end)?;
    let mut poll = ferrite::Wait {
        number: last.number,
        ..ferrite::Wait::default()
    };
    let result = ioctl(&device, ferrite::IOCTL_WAIT, &mut poll);
    check(
        result == Err(libc::EBUSY),
        format!("a submission that waits: {result:?}"),
    )?;
    timeline.advance()?;
    let ended = wait(&device, last.number)?;
    check(ended.error == 0, format!("{ended:?}"))?;
    // Those that have ended long ago are forgotten.
    let forgotten = wait(&device, last.number + 1).err();
    check(
        forgotten == Some(libc::ENOENT),
        format!("a submission of long ago: {forgotten:?}"),
    )?;
    rig.check_works()
}

fn timeline_points() -> Result<(), Fail> {
    let device = Device::open()?;
    let rig = Rig::new(&device)?;
    let handle = syncobj(&device)?;
    let at = |point| {
        [ferrite::Sync {
            handle,
            flags: ferrite::SYNC_TIMELINE,
            point,
        }]
    };
    let mut plain = Jobs::new();
    plain.add(vec![rig.endless()], &rig.inputs(), &[]);
    plain.add(vec![rig.task()], &rig.inputs(), &[]);
    let (bad, good) = ([plain.extended(0)], [plain.extended(1)]);
    let (one, two) = (at(1), at(2));
    let submit = |job: &[ferrite::Job; 1], before: &[ferrite::Sync], after: &[ferrite::Sync]| {
        let mut arg = ferrite::Submit {
            in_syncs: before.as_ptr() as u64,
            in_sync_count: before.len() as u32,
            out_syncs: after.as_ptr() as u64,
            out_sync_count: after.len() as u32,
            ..submission(job)
        };
        ioctl(&device, ferrite::IOCTL_SUBMIT, &mut arg).map(|()| arg.number)
    };
    let early = submit(&good, &one, &[]);
    check(
        early == Err(libc::ENOENT),
        format!("a point that nothing will reach: {early:?}"),
    )?;
    for wrong in [
        ferrite::Sync { flags: 0, ..one[0] },
        ferrite::Sync { point: 0, ..one[0] },
    ] {
        let result = submit(&good, &[], &[wrong]);
        check(
            result == Err(libc::EINVAL),
            format!("{wrong:?} gave {result:?}"),
        )?;
    }
    let fine = submit(&good, &[], &one)?;
    let hung = submit(&bad, &one, &two)?;
    let after_one = submit(&good, &one, &[])?;
    let after_two = submit(&good, &two, &[])?;
    let ends = [fine, hung, after_one, after_two].map(|number| wait(&device, number));
    let errors = ends.map(|end| end.map(|end| end.error as i32));
    check(
        errors == [Ok(0), Ok(libc::ETIMEDOUT), Ok(0), Ok(libc::ECANCELED)],
        format!("the jobs ended with {errors:?}"),
    )?;
    rig.check_works()
}

fn activity_is_private() -> Result<(), Fail> {
    let device = Device::open()?;
    Rig::new(&device)?.run_job(1)?;
    let all = |device: &Device| -> Result<Vec<ferrite::CoreInfo>, i32> {
        let info: ferrite::DeviceInfo = ask(device, ferrite::QUERY_DEVICE, 0)?;
        (0..32)
            .filter(|core| info.cores & 1 << core != 0)
            .map(|core| ask(device, ferrite::QUERY_CORE, core))
            .collect()
    };
    let told = all(&device)?;
    check(
        told.iter()
            .all(|core| core.flags & ferrite::CORE_ACTIVITY != 0)
            && told.iter().any(|core| core.busy_ns > 0),
        format!("root is not told: {told:?}"),
    )?;
    // SAFETY: There are no other threads.
    let child = unsafe { libc::fork() };
    if child == 0 {
        // SAFETY: Gives up all capabilities with the user id; the child ends here.
        unsafe {
            let plain = libc::setuid(65534) == 0
                && all(&device).is_ok_and(|cores| {
                    cores.iter().all(|core| {
                        (core.flags, core.busy_ns, core.jobs, core.resets) == (0, 0, 0, 0)
                            && core.version != 0
                    })
                });
            libc::_exit(i32::from(!plain))
        }
    }
    let mut status = 0;
    // SAFETY: The child is ours; `status` is valid for writes.
    unsafe { libc::waitpid(child, &mut status, 0) };
    check(status == 0, "another user is told")
}

/// Puts `count` copies of the convolution into a buffer, each of which links to the next, and
/// returns the chain as a job's tasks.
pub fn linked(
    rig: &Rig<'_>,
    list: &crate::device::Buffer<'_>,
    count: u32,
) -> Result<Vec<rocket::Task>, Fail> {
    const STRIDE: u32 = 1024;
    let words = task::WORDS as u32;
    let mut tasks = Vec::new();
    for index in 0..count {
        let mut commands = task::commands(rig.activations.address, rig.constants.address);
        if index + 1 < count {
            let next = list.address + (index + 1) * STRIDE;
            commands[task::LINK_WORD] |= u64::from(next) << 16;
            commands[task::LINK_WORD + 1] |= u64::from(words.div_ceil(2) - 1) << 16;
        }
        list.write((index * STRIDE) as usize, &commands)?;
        tasks.push(rocket::Task {
            regcmd: list.address + index * STRIDE,
            regcmd_count: words,
        });
    }
    list.fini()?;
    Ok(tasks)
}

fn chain() -> Result<(), Fail> {
    const TASKS: u32 = 27;
    let device = Device::open()?;
    let rig = Rig::new(&device)?;
    let info: ferrite::DeviceInfo = ask(&device, ferrite::QUERY_DEVICE, 0)?;
    check(info.features & ferrite::FEATURE_CHAIN != 0, "no chains")?;
    let list = device.buffer(TASKS * 1024)?;
    let tasks = linked(&rig, &list, TASKS)?;
    let reads = [list.handle, rig.constants.handle];
    let mut plain = Jobs::new();
    plain.add(tasks, &reads, &[rig.activations.handle]);
    let interrupts = || -> Result<u64, Fail> {
        let lines = std::fs::read_to_string("/proc/interrupts")?;
        Ok(lines
            .lines()
            .filter(|line| line.contains(".npu"))
            .flat_map(|line| line.split_whitespace().skip(1).take(2))
            .filter_map(|count| count.parse::<u64>().ok())
            .sum())
    };
    rig.run_job(1)?;
    for _ in 0..3 {
        rig.clear_output()?;
        let before = interrupts()?;
        let job = [ferrite::Job {
            flags: ferrite::JOB_CHAINED,
            ..plain.extended(0)
        }];
        let mut arg = submission(&job);
        ioctl(&device, ferrite::IOCTL_SUBMIT, &mut arg)?;
        let end = wait(&device, arg.number)?;
        check(end.error == 0, format!("{end:?}"))?;
        rig.activations.prep(Rig::PATIENCE)?;
        check(rig.output_hash()? == task::OUTPUT_HASH, "another output")?;
        let came = interrupts()? - before;
        check(came == 1, format!("{came} interrupts for a chain"))?;
    }
    // As long as it can be, and no longer.
    let one = rig.task();
    let mut long = Jobs::new();
    long.add(vec![one; info.max_chain as usize + 1], &rig.inputs(), &[]);
    let job = [ferrite::Job {
        flags: ferrite::JOB_CHAINED,
        ..long.extended(0)
    }];
    let result = ioctl(&device, ferrite::IOCTL_SUBMIT, &mut submission(&job));
    check(
        result == Err(libc::E2BIG),
        format!("a chain that is too long: {result:?}"),
    )?;
    rig.check_works()
}

fn chain_that_hangs() -> Result<(), Fail> {
    let device = Device::open()?;
    let rig = Rig::new(&device)?;
    let list = device.buffer(8 * 1024)?;
    let tasks = linked(&rig, &list, 8)?;
    // The sixth reads what is not mapped.
    list.write(
        5 * 1024,
        &task::commands(0xe000_0000, rig.constants.address),
    )?;
    list.fini()?;
    let mut plain = Jobs::new();
    plain.add(
        tasks,
        &[list.handle, rig.constants.handle],
        &[rig.activations.handle],
    );
    let job = [ferrite::Job {
        flags: ferrite::JOB_CHAINED,
        ..plain.extended(0)
    }];
    let mut arg = submission(&job);
    ioctl(&device, ferrite::IOCTL_SUBMIT, &mut arg)?;
    let end = wait(&device, arg.number)?;
    check(
        (end.error as i32, end.failed_job, end.failed_task) == (libc::EFAULT, 0, 5),
        format!("the sixth task faults: {end:?}"),
    )?;
    rig.check_works()
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
    for (offset, len) in [(0, size), (4096, 0), (size, 0), (size - 1, 1), (4095, 2)] {
        finish(offset, len)?;
        prepare(offset, len)?;
    }
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
