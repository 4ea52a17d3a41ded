//! What can be asked of the device: itself, its cores, and who may know what they do.

use ferrite_uapi::ferrite;
use ferrite_uapi::flags::Features;

use super::rig::{Entry, Fail, Rig, check};
use crate::device::{Device, ioctl};

pub const CASES: &[Entry] = &[
    ("query", "the device and its cores can be asked for", query),
    (
        "activity_is_private",
        "F18: what the cores do for others is not told without CAP_PERFMON",
        activity_is_private,
    ),
];

/// One answer of QUERY.
pub fn ask<T: Default>(device: &Device, kind: u32, index: u32) -> Result<T, i32> {
    let mut answer = T::default();
    let mut query = ferrite::Query {
        kind,
        index,
        size: size_of::<T>() as u32,
        reserved: 0,
        data: &raw mut answer as u64,
    };
    ioctl(device, ferrite::IOCTL_QUERY, &mut query)?;
    Ok(answer)
}

/// What is told of each core that is there.
pub fn cores(device: &Device) -> Result<Vec<ferrite::CoreInfo>, i32> {
    let info: ferrite::DeviceInfo = ask(device, ferrite::QUERY_DEVICE, 0)?;
    (0..32)
        .filter(|core| info.cores & 1 << core != 0)
        .map(|core| ask(device, ferrite::QUERY_CORE, core))
        .collect()
}

fn query() -> Result<(), Fail> {
    let device = Device::open()?;
    let info: ferrite::DeviceInfo = ask(&device, ferrite::QUERY_DEVICE, 0)?;
    check(info.cores != 0, "no cores")?;
    let all = Features::all();
    let features = Features::from_bits_retain(info.features);
    check(features == all, format!("features {features:?}"))?;
    // The board's clock is fixed.
    check(
        info.clock_hz == 1_000_000_000,
        format!("clock {} Hz", info.clock_hz),
    )?;
    let first = info.cores.trailing_zeros();
    let core: ferrite::CoreInfo = ask(&device, ferrite::QUERY_CORE, first)?;
    check(
        core.version == 0x4649_5245,
        format!("version {:#x}", core.version),
    )?;
    let none = ask::<ferrite::CoreInfo>(&device, ferrite::QUERY_CORE, 31).err();
    check(none == Some(libc::ENOENT), format!("core 31 gave {none:?}"))?;
    // A caller that knows less gets less.
    let mut cores = 0u32;
    let mut short = ferrite::Query {
        size: 4,
        data: &raw mut cores as u64,
        ..ferrite::Query::default()
    };
    ioctl(&device, ferrite::IOCTL_QUERY, &mut short)?;
    check(
        cores == info.cores && short.size as usize == size_of::<ferrite::DeviceInfo>(),
        format!("a short query differs: {short:?}"),
    )?;
    let other = ask::<ferrite::DeviceInfo>(&device, ferrite::QUERY_DEVICE, 1).err();
    check(
        other == Some(libc::EINVAL),
        format!("another device gave {other:?}"),
    )
}

fn activity_is_private() -> Result<(), Fail> {
    let device = Device::open()?;
    Rig::new(&device)?.run_job(1)?;
    let told = cores(&device)?;
    check(
        told.iter()
            .all(|core| core.flags & ferrite::CORE_ACTIVITY != 0)
            && told.iter().any(|core| core.busy_ns > 0),
        format!("root is not told: {told:?}"),
    )?;
    // SAFETY: There are no other threads.
    let child = unsafe { libc::fork() };
    if child == 0 {
        // SAFETY: Gives up all capabilities with the user id; the child ends here.
        unsafe {
            let plain = libc::setuid(65534) == 0
                && cores(&device).is_ok_and(|cores| {
                    cores.iter().all(|core| {
                        (core.flags, core.busy_ns, core.jobs, core.resets) == (0, 0, 0, 0)
                            && core.version != 0
                    })
                });
            libc::_exit(i32::from(!plain))
        }
    }
    let mut status = 0;
    // SAFETY: The child is ours; `status` is valid for writes.
    unsafe { libc::waitpid(child, &mut status, 0) };
    check(status == 0, "another user is told")
}
