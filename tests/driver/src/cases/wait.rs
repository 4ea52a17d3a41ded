//! What WAIT tells of a submission's end.

use std::time::Duration;

use ferrite_uapi::ferrite;

use super::rig::{Entry, Fail, Jobs, Rig, check, submission, sync};
use super::sw_sync::{Timeline, import};
use crate::device::{Device, ioctl, now};

pub const CASES: &[Entry] = &[
    (
        "wait_tells_the_result",
        "W3: a submission's end says which job failed, and why",
        wait_tells_the_result,
    ),
    (
        "wait_out_of_order",
        "F16: the end of a submission that has not run is waited for, whatever ended since",
        wait_out_of_order,
    ),
];

/// Waits for a submission.
pub fn wait(device: &Device, number: u64) -> Result<ferrite::Wait, i32> {
    let mut wait = ferrite::Wait {
        number,
        timeout_ns: now() + Rig::PATIENCE * 1_000_000,
        ..ferrite::Wait::default()
    };
    ioctl(device, ferrite::IOCTL_WAIT, &mut wait)?;
    Ok(wait)
}

/// Submits jobs and waits for their end.
pub fn run(device: &Device, jobs: &[ferrite::Job]) -> Result<ferrite::Wait, i32> {
    let mut arg = submission(jobs);
    ioctl(device, ferrite::IOCTL_SUBMIT, &mut arg)?;
    wait(device, arg.number)
}

fn wait_tells_the_result() -> Result<(), Fail> {
    let device = Device::open()?;
    let rig = Rig::new(&device)?;
    let mut plain = Jobs::new();
    plain.add(vec![rig.task()], &rig.inputs(), &[rig.activations.handle]);
    plain.add(
        vec![rig.endless()],
        &rig.inputs(),
        &[rig.activations.handle],
    );
    plain.add(vec![rig.task()], &[rig.activations.handle], &[]);
    let list = plain.all_extended();
    let mut good = submission(&list[..1]);
    ioctl(&device, ferrite::IOCTL_SUBMIT, &mut good)?;
    let mut bad = submission(&list);
    ioctl(&device, ferrite::IOCTL_SUBMIT, &mut bad)?;
    let end = wait(&device, good.number)?;
    check(
        end.error == 0 && end.busy_ns > 0,
        format!("the good one: {end:?}"),
    )?;
    let end = wait(&device, bad.number)?;
    check(
        (end.error, end.failed_job) == (libc::ETIMEDOUT as u32, 1),
        format!("the bad one: {end:?}"),
    )?;
    let unknown = wait(&device, bad.number + 1).err();
    check(
        unknown == Some(libc::ENOENT),
        format!("an unknown number gave {unknown:?}"),
    )?;
    rig.check_works()
}

fn wait_out_of_order() -> Result<(), Fail> {
    let device = Device::open()?;
    let rig = Rig::new(&device)?;
    let timeline = Timeline::new()?;
    let before = [sync(import(&device, &timeline.fence()?)?)];
    let mut plain = Jobs::new();
    plain.add(vec![rig.task()], &rig.inputs(), &[]);
    let short = [plain.extended(0)];
    // What waits for software, and many that do not.
    let mut last = ferrite::Submit {
        in_syncs: before.as_ptr() as u64,
        in_sync_count: 1,
        ..submission(&short)
    };
    ioctl(&device, ferrite::IOCTL_SUBMIT, &mut last)?;
    let mut end = 0;
    for _ in 0..ferrite::RESULTS + 2 {
        let mut arg = submission(&short);
        ioctl(&device, ferrite::IOCTL_SUBMIT, &mut arg)?;
        end = arg.number;
    }
    wait(&device, end)?;
    let mut poll = ferrite::Wait {
        number: last.number,
        ..ferrite::Wait::default()
    };
    let result = ioctl(&device, ferrite::IOCTL_WAIT, &mut poll);
    check(
        result == Err(libc::EBUSY),
        format!("a submission that waits: {result:?}"),
    )?;
    timeline.advance()?;
    // It ends before it is waited for, but has not ended long ago.
    std::thread::sleep(Duration::from_millis(50));
    let ended = wait(&device, last.number)?;
    check(ended.error == 0, format!("{ended:?}"))?;
    // Those that have ended long ago are forgotten.
    let forgotten = wait(&device, last.number + 1).err();
    check(
        forgotten == Some(libc::ENOENT),
        format!("a submission of long ago: {forgotten:?}"),
    )?;
    rig.check_works()
}
