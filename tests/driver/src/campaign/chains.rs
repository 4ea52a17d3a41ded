//! Faults while chains are on the cores: a chain has no place to stop at.

use std::fs;

use ferrite_uapi::ferrite;

use crate::cases::{Fail, Jobs, Rig, bound, check, linked, submission, wait};
use crate::device::{Buffer, Device, ioctl};
use crate::fuzz::Random;
use crate::task;

/// Bytes from a task's commands to the next one's.
const STRIDE: usize = 1024;
/// Tasks of a chain.
const TASKS: u32 = 24;

/// A chain of convolutions.
struct Chain<'a> {
    rig: Rig<'a>,
    list: Buffer<'a>,
    job: Jobs,
}

impl<'a> Chain<'a> {
    fn new(device: &'a Device) -> Result<Self, Fail> {
        let rig = Rig::new(device)?;
        let list = device.buffer(TASKS * STRIDE as u32)?;
        let tasks = linked(&rig, &list, TASKS)?;
        let mut job = Jobs::new();
        let reads = [list.handle, rig.constants.handle];
        job.add(tasks, &reads, &[rig.activations.handle]);
        Ok(Chain { rig, list, job })
    }

    /// Submits it once more; the submission's number.
    fn submit(&self) -> Result<u64, Fail> {
        let job = [ferrite::Job {
            flags: ferrite::JOB_CHAINED,
            ..self.job.extended(0)
        }];
        let mut submit = submission(&job);
        ioctl(self.rig.device, ferrite::IOCTL_SUBMIT, &mut submit)?;
        Ok(submit.number)
    }

    /// Replaces words of a task's commands.
    fn spoil(&self, task: usize, with: impl Fn(&mut [u64])) -> Result<(), Fail> {
        let bytes = task * STRIDE;
        self.list.map(|list| {
            let words = list[bytes..bytes + 8 * task::WORDS].as_chunks_mut::<8>().0;
            let mut commands: Vec<u64> =
                words.iter().map(|word| u64::from_le_bytes(*word)).collect();
            with(&mut commands);
            for (word, value) in words.iter_mut().zip(commands) {
                *word = value.to_le_bytes();
            }
        })?;
        Ok(self.list.fini()?)
    }
}

/// A good chain, one whose task fails as `with` has it, and the good one again.
fn bad_task(random: &mut Random, error: i32, with: impl Fn(&mut [u64])) -> Result<(), Fail> {
    let device = Device::open()?;
    let (good, bad) = (Chain::new(&device)?, Chain::new(&device)?);
    let task = random.below(u64::from(TASKS)) as usize;
    bad.spoil(task, with)?;
    let numbers = [good.submit()?, bad.submit()?, good.submit()?];
    let ends = [
        wait(&device, numbers[0])?,
        wait(&device, numbers[1])?,
        wait(&device, numbers[2])?,
    ];
    check(
        ends[0].error == 0 && ends[2].error == 0,
        format!("good chains beside it: {ends:?}"),
    )?;
    let bad = &ends[1];
    check(
        (bad.error as i32, bad.failed_task as usize) == (error, task),
        format!("task {task} was to fail with {error}: {bad:?}"),
    )
}

/// A task in the middle of a chain never ends.
pub fn hang(random: &mut Random) -> Result<(), Fail> {
    bad_task(random, libc::ETIMEDOUT, |commands| {
        // Nothing is enabled.
        if let Some(last) = commands.last_mut() {
            *last = 0x0081 << 48 | 8;
        }
    })
}

/// A task in the middle of a chain writes where nothing is mapped.
pub fn fault(random: &mut Random) -> Result<(), Fail> {
    bad_task(random, libc::EFAULT, |commands| {
        let word = task::OUTPUT_WORD;
        commands[word] = task::commands(0xe000_0000, 0)[word];
    })
}

/// A client goes, without a word, while its chains are on the cores and wait for them.
pub fn kill(after_us: u64) -> Result<(), Fail> {
    super::kinds::killed(after_us, || {
        let device = Device::open()?;
        let chain = Chain::new(&device)?;
        loop {
            for _ in 0..4 {
                chain.submit()?;
            }
            wait(&device, chain.submit()?)?;
        }
    })
}

/// Takes a core away while chains are on all of them, and gives it back.
pub fn unbind(random: &mut Random) -> Result<(), Fail> {
    let (folder, cores) = bound()?;
    let core = &cores[random.below(cores.len() as u64) as usize];
    let device = Device::open()?;
    let chains = [
        Chain::new(&device)?,
        Chain::new(&device)?,
        Chain::new(&device)?,
    ];
    let mut numbers = Vec::new();
    for _ in 0..3 {
        for chain in &chains {
            numbers.push(chain.submit()?);
        }
    }
    fs::write(folder.join("unbind"), core)?;
    let ends: Result<Vec<_>, i32> = numbers
        .iter()
        .map(|&number| wait(&device, number))
        .collect();
    fs::write(folder.join("bind"), core)?;
    // The one on that core may have been taken off.
    let lost = |end: &&ferrite::Wait| end.error != 0;
    let lost = ends?.iter().filter(lost).count();
    check(lost <= 1, format!("{lost} chains were lost with one core"))
}

/// Takes all cores away while chains are on them, and gives them back.
pub fn vanish(random: &mut Random) -> Result<(), Fail> {
    let (folder, cores) = bound()?;
    let device = Device::open()?;
    let chain = Chain::new(&device)?;
    for _ in 0..1 + random.below(6) {
        chain.submit()?;
    }
    for core in &cores {
        fs::write(folder.join("unbind"), core)?;
    }
    for core in cores.iter().rev() {
        fs::write(folder.join("bind"), core)?;
    }
    Ok(())
}

/// The system sleeps while chains run.
pub fn sleep(random: &mut Random) -> Result<(), Fail> {
    let device = Device::open()?;
    let chain = Chain::new(&device)?;
    let mut last = chain.submit()?;
    for _ in 0..20 + random.below(100) {
        last = chain.submit()?;
    }
    super::kinds::suspend()?;
    let end = wait(&device, last)?;
    check(end.error == 0, format!("after sleep: {end:?}"))
}
