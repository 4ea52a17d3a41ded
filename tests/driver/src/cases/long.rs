//! Jobs that would take hours, and those who cannot wait.

use std::io::{Read, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use ferrite_uapi::ferrite;

use super::chain::linked;
use super::life::bound;
use super::rig::{Entry, Fail, Jobs, Rig, check, submission};
use crate::device::{Buffer, Device, ioctl};

pub const CASES: &[Entry] = &[
    (
        "kill_long_jobs",
        "F4: three jobs of 65,536 tasks end within two tasks' budgets of their client",
        kill_long_jobs,
    ),
    (
        "share_with_long_jobs",
        "F4: a client gets its turn while another one's jobs of 65,536 tasks have all cores",
        share_with_long_jobs,
    ),
    (
        "unbind_long_jobs",
        "F4: a core that has a job of 65,536 tasks can be unbound at once, and the job goes on",
        unbind_long_jobs,
    ),
    (
        "kill_long_chains",
        "three chains of 4,095 tasks end within two tasks' budgets of their client",
        kill_long_chains,
    ),
    (
        "unbind_long_chains",
        "a core with a chain of 4,095 tasks can be unbound within two tasks' budgets",
        unbind_long_chains,
    ),
    (
        "suspend_long_jobs",
        "F4: the system can sleep while jobs of 65,536 tasks run",
        suspend_long_jobs,
    ),
];

/// Tasks of the longest job that a driver takes.
const TASKS: usize = 65_536;
/// Two budgets of a task.
const SOON: Duration = Duration::from_millis(1000);

/// Gives each core a job that takes hours on the chip. For the driver they write different buffers;
/// all that they use stays mapped as long as they run.
fn hog<'a>(rig: &Rig<'a>) -> Result<Vec<Buffer<'a>>, Fail> {
    let mut outputs = Vec::new();
    for _ in 0..3 {
        let output = rig.device.buffer(4096)?;
        let mut jobs = Jobs::new();
        let [commands, constants] = rig.inputs();
        let reads = [commands, constants, rig.activations.handle];
        jobs.add(vec![rig.task(); TASKS], &reads, &[output.handle]);
        rig.device.submit(&jobs.jobs)?;
        outputs.push(output);
    }
    Ok(outputs)
}

/// As [`hog`], with chains.
fn hog_with_chains<'a>(rig: &Rig<'a>) -> Result<Vec<Buffer<'a>>, Fail> {
    const TASKS: u32 = 4095;
    let list = rig.device.buffer(TASKS * 1024)?;
    let tasks = linked(rig, &list, TASKS)?;
    let reads = [list.handle, rig.constants.handle, rig.activations.handle];
    let mut outputs = Vec::new();
    for _ in 0..3 {
        let output = rig.device.buffer(4096)?;
        let mut plain = Jobs::new();
        plain.add(tasks.clone(), &reads, &[output.handle]);
        let job = [ferrite::Job {
            flags: ferrite::JOB_CHAINED,
            ..plain.extended(0)
        }];
        ioctl(rig.device, ferrite::IOCTL_SUBMIT, &mut submission(&job))?;
        outputs.push(output);
    }
    outputs.push(list);
    Ok(outputs)
}

/// Waits for a child; false if it is not gone in time.
fn gone(child: libc::pid_t, within: Duration) -> bool {
    let start = Instant::now();
    loop {
        let mut status = 0;
        // SAFETY: The child is ours; `status` is valid for writes.
        if unsafe { libc::waitpid(child, &mut status, libc::WNOHANG) } == child {
            return true;
        }
        if start.elapsed() > within {
            return false;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A process with three long jobs on the cores.
fn hogging_child(
    hog: for<'a> fn(&Rig<'a>) -> Result<Vec<Buffer<'a>>, Fail>,
) -> Result<libc::pid_t, Fail> {
    let (mut ready, tell) = std::io::pipe()?;
    // SAFETY: There are no other threads.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let work = || -> Result<(), Fail> {
            let device = Device::open()?;
            let rig = Rig::new(&device)?;
            let _outputs = hog(&rig)?;
            (&tell).write_all(&[1])?;
            loop {
                std::thread::sleep(Duration::from_secs(1));
            }
        };
        let _ = work();
        // SAFETY: Ends the child without touching what belongs to the parent.
        unsafe { libc::_exit(1) };
    }
    check(child > 0, "no process")?;
    drop(tell);
    ready.read_exact(&mut [0])?;
    // Until the jobs are on the cores.
    std::thread::sleep(Duration::from_millis(100));
    Ok(child)
}

