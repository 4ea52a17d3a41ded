//! What one client may take, however it multiplies.

use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use ferrite_uapi::ferrite;

use super::rig::{Entry, Fail, Jobs, Rig, check, submission, sync};
use super::sw_sync::{Timeline, import};
use crate::device::Device;

pub const CASES: &[Entry] = &[
    (
        "waits_do_not_multiply",
        "F3: uses of a buffer count once, however often a job names it and however many jobs write it",
        waits_do_not_multiply,
    ),
    (
        "slots_are_left_to_others",
        "F12: one user's waiting jobs do not keep another user's out",
        slots_are_left_to_others,
    ),
    (
        "files_are_left_to_others",
        "F12: one user's files do not keep another user's out",
        files_are_left_to_others,
    ),
    (
        "faults_do_not_flood_the_log",
        "F27: a client that faults all the time does not flood the kernel's log",
        faults_do_not_flood_the_log,
    ),
];

/// Kibibytes that are free, or can be made so.
fn free_kib() -> Result<i64, Fail> {
    let info = std::fs::read_to_string("/proc/meminfo")?;
    info.lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))
        .and_then(|rest| rest.split_whitespace().next()?.parse().ok())
        .ok_or_else(|| Fail("no MemAvailable".into()))
}

fn waits_do_not_multiply() -> Result<(), Fail> {
    const WRITERS: usize = 500;
    let device = Device::open()?;
    let rig = Rig::new(&device)?;
    let [first, shared] = [device.buffer(4096)?, device.buffer(4096)?];
    // What takes long, those who wait for it, and one who names what they write again and again.
    let mut long = Jobs::new();
    long.add(vec![rig.task(); 65_536], &rig.inputs(), &[first.handle]);
    device.submit(&long.jobs)?;
    let mut writer = Jobs::new();
    writer.add(vec![rig.task()], &[first.handle], &[shared.handle]);
    for _ in 0..WRITERS {
        // Each in a submission of its own: each leaves a fence.
        device.submit(&writer.jobs)?;
    }
    let free = free_kib()?;
    let mut greedy = Jobs::new();
    greedy.add(vec![rig.task()], &vec![shared.handle; 65_000], &[]);
    let start = Instant::now();
    let result = device.submit(&greedy.jobs);
    let (took, taken) = (start.elapsed(), free - free_kib()?);
    check(result == Ok(()), format!("the submission: {result:?}"))?;
    check(
        taken < 32 << 10,
        format!("one job that names a buffer 65,000 times took {taken} KiB"),
    )?;
    check(
        took < Duration::from_secs(5),
        format!("submitting it took {took:?}"),
    )?;
    drop((first, shared, rig));
    drop(device);
    Rig::new(&Device::open()?)?.check_works()
}

/// Runs `work` as another user, and says whether it succeeds within some seconds.
fn as_another_user(work: impl FnOnce() -> Result<(), Fail>) -> Result<bool, Fail> {
    // The node may be root's.
    for entry in std::fs::read_dir("/dev/accel")? {
        let path = std::ffi::CString::new(entry?.path().to_string_lossy().as_bytes())
            .map_err(|_| Fail("a name with a zero".into()))?;
        // SAFETY: The path is a C string.
        unsafe { libc::chmod(path.as_ptr(), 0o666) };
    }
    // SAFETY: There are no other threads.
    let child = unsafe { libc::fork() };
    if child == 0 {
        // SAFETY: The child ends here, or after the alarm.
        unsafe {
            libc::alarm(5);
            let good = libc::setuid(65534) == 0 && work().is_ok();
            libc::_exit(i32::from(!good))
        }
    }
    let mut status = 0;
    // SAFETY: The child is ours; `status` is valid for writes.
    unsafe { libc::waitpid(child, &mut status, 0) };
    Ok(status == 0)
}

