//! Jobs that go wrong.

use super::rig::{Fail, Jobs, Rig, check};
use crate::device::{Device, now};
use crate::task;

type Entry = (&'static str, &'static str, fn() -> Result<(), Fail>);

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
