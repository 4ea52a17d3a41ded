//! Jobs that go wrong.

use super::rig::{Entry, Fail, Jobs, Rig, check};
use crate::device::{Device, now};
use crate::task;

pub const CASES: &[Entry] = &[
    (
        "timeouts_are_reported",
        "W3: who waits for a job that hung is told",
        timeouts_are_reported,
    ),
    (
        "failures_spread",
        "W3: so is who waits for what was made from it",
        failures_spread,
    ),
    (
        "read_faults_end_the_job",
        "W9: a read that the IOMMU refuses ends the job at once, with an error",
        read_faults_end_the_job,
    ),
    (
        "write_faults_end_the_job",
        "W9: a write that the IOMMU refuses ends the job at once, with an error",
        write_faults_end_the_job,
    ),
    (
        "dump_tells",
        "F28: the dump of a job that hung has the commands and what the blocks say",
        dump_tells,
    ),
    (
        "others_are_not_disturbed",
        "W16: a job of another client runs while one hangs",
        others_are_not_disturbed,
    ),
];

fn hang<'a>(rig: &Rig<'a>) -> Result<(), Fail> {
    let mut jobs = Jobs::new();
    jobs.add(
        vec![rig.endless()],
        &rig.inputs(),
        &[rig.activations.handle],
    );
    Ok(rig.device.submit(&jobs.jobs)?)
}

fn timeouts_are_reported() -> Result<(), Fail> {
    let device = Device::open()?;
    let rig = Rig::new(&device)?;
    hang(&rig)?;
    let result = rig.activations.prep(Rig::PATIENCE);
    check(result == Err(libc::EIO), format!("PREP_BO gave {result:?}"))?;
    rig.check_works()
}

fn failures_spread() -> Result<(), Fail> {
    let device = Device::open()?;
    let rig = Rig::new(&device)?;
    let result = device.buffer(4096)?;
    let mut jobs = Jobs::new();
    jobs.add(
        vec![rig.endless()],
        &rig.inputs(),
        &[rig.activations.handle],
    );
    jobs.add(
        vec![rig.task()],
        &[rig.activations.handle, rig.constants.handle],
        &[result.handle],
    );
    device.submit(&jobs.jobs)?;
    let end = result.prep(Rig::PATIENCE);
    check(end == Err(libc::EIO), format!("PREP_BO gave {end:?}"))?;
    rig.check_works()
}

/// Runs the convolution with other addresses, and checks that it fails soon.
fn fault(activations: impl Fn(&Rig<'_>) -> [u64; task::WORDS]) -> Result<(), Fail> {
    let device = Device::open()?;
    let rig = Rig::new(&device)?;
    rig.run_job(1)?;
    rig.commands.write(0, &activations(&rig))?;
    rig.commands.fini()?;
    let mut jobs = Jobs::new();
    jobs.add(vec![rig.task()], &rig.inputs(), &[rig.activations.handle]);
    let start = now();
    device.submit(&jobs.jobs)?;
    let result = rig.activations.prep(Rig::PATIENCE);
    let took = (now() - start) / 1_000_000;
    rig.commands.write(
        0,
        &task::commands(rig.activations.address, rig.constants.address),
    )?;
    rig.commands.fini()?;
    rig.check_works()?;
    check(result == Err(libc::EIO), format!("PREP_BO gave {result:?}"))?;
    check(took < 400, format!("it took {took} ms"))
}

fn read_faults_end_the_job() -> Result<(), Fail> {
    fault(|rig| task::commands(0xe000_0000, rig.constants.address))
}

fn write_faults_end_the_job() -> Result<(), Fail> {
    fault(|rig| {
        let good = task::commands(rig.activations.address, rig.constants.address);
        let bad = task::commands(0xe000_0000, rig.constants.address);
        // Only the output's address is bad: the word that is not the input's.
        let mut mixed = good;
        mixed[57] = bad[57];
        mixed
    })
}

fn others_are_not_disturbed() -> Result<(), Fail> {
    let (one, other) = (Device::open()?, Device::open()?);
    let (bad, good) = (Rig::new(&one)?, Rig::new(&other)?);
    hang(&bad)?;
    good.check_works()?;
    let start = now();
    good.run_job(1)?;
    let took = (now() - start) / 1_000_000;
    let _ = bad.activations.prep(Rig::PATIENCE);
    check(took < 400, format!("it took {took} ms"))
}

/// What dumps there are. Reading one to its end does not remove it; writing does.
fn dumps() -> Result<Vec<std::path::PathBuf>, Fail> {
    let Ok(entries) = std::fs::read_dir("/sys/class/devcoredump") else {
        return Ok(Vec::new());
    };
    Ok(entries
        .filter_map(|entry| Some(entry.ok()?.path().join("data")))
        .filter(|path| path.exists())
        .collect())
}

fn dump_tells() -> Result<(), Fail> {
    for old in dumps()? {
        std::fs::write(old, "0")?;
    }
    let device = Device::open()?;
    let rig = Rig::new(&device)?;
    hang(&rig)?;
    let result = rig.activations.prep(Rig::PATIENCE);
    check(result == Err(libc::EIO), format!("PREP_BO gave {result:?}"))?;
    let start = now();
    let path = loop {
        match dumps()?.into_iter().next() {
            Some(path) => break path,
            None => check(now() - start < 2_000_000_000, "there is no dump")?,
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    };
    let text = std::fs::read_to_string(&path)?;
    std::fs::write(path, "0")?;
    let command = format!("{:#010x}: 0x0081000000000008", rig.endless().regcmd + 24);
    for part in [
        "timed out",
        "hardware 0x46495245, clock 1000000000 Hz",
        "1 tasks asked for",
        "CNA: status",
        "CORE: status",
        &command,
    ] {
        check(text.contains(part), format!("no {part:?} in {text}"))?;
    }
    rig.check_works()
}
