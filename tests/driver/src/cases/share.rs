//! Which core a job gets, and how much of it.

use ferrite_uapi::ferrite;

use super::query::ask;
use super::rig::{Entry, Fail, Jobs, Rig, check, fdinfo, submission};
use super::wait::run;
use crate::device::{Device, ioctl};

pub const CASES: &[Entry] = &[
    ("core_mask", "a job may be bound to cores", core_mask),
    (
        "fair_shares",
        "three clients get shares within 10 % of equal, whatever their jobs' sizes",
        fair_shares,
    ),
];

/// Time that a file's jobs ran.
fn busy_ns(device: &Device) -> Result<u64, Fail> {
    fdinfo(device, "drm-engine-npu")
}

fn core_mask() -> Result<(), Fail> {
    let device = Device::open()?;
    let rig = Rig::new(&device)?;
    let info: ferrite::DeviceInfo = ask(&device, ferrite::QUERY_DEVICE, 0)?;
    let last = 31 - info.cores.leading_zeros();
    let before: ferrite::CoreInfo = ask(&device, ferrite::QUERY_CORE, last)?;
    let mut plain = Jobs::new();
    for _ in 0..4 {
        plain.add(vec![rig.task()], &rig.inputs(), &[rig.activations.handle]);
    }
    let list: Vec<ferrite::Job> = (0..4)
        .map(|index| ferrite::Job {
            cores: 1 << last,
            affinity: 1,
            ..plain.extended(index)
        })
        .collect();
    run(&device, &list)?;
    let after: ferrite::CoreInfo = ask(&device, ferrite::QUERY_CORE, last)?;
    let ran = after.jobs - before.jobs;
    check(ran == 4, format!("{ran} of 4 jobs ran on core {last}"))?;
    for (cores, error) in [
        (1 << 3, libc::ENODEV),
        (1 << 31, libc::EINVAL),
        (0x81, libc::EINVAL),
    ] {
        let nowhere = [ferrite::Job { cores, ..list[0] }];
        let result = ioctl(&device, ferrite::IOCTL_SUBMIT, &mut submission(&nowhere));
        check(
            result == Err(error),
            format!("cores {cores:#x} gave {result:?}"),
        )?;
    }
    Ok(())
}

fn fair_shares() -> Result<(), Fail> {
    let devices = [Device::open()?, Device::open()?, Device::open()?];
    // More work for each than is done before the shares are read.
    let sizes = [(1000, 16), (400, 40), (100, 160)];
    let mut rigs = Vec::new();
    let mut kept = Vec::new();
    for device in &devices {
        rigs.push(Rig::new(device)?);
    }
    for ((device, rig), (count, tasks)) in devices.iter().zip(&rigs).zip(sizes) {
        let mut plain = Jobs::new();
        for _ in 0..count {
            plain.add(
                vec![rig.task(); tasks],
                &rig.inputs(),
                &[rig.activations.handle],
            );
        }
        let list = plain.all_extended();
        let mut arg = submission(&list);
        arg.flags = ferrite::SUBMIT_EXPLICIT;
        ioctl(device, ferrite::IOCTL_SUBMIT, &mut arg)?;
        kept.push((plain, list));
    }
    let before: Vec<u64> = devices.iter().map(busy_ns).collect::<Result<_, _>>()?;
    // Jobs run to their end: the time must be long against the longest, which a busy host stretches.
    let mut shares = Vec::new();
    for ms in [700, 700, 1400, 2800] {
        std::thread::sleep(std::time::Duration::from_millis(ms));
        shares = devices
            .iter()
            .zip(&before)
            .map(|(device, before)| Ok(busy_ns(device)? - before))
            .collect::<Result<_, Fail>>()?;
        for rig in &rigs {
            let still = rig.activations.prep(0);
            check(
                still == Err(libc::EBUSY),
                format!("a client ran out of work: {shares:?} ns"),
            )?;
        }
        let mean = shares.iter().sum::<u64>() / 3;
        if shares.iter().all(|share| share.abs_diff(mean) * 10 <= mean) {
            return Ok(());
        }
    }
    Err(Fail(format!("{shares:?} ns")))
}
