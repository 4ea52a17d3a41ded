//! Files and cores that go while jobs run.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::PathBuf;
use std::time::Duration;

use ferrite_uapi::{drm, ferrite, rocket};

use super::rig::{Entry, Fail, Jobs, Rig, check, submission, sync};
use super::sw_sync::{Timeline, import};
use crate::device::{Device, PREP_BO, ioctl, now};
use crate::task;

pub const CASES: &[Entry] = &[
    (
        "close_while_running",
        "W6: a job may outlive its file",
        close_while_running,
    ),
    (
        "export_outlives_file",
        "W6: an exported buffer may outlive its file",
        export_outlives_file,
    ),
    (
        "kill_while_running",
        "W6: a killed client leaves a working NPU",
        kill_while_running,
    ),
    (
        "unbind_while_running",
        "W20: cores may be unbound and bound again while a client works",
        unbind_while_running,
    ),
    (
        "fences_end_without_cores",
        "W20: who waits for a job that waits for others is told when all cores are gone",
        fences_end_without_cores,
    ),
    (
        "suspend_while_running",
        "W24: the system may sleep while jobs run; they go on afterwards",
        suspend_while_running,
    ),
    (
        "close_with_signals",
        "F9: a file that is closed lets its jobs end, whatever signals are pending",
        close_with_signals,
    ),
    (
        "waits_do_not_block_others",
        "F7: unbinding a core does not wait for those who wait for jobs",
        waits_do_not_block_others,
    ),
    (
        "bind_and_unbind_at_once",
        "F10: cores may come while the last one goes",
        bind_and_unbind_at_once,
    ),
    (
        "version",
        "F14: the version is mainline's, by which others than ours go",
        version,
    ),
];

fn long(rig: &Rig<'_>) -> Result<(), Fail> {
    let mut jobs = Jobs::new();
    for _ in 0..8 {
        jobs.add(
            vec![rig.task(); 8],
            &rig.inputs(),
            &[rig.activations.handle],
        );
    }
    Ok(rig.device.submit(&jobs.jobs)?)
}

fn close_while_running() -> Result<(), Fail> {
    for _ in 0..3 {
        let device = Device::open()?;
        let rig = Rig::new(&device)?;
        long(&rig)?;
    }
    Rig::new(&Device::open()?)?.check_works()
}

fn export_outlives_file() -> Result<(), Fail> {
    let export = {
        let device = Device::open()?;
        let rig = Rig::new(&device)?;
        long(&rig)?;
        rig.activations.export()?
    };
    // SAFETY: A new mapping of a part of the buffer.
    let address = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            4096,
            libc::PROT_READ,
            libc::MAP_SHARED,
            export.as_raw_fd(),
            0,
        )
    };
    check(address != libc::MAP_FAILED, "the export cannot be mapped")?;
    // SAFETY: Just mapped.
    let byte = unsafe { std::ptr::read_volatile(address.cast::<u8>()) };
    // SAFETY: Mapped above, and not used any more.
    unsafe { libc::munmap(address, 4096) };
    check(byte == 3, format!("the input's first byte is {byte}"))?;
    drop(export);
    Rig::new(&Device::open()?)?.check_works()
}

fn kill_while_running() -> Result<(), Fail> {
    for delay_us in [0, 300, 1000, 5000, 20_000] {
        // SAFETY: There are no other threads.
        let child = unsafe { libc::fork() };
        if child == 0 {
            let work = || -> Result<(), Fail> {
                let device = Device::open()?;
                let rig = Rig::new(&device)?;
                loop {
                    long(&rig)?;
                }
            };
            let _ = work();
            // SAFETY: Ends the child without touching what belongs to the parent.
            unsafe { libc::_exit(1) };
        }
        check(child > 0, "no process")?;
        std::thread::sleep(Duration::from_micros(delay_us));
        let mut status = 0;
        // SAFETY: The child is ours; `status` is valid for writes.
        unsafe {
            libc::kill(child, libc::SIGKILL);
            libc::waitpid(child, &mut status, 0);
        }
    }
    Rig::new(&Device::open()?)?.check_works()
}

/// The driver's folder in sysfs, and the names of its cores.
pub fn bound() -> Result<(PathBuf, Vec<String>), Fail> {
    for driver in ["ferrite", "rocket"] {
        let folder = PathBuf::from("/sys/bus/platform/drivers").join(driver);
        let Ok(entries) = std::fs::read_dir(&folder) else {
            continue;
        };
        let mut cores: Vec<String> = entries
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter(|name| name.ends_with(".npu"))
            .collect();
        cores.sort();
        return Ok((folder, cores));
    }
    Err(Fail("no driver".into()))
}

