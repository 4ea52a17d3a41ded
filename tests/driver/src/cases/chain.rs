//! Chained jobs.

use ferrite_uapi::{ferrite, rocket};

use super::query::ask;
use super::rig::{Entry, Fail, Jobs, Rig, check, submission};
use super::wait::run;
use crate::device::{Device, ioctl};
use crate::task;

pub const CASES: &[Entry] = &[
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
];

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
        let end = run(&device, &job)?;
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
    let end = run(&device, &job)?;
    check(
        (end.error as i32, end.failed_job, end.failed_task) == (libc::EFAULT, 0, 5),
        format!("the sixth task faults: {end:?}"),
    )?;
    rig.check_works()
}
