//! Arguments that make no sense, or that a later driver would know.

use ferrite_uapi::{ferrite, rocket};

use super::rig::{Entry, Fail, Jobs, Rig, check, submission};
use crate::device::{Device, FINI_BO, SUBMIT, ioctl};

pub const CASES: &[Entry] = &[
    (
        "bad_extensions",
        "what makes no sense is refused",
        bad_extensions,
    ),
    (
        "unknown_tails",
        "F15: what the driver does not know of a longer struct must be zero",
        unknown_tails,
    ),
];

/// Calls with an argument of a kernel that knows eight bytes more.
fn longer<T: Copy>(device: &Device, number: u32, arg: T, tail: u64) -> Result<(), i32> {
    #[repr(C)]
    struct Longer<T> {
        arg: T,
        tail: u64,
    }
    let mut longer = Longer { arg, tail };
    let size = size_of::<Longer<T>>() as u32;
    ioctl(device, number & !(0x3fff << 16) | size << 16, &mut longer)
}

fn bad_extensions() -> Result<(), Fail> {
    let device = Device::open()?;
    let rig = Rig::new(&device)?;
    let mut plain = Jobs::new();
    plain.add(vec![rig.task()], &rig.inputs(), &[rig.activations.handle]);
    let own = [0u32];
    let good = plain.extended(0);
    let bad = [
        ferrite::Job {
            after: own.as_ptr() as u64,
            after_count: 1,
            ..good
        },
        ferrite::Job {
            flags: 1 << 31,
            ..good
        },
        ferrite::Job {
            task_struct_size: size_of::<rocket::Task>() as u32 - 4,
            ..good
        },
        // Tasks that do not say what completes them.
        ferrite::Job {
            task_struct_size: size_of::<rocket::Task>() as u32,
            ..good
        },
    ];
    for job in bad {
        let list = [job];
        let result = ioctl(&device, ferrite::IOCTL_SUBMIT, &mut submission(&list));
        check(
            result == Err(libc::EINVAL),
            format!("{job:?} gave {result:?}"),
        )?;
    }
    let list = [good];
    for (flags, priority) in [(1 << 31, 0), (0, 2), (0, -2)] {
        let mut arg = ferrite::Submit {
            flags,
            priority,
            ..submission(&list)
        };
        let result = ioctl(&device, ferrite::IOCTL_SUBMIT, &mut arg);
        check(
            result == Err(libc::EINVAL),
            format!("flags {flags:#x}, priority {priority} gave {result:?}"),
        )?;
    }
    rig.check_works()
}

fn unknown_tails() -> Result<(), Fail> {
    let device = Device::open()?;
    let rig = Rig::new(&device)?;
    let mut plain = Jobs::new();
    plain.add(vec![rig.task()], &rig.inputs(), &[rig.activations.handle]);
    // Elements of arrays: a job of 72 bytes, of either call.
    #[repr(C)]
    struct Longer<T> {
        known: T,
        tail: u64,
    }
    for (tail, expected) in [(0, Ok(())), (1 << 40, Err(libc::E2BIG))] {
        let own = [Longer {
            known: plain.extended(0),
            tail,
        }];
        let mut arg = ferrite::Submit {
            jobs: own.as_ptr() as u64,
            job_count: 1,
            job_struct_size: size_of_val(&own[0]) as u32,
            ..ferrite::Submit::default()
        };
        let result = ioctl(&device, ferrite::IOCTL_SUBMIT, &mut arg);
        check(result == expected, format!("a job of 72 bytes: {result:?}"))?;
        let theirs = [Longer {
            known: plain.jobs[0],
            tail,
        }];
        let mut arg = rocket::Submit {
            jobs: theirs.as_ptr() as u64,
            job_count: 1,
            job_struct_size: size_of_val(&theirs[0]) as u32,
            reserved: 0,
        };
        let result = ioctl(&device, SUBMIT, &mut arg);
        check(
            result == expected,
            format!("mainline's job of 48 bytes: {result:?}"),
        )?;
        let tasks = [Longer {
            known: ferrite::Task {
                regcmd: rig.task().regcmd,
                regcmd_count: rig.task().regcmd_count,
                int_mask: ferrite::COMPLETION_DPU,
                flags: 0,
            },
            tail,
        }];
        let jobs = [ferrite::Job {
            tasks: tasks.as_ptr() as u64,
            task_struct_size: size_of_val(&tasks[0]) as u32,
            ..plain.extended(0)
        }];
        let result = ioctl(&device, ferrite::IOCTL_SUBMIT, &mut submission(&jobs));
        check(
            result == expected,
            format!("a task of 24 bytes: {result:?}"),
        )?;
        // Arguments.
        let info = ferrite::BufferInfo {
            handle: rig.constants.handle,
            ..ferrite::BufferInfo::default()
        };
        let result = longer(&device, ferrite::IOCTL_BUFFER_INFO, info, tail);
        check(result == expected, format!("a longer argument: {result:?}"))?;
        let fini = rocket::FiniBo {
            handle: rig.constants.handle,
            reserved: 0,
        };
        let result = longer(&device, FINI_BO, fini, tail);
        check(
            result == expected,
            format!("a longer argument of mainline's: {result:?}"),
        )?;
    }
    // Flags and fields that are not known.
    let info = &mut ferrite::BufferInfo {
        handle: rig.constants.handle,
        flags: 1,
        ..ferrite::BufferInfo::default()
    };
    let finish = &mut ferrite::Finish {
        handle: rig.constants.handle,
        flags: 1,
        ..ferrite::Finish::default()
    };
    let wait = &mut ferrite::Wait {
        number: 1,
        flags: 1,
        ..ferrite::Wait::default()
    };
    let results = [
        ioctl(&device, ferrite::IOCTL_BUFFER_INFO, info),
        ioctl(&device, ferrite::IOCTL_FINISH, finish),
        ioctl(&device, ferrite::IOCTL_WAIT, wait),
    ];
    check(
        results.iter().all(|result| *result == Err(libc::EINVAL)),
        format!("unknown flags gave {results:?}"),
    )?;
    rig.check_works()
}