fn unbind_while_running() -> Result<(), Fail> {
    let (folder, cores) = bound()?;
    let device = Device::open()?;
    let rig = Rig::new(&device)?;
    // All but the last in turn, then the first alone: the node stays.
    for core in cores.iter().skip(1) {
        long(&rig)?;
        std::fs::write(folder.join("unbind"), core)?;
        rig.activations.prep(Rig::PATIENCE)?;
        rig.check_works()?;
        std::fs::write(folder.join("bind"), core)?;
        rig.check_works()?;
    }
    long(&rig)?;
    for core in &cores {
        std::fs::write(folder.join("unbind"), core)?;
    }
    let result = device.buffer(task::CONSTANTS).map(|_| ());
    check(
        result == Err(libc::ENODEV),
        format!("without cores, CREATE_BO gave {result:?}"),
    )?;
    for core in cores.iter().rev() {
        std::fs::write(folder.join("bind"), core)?;
    }
    std::thread::sleep(Duration::from_millis(100));
    let names: Vec<PathBuf> = std::fs::read_dir("/dev/accel")?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect();
    let old = rig.commands.prep(0);
    check(
        old == Err(libc::ENODEV),
        format!("the old file gave {old:?}"),
    )?;
    drop(rig);
    drop(device);
    check(!names.is_empty(), "no node came back")?;
    // The old node's number is free only after its last file: the new one may have another.
    let mut last = Err(Fail("no node".into()));
    for name in names {
        last = Device::open_at(&name)
            .map_err(Fail::from)
            .and_then(|device| Rig::new(&device)?.check_works());
        if last.is_ok() {
            break;
        }
    }
    last
}

fn fences_end_without_cores() -> Result<(), Fail> {
    let device = Device::open()?;
    let rig = Rig::new(&device)?;
    let timeline = Timeline::new()?;
    let first = import(&device, &timeline.fence()?)?;
    let mut second = drm::SyncobjCreate::default();
    ioctl(&device, drm::IOCTL_SYNCOBJ_CREATE, &mut second)?;
    let mut plain = Jobs::new();
    plain.add(vec![rig.task()], &[], &[]);
    let job = [plain.extended(0)];
    let (before, after) = ([sync(first)], [sync(second.handle)]);
    let mut submit = ferrite::Submit {
        in_syncs: before.as_ptr() as u64,
        in_sync_count: 1,
        out_syncs: after.as_ptr() as u64,
        out_sync_count: 1,
        ..submission(&job)
    };
    ioctl(&device, ferrite::IOCTL_SUBMIT, &mut submit)?;
    let mut export = drm::SyncobjHandle {
        handle: second.handle,
        flags: 1,
        ..Default::default()
    };
    ioctl(&device, drm::IOCTL_SYNCOBJ_HANDLE_TO_FD, &mut export)?;
    // SAFETY: The kernel just made the descriptor for us.
    let end = unsafe { OwnedFd::from_raw_fd(export.fd) };
    let (folder, cores) = bound()?;
    for core in &cores {
        std::fs::write(folder.join("unbind"), core)?;
    }
    let ended = |ms: i32| {
        let mut poll = libc::pollfd {
            fd: end.as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        };
        // SAFETY: `poll` is valid for writes.
        unsafe { libc::poll(&raw mut poll, 1, ms) == 1 }
    };
    let early = ended(0);
    timeline.advance()?;
    let late = ended(5000);
    for core in &cores {
        std::fs::write(folder.join("bind"), core)?;
    }
    // Before the old file goes, and with it what it may have left behind.
    drop(rig);
    drop(device);
    check(
        !early,
        "the fence was signalled before the one it waits for",
    )?;
    check(late, "the fence is never signalled")?;
    Rig::new(&Device::open()?)?.check_works()
}

fn suspend_while_running() -> Result<(), Fail> {
    if std::fs::write("/sys/power/pm_test", "devices").is_err() {
        eprintln!("skipped: the kernel cannot rehearse sleep");
        return Ok(());
    }
    // Sleep for a second instead of five, where that can be set.
    let _ = std::fs::write("/sys/module/suspend/parameters/pm_test_delay", "1");
    let device = Device::open()?;
    let rig = Rig::new(&device)?;
    for _ in 0..3 {
        // Far more than can be done before all devices are asked to sleep.
        let mut jobs = Jobs::new();
        for _ in 0..200 {
            jobs.add(
                vec![rig.task(); 16],
                &rig.inputs(),
                &[rig.activations.handle],
            );
        }
        device.submit(&jobs.jobs)?;
        std::fs::write("/sys/power/state", "mem")
            .map_err(|error| Fail(format!("the system does not sleep: {error}")))?;
        rig.activations.prep(60_000)?;
    }
    rig.check_works()
}

