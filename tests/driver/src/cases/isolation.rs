//! What one client leaves in a core, and what another finds there.

use super::rig::{Entry, Fail, Jobs, Rig, check};
use crate::device::Device;
use crate::task;

pub const CASES: &[Entry] = &[
    (
        "registers_stay_private",
        "F1: registers of another client's tasks do not show in one's own",
        registers_stay_private,
    ),
    (
        "weights_stay_private",
        "F1: weights that another client's task left in the buffer are out of reach",
        weights_stay_private,
    ),
    (
        "activations_stay_private",
        "F1: activations that another client's task left in the buffer are out of reach",
        activations_stay_private,
    ),
    (
        "attach_fails",
        "F2: after an address space could not be attached, no job runs without its own \
         (with --cores 1 --iommu-errors 9 --parameters autosuspend_ms=60000)",
        attach_fails,
    ),
];

/// Bits of `CBUF_CON0` that use weights, or features, of the task before.
const WEIGHT_REUSE: u64 = 1 << 13;
const DATA_REUSE: u64 = 1 << 12;

/// Runs the convolution of one file on all cores, both register groups of each, and then what
/// `spy` makes of the lists and buffers of another, as often. What the other gets must not be the
/// first one's output.
fn spy_on(spy: impl Fn(&Rig<'_>, &mut Vec<u64>) -> Result<(), Fail>) -> Result<(), Fail> {
    let (one, other) = (Device::open()?, Device::open()?);
    let victim = Rig::new(&one)?;
    let rig = Rig::new(&other)?;
    check(
        (rig.activations.address, rig.constants.address)
            == (victim.activations.address, victim.constants.address),
        "the files' buffers have different addresses, which helps nobody",
    )?;
    let mut list = task::commands(rig.activations.address, rig.constants.address).to_vec();
    spy(&rig, &mut list)?;
    list.resize(task::WORDS, 0);
    // Zeroes are no commands: the list must end where it did.
    let zeroes = task::WORDS - end(&list);
    list.rotate_right(zeroes);
    rig.commands.write(0, &list)?;
    rig.commands.fini()?;
    for round in 0..6 {
        victim.check_works()?;
        victim.run_job(2)?;
        rig.clear_output()?;
        let mut jobs = Jobs::new();
        jobs.add(vec![rig.task()], &rig.inputs(), &[rig.activations.handle]);
        other.submit(&jobs.jobs)?;
        // It may fail, of course.
        let _ = rig.activations.prep(Rig::PATIENCE);
        let hash = rig.output_hash()?;
        check(
            hash != task::OUTPUT_HASH,
            format!("round {round}: the other file computed this one's output"),
        )?;
    }
    victim.check_works()
}

/// Words before the zeroes at the end.
fn end(list: &[u64]) -> usize {
    list.iter()
        .rposition(|&word| word != 0)
        .map_or(0, |at| at + 1)
}

fn registers_stay_private() -> Result<(), Fail> {
    // The output converter, which the first client's tasks have set.
    spy_on(|_, list| {
        list.retain(|word| !matches!(word & 0xffff, 0x4080 | 0x4084 | 0x4088));
        Ok(())
    })
}

fn reuse(list: &mut [u64], bit: u64) {
    for word in list.iter_mut().filter(|word| **word & 0xffff == 0x1040) {
        *word |= bit << 16;
    }
}

fn weights_stay_private() -> Result<(), Fail> {
    spy_on(|rig, list| {
        reuse(list, WEIGHT_REUSE);
        // The biases are not in the buffer: anybody knows that they are zero.
        rig.constants.map(|bytes| bytes.fill(0))?;
        Ok(rig.constants.fini()?)
    })
}

fn activations_stay_private() -> Result<(), Fail> {
    spy_on(|rig, list| {
        reuse(list, DATA_REUSE);
        rig.activations
            .map(|bytes| bytes[..task::OUTPUT as usize].fill(0))?;
        Ok(rig.activations.fini()?)
    })
}

fn attach_fails() -> Result<(), Fail> {
    let (one, other) = (Device::open()?, Device::open()?);
    let (first, second) = (Rig::new(&one)?, Rig::new(&other)?);
    let mut failures = 0;
    for round in 0..4 {
        for rig in [&first, &second] {
            rig.clear_output()?;
            rig.submit_job(1)?;
            match rig.activations.prep(Rig::PATIENCE) {
                Ok(()) => check(
                    rig.output_hash()? == task::OUTPUT_HASH,
                    format!("round {round}: the job wrote something else"),
                )?,
                Err(libc::EIO) => failures += 1,
                Err(error) => return Err(error.into()),
            }
        }
    }
    check(
        failures == 1,
        format!("{failures} jobs failed, for one address space that could not be attached"),
    )
}