fn kill(child: libc::pid_t) {
    // SAFETY: The child is ours.
    unsafe { libc::kill(child, libc::SIGKILL) };
}

fn kill_long_jobs() -> Result<(), Fail> {
    kill_hog(hog)
}

fn kill_long_chains() -> Result<(), Fail> {
    kill_hog(hog_with_chains)
}

fn kill_hog(hog: for<'a> fn(&Rig<'a>) -> Result<Vec<Buffer<'a>>, Fail>) -> Result<(), Fail> {
    let child = hogging_child(hog)?;
    kill(child);
    let start = Instant::now();
    check(
        gone(child, SOON),
        format!("the process is still there {SOON:?} after it was killed"),
    )?;
    let device = Device::open()?;
    let rig = Rig::new(&device)?;
    rig.run_job(1)?;
    let took = start.elapsed();
    check(took < SOON, format!("the next job ended after {took:?}"))?;
    rig.check_works()
}

fn share_with_long_jobs() -> Result<(), Fail> {
    let child = hogging_child(hog)?;
    let device = Device::open()?;
    let rig = Rig::new(&device)?;
    let start = Instant::now();
    rig.submit_job(1)?;
    let result = rig.activations.prep(SOON.as_millis() as i64);
    let took = start.elapsed();
    kill(child);
    gone(child, Duration::from_secs(60));
    check(
        result == Ok(()),
        format!("a job that others keep waiting: {result:?} after {took:?}"),
    )?;
    rig.check_works()
}

/// Unbinds and binds each of the cores; returns the longest time that an unbinding took.
fn rebind(folder: &Path, cores: &[String]) -> Result<Duration, Fail> {
    let mut worst = Duration::ZERO;
    for core in cores {
        let start = Instant::now();
        std::fs::write(folder.join("unbind"), core)?;
        worst = worst.max(start.elapsed());
        std::fs::write(folder.join("bind"), core)?;
    }
    Ok(worst)
}

fn unbind_long_jobs() -> Result<(), Fail> {
    let (folder, cores) = bound()?;
    let device = Device::open()?;
    let rig = Rig::new(&device)?;
    let outputs = hog(&rig)?;
    std::thread::sleep(Duration::from_millis(100));
    let worst = rebind(&folder, &cores[1..])?;
    let still: Vec<_> = outputs.iter().map(|output| output.prep(0)).collect();
    check(worst < SOON, format!("unbinding a core took {worst:?}"))?;
    check(
        still.iter().all(|end| *end == Err(libc::EBUSY)),
        format!("the jobs have ended: {still:?}"),
    )
}

fn unbind_long_chains() -> Result<(), Fail> {
    let (folder, cores) = bound()?;
    let device = Device::open()?;
    let rig = Rig::new(&device)?;
    let outputs = hog_with_chains(&rig)?;
    let worst = rebind(&folder, &cores[1..])?;
    check(worst < SOON, format!("unbinding a core took {worst:?}"))?;
    for output in &outputs[..3] {
        // Ended, or taken away.
        let end = output.prep(Rig::PATIENCE);
        check(
            matches!(end, Ok(()) | Err(libc::EIO)),
            format!("a chain ended with {end:?}"),
        )?;
    }
    rig.check_works()
}

fn suspend_long_jobs() -> Result<(), Fail> {
    if std::fs::write("/sys/power/pm_test", "devices").is_err() {
        eprintln!("skipped: the kernel cannot rehearse sleep");
        return Ok(());
    }
    let _ = std::fs::write("/sys/module/suspend/parameters/pm_test_delay", "1");
    let device = Device::open()?;
    let rig = Rig::new(&device)?;
    let outputs = hog(&rig)?;
    std::thread::sleep(Duration::from_millis(100));
    let start = Instant::now();
    std::fs::write("/sys/power/state", "mem")
        .map_err(|error| Fail(format!("the system does not sleep: {error}")))?;
    let took = start.elapsed();
    let still: Vec<_> = outputs.iter().map(|output| output.prep(0)).collect();
    // All cores one after the other, the second of sleep, and what waking up takes.
    check(
        took < 3 * SOON + Duration::from_secs(2),
        format!("the system took {took:?} to sleep and to wake"),
    )?;
    check(
        still.iter().all(|end| *end == Err(libc::EBUSY)),
        format!("the jobs have ended: {still:?}"),
    )
}