fn slots_are_left_to_others() -> Result<(), Fail> {
    let timeline = Timeline::new()?;
    let devices = [Device::open()?, Device::open()?, Device::open()?];
    let (mut filled, mut rigs) = (Vec::new(), Vec::new());
    for device in &devices {
        rigs.push(Rig::new(device)?);
        let rig = &rigs[rigs.len() - 1];
        let before = [sync(import(device, &timeline.fence()?)?)];
        let mut plain = Jobs::new();
        plain.add(vec![rig.task()], &rig.inputs(), &[]);
        let one = plain.extended(0);
        // As many as can be without waiting: the call is interrupted by an alarm then.
        let mut count = 0;
        for jobs in [vec![one; 512], vec![one; 64], vec![one; 1]] {
            loop {
                let mut arg = ferrite::Submit {
                    in_syncs: before.as_ptr() as u64,
                    in_sync_count: 1,
                    flags: ferrite::SUBMIT_EXPLICIT,
                    ..submission(&jobs)
                };
                if !interruptible(device, &mut arg) {
                    break;
                }
                count += jobs.len();
            }
        }
        filled.push(count);
    }
    let other = as_another_user(|| Rig::new(&Device::open()?)?.check_works())?;
    timeline.advance()?;
    check(
        filled[0] >= 1024,
        format!("a client may have {} jobs only", filled[0]),
    )?;
    check(
        other,
        format!("another user's job waits for those of this one: {filled:?}"),
    )?;
    rigs[0].check_works()
}

/// Submits, and gives up after a tenth of a second. Returns whether the jobs were taken.
fn interruptible(device: &Device, arg: &mut ferrite::Submit) -> bool {
    extern "C" fn nothing(_: i32) {}
    let every = |us| libc::itimerval {
        it_interval: libc::timeval {
            tv_sec: 0,
            tv_usec: us,
        },
        it_value: libc::timeval {
            tv_sec: 0,
            tv_usec: us,
        },
    };
    // SAFETY: The handler does nothing; without SA_RESTART it interrupts the call. All pointers are
    // valid.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = nothing as extern "C" fn(i32) as usize;
        libc::sigaction(libc::SIGALRM, &action, std::ptr::null_mut());
        libc::setitimer(libc::ITIMER_REAL, &every(100_000), std::ptr::null_mut());
        let ret = libc::ioctl(
            device.as_raw_fd(),
            std::ffi::c_ulong::from(ferrite::IOCTL_SUBMIT) as _,
            std::ptr::from_mut(arg),
        );
        libc::setitimer(libc::ITIMER_REAL, &every(0), std::ptr::null_mut());
        ret == 0
    }
}

fn files_are_left_to_others() -> Result<(), Fail> {
    let limit = libc::rlimit {
        rlim_cur: 4096,
        rlim_max: 4096,
    };
    // SAFETY: The limit is valid.
    unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) };
    let mut files = Vec::new();
    while files.len() < 2000
        && let Ok(device) = Device::open()
    {
        files.push(device);
    }
    let count = files.len();
    let other = as_another_user(|| {
        Device::open()?;
        Ok(())
    })?;
    drop(files);
    check(count >= 64, format!("one user may open {count} files only"))?;
    check(
        other,
        format!("after one user's {count} files another user gets none"),
    )?;
    Rig::new(&Device::open()?)?.check_works()
}

fn faults_do_not_flood_the_log() -> Result<(), Fail> {
    let device = Device::open()?;
    let rig = Rig::new(&device)?;
    rig.commands.write(
        0,
        &crate::task::commands(0xe000_0000, rig.constants.address),
    )?;
    rig.commands.fini()?;
    let lines = || -> usize {
        let mut buffer = vec![0u8; 1 << 20];
        // SAFETY: The buffer is valid for writes of its length. 3 = read all of the log.
        let len = unsafe { libc::klogctl(3, buffer.as_mut_ptr().cast(), buffer.len() as i32) };
        String::from_utf8_lossy(&buffer[..usize::try_from(len).unwrap_or(0)])
            .lines()
            .filter(|line| line.contains("ferrite"))
            .count()
    };
    let before = lines();
    for _ in 0..60 {
        rig.submit_job(1)?;
        let result = rig.activations.prep(Rig::PATIENCE);
        check(result == Err(libc::EIO), format!("PREP_BO gave {result:?}"))?;
    }
    let came = lines() - before;
    rig.commands.write(
        0,
        &crate::task::commands(rig.activations.address, rig.constants.address),
    )?;
    rig.commands.fini()?;
    check(
        came < 40,
        format!("60 jobs that fault left {came} lines of the driver's"),
    )?;
    rig.check_works()
}
