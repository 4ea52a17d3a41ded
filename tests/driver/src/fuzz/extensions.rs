//! Calls that only Ferrite's driver has; mainline's refuses them.

use ferrite_uapi::{drm, ferrite, rocket};

use super::{Known, Random};
use crate::device::{Device, ioctl, now};

/// What a file has for these calls.
#[derive(Default)]
pub struct Extras {
    syncobjs: Vec<u32>,
    last: u64,
}

impl Extras {
    fn syncobj(&self, random: &mut Random) -> u32 {
        let pick = random.below(self.syncobjs.len() as u64) as usize;
        random.bent(u64::from(self.syncobjs.get(pick).copied().unwrap_or(0))) as u32
    }
}

/// One call.
pub fn call(
    random: &mut Random,
    device: &Device,
    task: Option<rocket::Task>,
    known: &mut Vec<Known>,
    extras: &mut Extras,
) -> Result<(), i32> {
    let pick = random.below(known.len() as u64) as usize;
    let handle = known.get(pick).map_or(0, |bo| bo.handle);
    let handle = random.bent(u64::from(handle)) as u32;
    match random.below(10) {
        0 => query(random, device),
        1 => {
            let mut arg = ferrite::BufferInfo {
                handle,
                ..ferrite::BufferInfo::default()
            };
            ioctl(device, ferrite::IOCTL_BUFFER_INFO, &mut arg)
        }
        2 => {
            let size = 1 + random.below(32768);
            let mut arg = ferrite::CreateBuffer {
                size: random.bent(size),
                flags: random.below(3) as u32,
                ..ferrite::CreateBuffer::default()
            };
            // As large as the machine takes a while, and is tried elsewhere.
            if arg.size > 1 << 26 && arg.size < 1 << 40 {
                arg.size >>= 16;
            }
            ioctl(device, ferrite::IOCTL_CREATE_BUFFER, &mut arg)?;
            known.push(Known {
                handle: arg.handle,
                address: arg.dma_address as u32,
                size: arg.size as u32,
            });
            Ok(())
        }
        3 => {
            let mut arg = ferrite::Prepare {
                handle,
                flags: random.below(5) as u32,
                timeout_ns: now() + random.below(1_000_000) as i64,
                offset: random.bent(0),
                size: random.bent(0),
            };
            ioctl(device, ferrite::IOCTL_PREPARE, &mut arg)?;
            let mut arg = ferrite::Finish {
                handle,
                flags: 0,
                offset: arg.offset,
                size: arg.size,
            };
            ioctl(device, ferrite::IOCTL_FINISH, &mut arg)
        }
        4 => {
            let number = extras.last.saturating_sub(random.below(3));
            let mut arg = ferrite::Wait {
                number: random.bent(number),
                timeout_ns: now() + random.below(1_000_000) as i64,
                ..ferrite::Wait::default()
            };
            ioctl(device, ferrite::IOCTL_WAIT, &mut arg)
        }
        5 => {
            let mut arg = drm::SyncobjCreate {
                handle: 0,
                flags: random.below(3) as u32,
            };
            ioctl(device, drm::IOCTL_SYNCOBJ_CREATE, &mut arg)?;
            extras.syncobjs.push(arg.handle);
            Ok(())
        }
        6 => {
            let handle = extras.syncobj(random);
            extras.syncobjs.retain(|&known| known != handle);
            let mut arg = drm::SyncobjDestroy { handle, pad: 0 };
            ioctl(device, drm::IOCTL_SYNCOBJ_DESTROY, &mut arg)
        }
        _ => submit(random, device, task, known, extras),
    }
}

fn query(random: &mut Random, device: &Device) -> Result<(), i32> {
    let mut room = [0u64; 32];
    let mut arg = ferrite::Query {
        kind: random.below(3) as u32,
        index: random.bent(0) as u32,
        // Never more than there is room for.
        size: random.below(size_of_val(&room) as u64) as u32,
        reserved: u32::from(random.one_in(30)),
        data: room.as_mut_ptr() as u64,
    };
    ioctl(device, ferrite::IOCTL_QUERY, &mut arg)
}

fn submit(
    random: &mut Random,
    device: &Device,
    task: Option<rocket::Task>,
    known: &[Known],
    extras: &mut Extras,
) -> Result<(), i32> {
    let count = 1 + random.below(5) as usize;
    let task = task.unwrap_or_default();
    let completion = if random.one_in(5) {
        ferrite::COMPLETION_PPU
    } else {
        ferrite::COMPLETION_DPU
    };
    let task = ferrite::Task {
        regcmd: task.regcmd,
        regcmd_count: task.regcmd_count,
        int_mask: random.bent(u64::from(completion)) as u32,
        flags: u32::from(random.one_in(30)),
    };
    let tasks = [task; 4];
    let mut handles = Vec::new();
    let mut afters = Vec::new();
    for index in 0..count as u64 {
        let some: Vec<u32> = (0..random.below(3))
            .map(|_| {
                let bo = known.get(random.below(known.len() as u64) as usize);
                bo.map_or(0, |bo| bo.handle)
            })
            .collect();
        handles.push(some);
        let after: Vec<u32> = (0..random.below(3))
            .map(|_| {
                let earlier = random.below(index);
                random.bent(earlier) as u32
            })
            .collect();
        afters.push(after);
    }
    let jobs: Vec<ferrite::Job> = handles
        .iter()
        .zip(&afters)
        .enumerate()
        .map(|(index, (handles, after))| {
            let tasks_used = 1 + random.below(4);
            let chained = u64::from(random.one_in(8));
            ferrite::Job {
                tasks: tasks.as_ptr() as u64,
                task_count: random.bent(tasks_used).min(4) as u32,
                task_struct_size: size_of::<ferrite::Task>() as u32,
                out_bo_handles: handles.as_ptr() as u64,
                out_bo_handle_count: handles.len() as u32,
                // The first has nothing to come after.
                after: if index == 0 { 0 } else { after.as_ptr() as u64 },
                after_count: if index == 0 { 0 } else { after.len() as u32 },
                cores: random.bent(0) as u32,
                affinity: random.below(3) as u32,
                // The tasks do not link to each other: a chain of several hangs.
                flags: random.bent(chained) as u32,
                ..ferrite::Job::default()
            }
        })
        .collect();
    let mut sync = || {
        let timeline = random.below(3) == 0;
        ferrite::Sync {
            handle: extras.syncobj(random),
            flags: random.bent(u64::from(timeline)) as u32,
            point: random.bent(u64::from(timeline)),
        }
    };
    let (first, second) = ([sync()], [sync()]);
    let priority = random.below(3) as i32 - 1;
    let flags = random.below(2);
    let mut arg = ferrite::Submit {
        jobs: jobs.as_ptr() as u64,
        job_count: jobs.len() as u32,
        job_struct_size: size_of::<ferrite::Job>() as u32,
        flags: random.bent(flags) as u32,
        priority,
        in_syncs: first.as_ptr() as u64,
        in_sync_count: random.below(2) as u32,
        out_syncs: second.as_ptr() as u64,
        out_sync_count: random.below(2) as u32,
        sync_struct_size: size_of::<ferrite::Sync>() as u32,
        ..ferrite::Submit::default()
    };
    ioctl(device, ferrite::IOCTL_SUBMIT, &mut arg)?;
    extras.last = arg.number;
    Ok(())
}
