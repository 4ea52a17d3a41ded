//! A campaign of faults: each is injected, and then the next job must work.

use std::fs;
use std::process::ExitCode;
use std::time::Duration;

use crate::cases::{Fail, Jobs, Rig, bound};
use crate::device::Device;
use crate::fuzz::Random;
use crate::task;

/// Numbers of faults by kind.
#[derive(Default, Debug)]
struct Counts {
    hangs: u64,
    read_faults: u64,
    write_faults: u64,
    kills: u64,
    unbinds: u64,
    allocations: u64,
}

/// Makes about `faults` faults, plus a failure at each allocation of each call. One JSON object.
pub fn run(faults: u64, seed: u64) -> ExitCode {
    let mut random = Random::new(seed);
    let mut counts = Counts::default();
    let mut result = each_allocation(&mut counts);
    let mut done = 0;
    while done < faults && result.is_ok() {
        result = one(&mut random, &mut counts).and_then(|()| works());
        done += 1;
    }
    let why = result
        .as_ref()
        .err()
        .map_or(String::new(), ToString::to_string);
    println!(
        "{{\"faults\": {}, \"seed\": {seed}, \"counts\": \"{counts:?}\", \"why\": {why:?}}}",
        done + counts.allocations
    );
    if result.is_ok() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn works() -> Result<(), Fail> {
    Rig::new(&Device::open()?)?.check_works()
}

fn one(random: &mut Random, counts: &mut Counts) -> Result<(), Fail> {
    match random.below(16) {
        0..4 => {
            counts.hangs += 1;
            bad_job(|rig, jobs| {
                jobs.add(
                    vec![rig.endless()],
                    &rig.inputs(),
                    &[rig.activations.handle],
                );
                Ok(())
            })
        }
        4..7 => {
            counts.read_faults += 1;
            wrong_address(20)
        }
        7..10 => {
            counts.write_faults += 1;
            wrong_address(57)
        }
        10..15 => {
            counts.kills += 1;
            kill(random.below(30_000))
        }
        _ => {
            counts.unbinds += 1;
            unbind(random)
        }
    }
}

/// Submits a job that fails, between two that do not.
fn bad_job(add: impl Fn(&Rig<'_>, &mut Jobs) -> Result<(), Fail>) -> Result<(), Fail> {
    let device = Device::open()?;
    let rig = Rig::new(&device)?;
    let mut jobs = Jobs::new();
    jobs.add(
        vec![rig.task(); 2],
        &rig.inputs(),
        &[rig.activations.handle],
    );
    add(&rig, &mut jobs)?;
    jobs.add(vec![rig.task()], &rig.inputs(), &[rig.activations.handle]);
    device.submit(&jobs.jobs)?;
    match rig.activations.prep(Rig::PATIENCE) {
        Ok(()) | Err(libc::EIO) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

/// A job one of whose addresses is not mapped.
fn wrong_address(word: usize) -> Result<(), Fail> {
    bad_job(|rig, jobs| {
        let mut list = task::commands(rig.activations.address, rig.constants.address);
        list[word] = task::commands(0xe000_0000, 0)[word];
        let place = task::WORDS * 8 + 16;
        rig.commands.write(place, &list)?;
        rig.commands.fini()?;
        let task = ferrite_uapi::rocket::Task {
            regcmd: rig.commands.address + place as u32,
            ..rig.task()
        };
        jobs.add(vec![task], &rig.inputs(), &[rig.activations.handle]);
        Ok(())
    })
}

/// A client that is killed at some moment.
fn kill(after_us: u64) -> Result<(), Fail> {
    // SAFETY: There are no other threads.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let _ = (|| -> Result<(), Fail> {
            let device = Device::open()?;
            loop {
                let rig = Rig::new(&device)?;
                for tasks in 1..6 {
                    rig.submit_job(tasks)?;
                }
                rig.activations.export()?;
            }
        })();
        // SAFETY: Ends the child without touching what belongs to the parent.
        unsafe { libc::_exit(1) };
    }
    std::thread::sleep(Duration::from_micros(after_us));
    let mut status = 0;
    // SAFETY: The child is ours; `status` is valid for writes.
    unsafe {
        libc::kill(child, libc::SIGKILL);
        libc::waitpid(child, &mut status, 0);
    }
    Ok(())
}

/// Takes a core away while it works, and gives it back.
fn unbind(random: &mut Random) -> Result<(), Fail> {
    let (folder, cores) = bound()?;
    let core = &cores[random.below(cores.len() as u64) as usize];
    let device = Device::open()?;
    let rig = Rig::new(&device)?;
    rig.submit_job(20)?;
    fs::write(folder.join("unbind"), core)?;
    let end = rig.activations.prep(Rig::PATIENCE);
    fs::write(folder.join("bind"), core)?;
    Ok(end?)
}

/// Fails each allocation of each call in turn, where the kernel can do that.
fn each_allocation(counts: &mut Counts) -> Result<(), Fail> {
    if fs::metadata("/proc/self/fail-nth").is_err() {
        eprintln!("skipped: the kernel cannot inject failing allocations");
        return Ok(());
    }
    for call in 0..4 {
        for nth in 1..400 {
            let device = Device::open()?;
            let rig = Rig::new(&device)?;
            let mut jobs = Jobs::new();
            for _ in 0..3 {
                jobs.add(vec![rig.task()], &rig.inputs(), &[rig.activations.handle]);
            }
            fs::write("/proc/self/fail-nth", nth.to_string())?;
            match call {
                0 => drop(Device::open()),
                1 => drop(device.buffer(70_000)),
                2 => drop(device.submit(&jobs.jobs)),
                _ => drop(rig.activations.export()),
            }
            // What is left of the count says whether the failure came.
            let left = fs::read_to_string("/proc/self/fail-nth")?;
            fs::write("/proc/self/fail-nth", "0")?;
            let _ = rig.activations.prep(Rig::PATIENCE);
            drop(rig);
            works()?;
            if left.trim() != "0" {
                break;
            }
            counts.allocations += 1;
        }
    }
    Ok(())
}
