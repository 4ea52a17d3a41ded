//! What a submission comes after and what comes after it: dependencies, fences, points of timelines.

use ferrite_uapi::{drm, ferrite};

use super::query::cores;
use super::rig::{Entry, Fail, Jobs, Rig, check, submission, sync};
use super::wait::wait;
use crate::device::{Device, ioctl, now};

pub const CASES: &[Entry] = &[
    (
        "explicit_dependencies",
        "jobs of a submission may depend on each other as the caller says",
        explicit_dependencies,
    ),
    (
        "syncobjs",
        "submissions wait for synchronisation objects, and signal them",
        syncobjs,
    ),
    (
        "timeline_points",
        "F18: submissions wait for points of timelines, and signal them",
        timeline_points,
    ),
];

fn syncobj(device: &Device) -> Result<u32, i32> {
    let mut arg = drm::SyncobjCreate::default();
    ioctl(device, drm::IOCTL_SYNCOBJ_CREATE, &mut arg)?;
    Ok(arg.handle)
}

fn explicit_dependencies() -> Result<(), Fail> {
    let device = Device::open()?;
    let rig = Rig::new(&device)?;
    let other = device.buffer(4096)?;
    let mut plain = Jobs::new();
    // They share no buffer; the second needs the first, which hangs.
    plain.add(vec![rig.endless()], &rig.inputs(), &[]);
    plain.add(vec![rig.task()], &rig.inputs(), &[other.handle]);
    // The third shares a buffer with the second, and does not wait for it.
    plain.add(vec![rig.task()], &rig.inputs(), &[other.handle]);
    let after = [0u32];
    let mut list = plain.all_extended();
    list[1].after = after.as_ptr() as u64;
    list[1].after_count = 1;
    let mut arg = submission(&list);
    arg.flags = ferrite::SUBMIT_EXPLICIT;
    let usage =
        |device| -> Result<u64, i32> { Ok(cores(device)?.iter().map(|core| core.jobs).sum()) };
    let before = usage(&device)?;
    ioctl(&device, ferrite::IOCTL_SUBMIT, &mut arg)?;
    let end = wait(&device, arg.number)?;
    check(
        (end.error, end.failed_job) == (libc::ETIMEDOUT as u32, 0),
        format!("{end:?}"),
    )?;
    let ran = usage(&device)? - before;
    check(ran == 2, format!("{ran} jobs ran instead of 2"))?;
    rig.check_works()
}

fn syncobjs() -> Result<(), Fail> {
    let device = Device::open()?;
    let rig = Rig::new(&device)?;
    let (first, second) = (syncobj(&device)?, syncobj(&device)?);
    let other = device.buffer(4096)?;
    let mut plain = Jobs::new();
    plain.add(vec![rig.endless()], &rig.inputs(), &[]);
    plain.add(vec![rig.task()], &rig.inputs(), &[other.handle]);
    let (out_first, out_second) = ([sync(first)], [sync(second)]);
    let handles = [second];
    let one = [plain.extended(0)];
    let mut arg = submission(&one);
    arg.out_syncs = out_first.as_ptr() as u64;
    arg.out_sync_count = 1;
    // Nothing is there to wait for yet.
    let early = [plain.extended(1)];
    let mut empty = submission(&early);
    empty.in_syncs = out_second.as_ptr() as u64;
    empty.in_sync_count = 1;
    let result = ioctl(&device, ferrite::IOCTL_SUBMIT, &mut empty);
    check(
        result == Err(libc::ENOENT),
        format!("a syncobj without a fence gave {result:?}"),
    )?;
    ioctl(&device, ferrite::IOCTL_SUBMIT, &mut arg)?;
    let mut then = submission(&early);
    then.in_syncs = out_first.as_ptr() as u64;
    then.in_sync_count = 1;
    then.out_syncs = out_second.as_ptr() as u64;
    then.out_sync_count = 1;
    ioctl(&device, ferrite::IOCTL_SUBMIT, &mut then)?;
    let mut signalled = drm::SyncobjWait {
        handles: handles.as_ptr() as u64,
        timeout_nsec: now() + Rig::PATIENCE * 1_000_000,
        count_handles: 1,
        ..drm::SyncobjWait::default()
    };
    ioctl(&device, drm::IOCTL_SYNCOBJ_WAIT, &mut signalled)?;
    // The second needed the first, which hung: it did not run.
    let end = wait(&device, then.number)?;
    check(
        end.error == libc::ECANCELED as u32,
        format!("the job that waited: {end:?}"),
    )?;
    rig.check_works()
}

fn timeline_points() -> Result<(), Fail> {
    let device = Device::open()?;
    let rig = Rig::new(&device)?;
    let handle = syncobj(&device)?;
    let at = |point| {
        [ferrite::Sync {
            handle,
            flags: ferrite::SYNC_TIMELINE,
            point,
        }]
    };
    let mut plain = Jobs::new();
    plain.add(vec![rig.endless()], &rig.inputs(), &[]);
    plain.add(vec![rig.task()], &rig.inputs(), &[]);
    let (bad, good) = ([plain.extended(0)], [plain.extended(1)]);
    let (one, two) = (at(1), at(2));
    let submit = |job: &[ferrite::Job; 1], before: &[ferrite::Sync], after: &[ferrite::Sync]| {
        let mut arg = ferrite::Submit {
            in_syncs: before.as_ptr() as u64,
            in_sync_count: before.len() as u32,
            out_syncs: after.as_ptr() as u64,
            out_sync_count: after.len() as u32,
            ..submission(job)
        };
        ioctl(&device, ferrite::IOCTL_SUBMIT, &mut arg).map(|()| arg.number)
    };
    let early = submit(&good, &one, &[]);
    check(
        early == Err(libc::ENOENT),
        format!("a point that nothing will reach: {early:?}"),
    )?;
    for wrong in [
        ferrite::Sync { flags: 0, ..one[0] },
        ferrite::Sync { point: 0, ..one[0] },
    ] {
        let result = submit(&good, &[], &[wrong]);
        check(
            result == Err(libc::EINVAL),
            format!("{wrong:?} gave {result:?}"),
        )?;
    }
    let fine = submit(&good, &[], &one)?;
    let hung = submit(&bad, &one, &two)?;
    let after_one = submit(&good, &one, &[])?;
    let after_two = submit(&good, &two, &[])?;
    let ends = [fine, hung, after_one, after_two].map(|number| wait(&device, number));
    let errors = ends.map(|end| end.map(|end| end.error as i32));
    check(
        errors == [Ok(0), Ok(libc::ETIMEDOUT), Ok(0), Ok(libc::ECANCELED)],
        format!("the jobs ended with {errors:?}"),
    )?;
    rig.check_works()
}