fn version() -> Result<(), Fail> {
    let version = Device::open()?.version()?;
    check(version == (0, 0), format!("{version:?}"))
}

fn close_with_signals() -> Result<(), Fail> {
    let device = Device::open()?;
    let rig = Rig::new(&device)?;
    long(&rig)?;
    let fd = rig.activations.export()?;
    // SAFETY: There are no other threads; the mask is valid. The signal stays pending.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        extern "C" fn nothing(_: i32) {}
        libc::signal(
            libc::SIGALRM,
            nothing as extern "C" fn(i32) as libc::sighandler_t,
        );
        let every = libc::itimerval {
            it_interval: libc::timeval {
                tv_sec: 0,
                tv_usec: 1000,
            },
            it_value: libc::timeval {
                tv_sec: 0,
                tv_usec: 1000,
            },
        };
        libc::setitimer(libc::ITIMER_REAL, &every, std::ptr::null_mut());
    }
    drop(rig);
    drop(device);
    // SAFETY: Stops the timer.
    unsafe {
        let never: libc::itimerval = std::mem::zeroed();
        libc::setitimer(libc::ITIMER_REAL, &never, std::ptr::null_mut());
    }
    // Another file sees how the jobs ended.
    let other = Device::open()?;
    let mut import = drm::PrimeHandle {
        handle: 0,
        flags: 0,
        fd: fd.as_raw_fd(),
    };
    ioctl(&other, drm::IOCTL_PRIME_FD_TO_HANDLE, &mut import)?;
    let mut prepare = rocket::PrepBo {
        handle: import.handle,
        reserved: 0,
        timeout_ns: now() + Rig::PATIENCE * 1_000_000,
    };
    let result = ioctl(&other, PREP_BO, &mut prepare);
    check(result == Ok(()), format!("the jobs ended with {result:?}"))?;
    Rig::new(&other)?.check_works()
}

fn waits_do_not_block_others() -> Result<(), Fail> {
    let (folder, cores) = bound()?;
    let device = Device::open()?;
    let rig = Rig::new(&device)?;
    let timeline = Timeline::new()?;
    let before = [sync(import(&device, &timeline.fence()?)?)];
    let mut plain = Jobs::new();
    plain.add(vec![rig.task()], &rig.inputs(), &[rig.activations.handle]);
    let job = [plain.extended(0)];
    let mut arg = ferrite::Submit {
        in_syncs: before.as_ptr() as u64,
        in_sync_count: 1,
        ..submission(&job)
    };
    ioctl(&device, ferrite::IOCTL_SUBMIT, &mut arg)?;
    let took = std::thread::scope(|scope| -> Result<Duration, Fail> {
        // For as long as it takes.
        let (device, number) = (&device, arg.number);
        scope.spawn(move || {
            let mut wait = ferrite::Wait {
                number,
                timeout_ns: i64::MAX,
                ..ferrite::Wait::default()
            };
            ioctl(device, ferrite::IOCTL_WAIT, &mut wait)
        });
        std::thread::sleep(Duration::from_millis(100));
        let (done, ended) = std::sync::mpsc::channel();
        let names = (&folder, &cores);
        scope.spawn(move || {
            let start = std::time::Instant::now();
            let result = names
                .1
                .iter()
                .try_for_each(|core| std::fs::write(names.0.join("unbind"), core));
            let _ = done.send(result.map(|()| start.elapsed()));
        });
        let took = ended.recv_timeout(Duration::from_secs(3));
        timeline.advance()?;
        match took {
            Ok(took) => Ok(took?),
            Err(_) => Err(Fail("unbinding waits for a WAIT".into())),
        }
    });
    for core in &cores {
        // Those that could not be unbound are bound.
        let _ = std::fs::write(folder.join("bind"), core);
    }
    drop(rig);
    drop(device);
    took?;
    Rig::new(&Device::open()?)?.check_works()
}

fn bind_and_unbind_at_once() -> Result<(), Fail> {
    let (folder, cores) = bound()?;
    check(cores.len() > 1, "one core is not enough")?;
    for core in &cores[2..] {
        std::fs::write(folder.join("unbind"), core)?;
    }
    std::thread::scope(|scope| {
        for core in &cores[..2] {
            let folder = &folder;
            scope.spawn(move || {
                for _ in 0..100 {
                    let _ = std::fs::write(folder.join("unbind"), core);
                    let _ = std::fs::write(folder.join("bind"), core);
                }
            });
        }
    });
    for core in &cores {
        if !folder.join(core).exists() {
            std::fs::write(folder.join("bind"), core)?;
        }
    }
    let nodes = std::fs::read_dir("/dev/accel")?.count();
    check(nodes == 1, format!("{nodes} nodes"))?;
    Rig::new(&Device::open()?)?.check_works()
}
