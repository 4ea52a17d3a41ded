//! Files and cores that go while jobs run.

use std::fs::{File, OpenOptions};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::PathBuf;
use std::time::Duration;

use ferrite_uapi::{drm, ferrite, rocket};

use super::rig::{Fail, Jobs, Rig, check};
use crate::device::{Device, ioctl};
use crate::task;

type Entry = (&'static str, &'static str, fn() -> Result<(), Fail>);

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
    ("version", "the version is at least 1.0", version),
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

/// `SW_SYNC_IOC_CREATE_FENCE`.
const CREATE_FENCE: u32 = 0xc028_5700;
/// `SW_SYNC_IOC_INC`.
const ADVANCE: u32 = 0x4004_5701;

/// A fence of software's, and what signals it, as in `drivers/dma-buf/sw_sync.c`.
fn software_fence() -> Result<(File, OwnedFd), Fail> {
    #[repr(C)]
    struct Create {
        value: u32,
        name: [u8; 32],
        fence: i32,
    }
    let timeline = OpenOptions::new()
        .read(true)
        .write(true)
        .open("/sys/kernel/debug/sync/sw_sync")?;
    let mut create = Create {
        value: 1,
        name: [0; 32],
        fence: -1,
    };
    ioctl(&timeline, CREATE_FENCE, &mut create)?;
    // SAFETY: The kernel just made the descriptor for us.
    Ok((timeline, unsafe { OwnedFd::from_raw_fd(create.fence) }))
}

fn fences_end_without_cores() -> Result<(), Fail> {
    let device = Device::open()?;
    let rig = Rig::new(&device)?;
    let (timeline, before) = software_fence()?;
    let mut import = drm::SyncobjHandle {
        flags: 1,
        fd: before.as_raw_fd(),
        ..Default::default()
    };
    let mut created = [drm::SyncobjCreate::default(); 2];
    for syncobj in &mut created {
        ioctl(&device, drm::IOCTL_SYNCOBJ_CREATE, syncobj)?;
    }
    import.handle = created[0].handle;
    ioctl(&device, drm::IOCTL_SYNCOBJ_FD_TO_HANDLE, &mut import)?;
    let list = [rig.task()];
    let job = [ferrite::Job {
        tasks: list.as_ptr() as u64,
        task_count: 1,
        task_struct_size: size_of::<rocket::Task>() as u32,
        ..ferrite::Job::default()
    }];
    let (first, second) = ([created[0].handle], [created[1].handle]);
    let mut submit = ferrite::Submit {
        jobs: job.as_ptr() as u64,
        job_count: 1,
        job_struct_size: size_of::<ferrite::Job>() as u32,
        in_syncobjs: first.as_ptr() as u64,
        in_syncobj_count: 1,
        out_syncobjs: second.as_ptr() as u64,
        out_syncobj_count: 1,
        ..ferrite::Submit::default()
    };
    ioctl(&device, ferrite::IOCTL_SUBMIT, &mut submit)?;
    let mut export = drm::SyncobjHandle {
        handle: created[1].handle,
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
    ioctl(&timeline, ADVANCE, &mut 1u32)?;
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
    check(version >= (1, 0), format!("{version:?}"))
}
