//! A structured ioctl fuzzer: several processes, each with a few files, doing what almost makes
//! sense, and counting what the kernel said.

mod extensions;

use std::process::ExitCode;

use ferrite_uapi::{drm, rocket};

use crate::cases::Rig;
use crate::device::{CREATE_BO, Device, FINI_BO, PREP_BO, SUBMIT, ioctl, now};
use crate::task;

/// xorshift64*.
pub struct Random(u64);

impl Random {
    /// A sequence of its own for each seed.
    pub fn new(seed: u64) -> Self {
        Random((seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// Below `limit`, or 0.
    pub fn below(&mut self, limit: u64) -> u64 {
        (self.next() >> 32) % limit.max(1)
    }

    fn one_in(&mut self, odds: u64) -> bool {
        self.below(odds) == 0
    }

    /// Mostly below `small`, seldom below `large`.
    fn large(&mut self, small: u64, large: u64) -> u64 {
        let limit = if self.one_in(300) { large } else { small };
        self.below(limit)
    }

    /// Mostly `value`, sometimes something near it, or anything.
    fn bent(&mut self, value: u64) -> u64 {
        match self.below(24) {
            0 => value.wrapping_add(1),
            1 => value.wrapping_sub(1),
            2 => 0,
            3 => self.next(),
            4 => u64::from(u32::MAX),
            5 => 1 << self.below(64),
            _ => value,
        }
    }
}

struct Known {
    handle: u32,
    address: u32,
    size: u32,
}

/// One process's work. Returns how many calls were made, and how many succeeded.
fn work(mut random: Random, calls: u64) -> (u64, u64) {
    let mut made = 0;
    let mut good = 0;
    while made < calls {
        let Ok(device) = Device::open() else {
            made += 1;
            continue;
        };
        // Some files have a convolution that works among the rest.
        let rig = random.one_in(2).then(|| Rig::new(&device).ok()).flatten();
        let mut known: Vec<Known> = Vec::new();
        if let Some(rig) = &rig {
            for (buffer, size) in [
                (&rig.commands, 4096),
                (&rig.constants, task::CONSTANTS),
                (&rig.activations, task::ACTIVATIONS),
            ] {
                known.push(Known {
                    handle: buffer.handle,
                    address: buffer.address,
                    size,
                });
            }
        }
        let mut extras = extensions::Extras::default();
        for _ in 0..random.below(400) {
            made += 1;
            let result = if random.one_in(5) {
                let task = rig.as_ref().map(Rig::task);
                extensions::call(&mut random, &device, task, &mut known, &mut extras)
            } else {
                call(&mut random, &device, rig.as_ref(), &mut known)
            };
            good += u64::from(result.is_ok());
        }
    }
    (made, good)
}

fn call(
    random: &mut Random,
    device: &Device,
    rig: Option<&Rig<'_>>,
    known: &mut Vec<Known>,
) -> Result<(), i32> {
    let pick = random.below(known.len() as u64) as usize;
    let handle = known.get(pick).map_or(0, |bo| bo.handle);
    match random.below(12) {
        0 | 1 => {
            let mut arg = rocket::CreateBo {
                size: match random.below(3000) {
                    // Too large for the machine, or large enough to take a while.
                    0..100 => random.next() as u32 | 1 << 31,
                    100 => random.next() as u32 >> 6,
                    _ => 1 + random.below(32768) as u32,
                },
                ..Default::default()
            };
            ioctl(device, CREATE_BO, &mut arg)?;
            known.push(Known {
                handle: arg.handle,
                address: arg.dma_address as u32,
                size: arg.size,
            });
            Ok(())
        }
        2 => {
            let handle = random.bent(u64::from(handle)) as u32;
            known.retain(|bo| bo.handle != handle);
            device.close(handle)
        }
        3 | 4 => {
            let mut arg = rocket::PrepBo {
                handle: random.bent(u64::from(handle)) as u32,
                reserved: u32::from(random.one_in(20)),
                timeout_ns: match random.below(4) {
                    0 => 0,
                    1 => now() + random.below(2_000_000) as i64,
                    2 => random.next() as i64 | i64::MIN,
                    _ => now(),
                },
            };
            ioctl(device, PREP_BO, &mut arg)
        }
        5 => {
            let mut arg = rocket::FiniBo {
                handle: random.bent(u64::from(handle)) as u32,
                reserved: u32::from(random.one_in(20)),
            };
            ioctl(device, FINI_BO, &mut arg)
        }
        6 => {
            let mut arg = drm::PrimeHandle {
                handle,
                flags: (libc::O_CLOEXEC | libc::O_RDWR) as u32,
                fd: -1,
            };
            ioctl(device, drm::IOCTL_PRIME_HANDLE_TO_FD, &mut arg)?;
            let fd = arg.fd;
            let back = ioctl(device, drm::IOCTL_PRIME_FD_TO_HANDLE, &mut arg);
            // SAFETY: The descriptor was made for us just now.
            unsafe { libc::close(fd) };
            back
        }
        7 => {
            // Unknown numbers and sizes, with room for what the kernel may copy.
            let mut room = [0u64; 64];
            let number =
                0xc000_6400 | (random.below(0x100) as u32) | (random.below(64) as u32) << 16;
            // Core calls that block or change the session are left alone.
            if (0x40..0xa0).contains(&(number & 0xff)) {
                ioctl(device, number, &mut room)
            } else {
                Err(0)
            }
        }
        _ => submit(random, device, rig, known),
    }
}

fn submit(
    random: &mut Random,
    device: &Device,
    rig: Option<&Rig<'_>>,
    known: &[Known],
) -> Result<(), i32> {
    let mut jobs = Vec::new();
    // What the jobs point to must live until the call.
    let mut tasks: Vec<Vec<rocket::Task>> = Vec::new();
    let mut handles: Vec<Vec<u32>> = Vec::new();
    // Seldom up to the limits, and a little beyond, of jobs, tasks or handles.
    let count = random.large(4, 1100);
    for _ in 0..=count {
        let mut list = Vec::new();
        for _ in 0..random.below(5) {
            list.push(match rig {
                // Mostly the good task, seldom the one that hangs: that takes half a second.
                Some(rig) if !random.one_in(4) => {
                    if random.one_in(2000) {
                        rig.endless()
                    } else {
                        rig.task()
                    }
                }
                _ => {
                    let bo = known.get(random.below(known.len() as u64) as usize);
                    rocket::Task {
                        // Mostly misaligned: lists of zeroes hang.
                        regcmd: random.bent(bo.map_or(0, |bo| u64::from(bo.address))) as u32
                            | if random.one_in(64) { 0 } else { 8 },
                        regcmd_count: random.bent(bo.map_or(4, |bo| u64::from(bo.size / 8))) as u32,
                    }
                }
            });
        }
        if let (Some(&task), true) = (list.first(), random.one_in(200)) {
            list.resize(random.below(70_000) as usize, task);
        }
        let some = |random: &mut Random| -> Vec<u32> {
            let count = random.large(4, 70_000);
            let odds = if count < 4 { 40 } else { 40_000 };
            (0..count)
                .map(|_| {
                    let bo = known.get(random.below(known.len() as u64) as usize);
                    if random.one_in(odds) {
                        random.next() as u32
                    } else {
                        bo.map_or(0, |bo| bo.handle)
                    }
                })
                .collect()
        };
        let (reads, writes) = (some(random), some(random));
        jobs.push(rocket::Job {
            tasks: random.bent(list.as_ptr() as u64),
            in_bo_handles: random.bent(reads.as_ptr() as u64),
            out_bo_handles: random.bent(writes.as_ptr() as u64),
            task_count: random.bent(list.len() as u64) as u32,
            task_struct_size: random.bent(size_of::<rocket::Task>() as u64) as u32,
            in_bo_handle_count: random.bent(reads.len() as u64) as u32,
            out_bo_handle_count: random.bent(writes.len() as u64) as u32,
        });
        tasks.push(list);
        handles.push(reads);
        handles.push(writes);
    }
    let mut arg = rocket::Submit {
        jobs: random.bent(jobs.as_ptr() as u64),
        job_count: random.bent(jobs.len() as u64) as u32,
        job_struct_size: random.bent(size_of::<rocket::Job>() as u64) as u32,
        reserved: u64::from(random.one_in(50)),
    };
    ioctl(device, SUBMIT, &mut arg)
}

/// Makes about `calls` calls from `processes` processes; then the NPU must still work.
pub fn run(calls: u64, seed: u64, processes: u64) -> ExitCode {
    let mut children = Vec::new();
    for process in 0..processes {
        // SAFETY: There are no other threads.
        let child = unsafe { libc::fork() };
        if child == 0 {
            let random = Random::new(seed << 16 | process);
            let (made, good) = work(random, calls.div_ceil(processes));
            println!(
                "{{\"process\": {process}, \"seed\": {seed}, \"calls\": {made}, \"succeeded\": {good}}}"
            );
            // SAFETY: Ends the child.
            unsafe { libc::_exit(0) };
        }
        children.push(child);
    }
    let mut sound = true;
    for child in children {
        let mut status = 0;
        // SAFETY: The child is ours; `status` is valid for writes.
        unsafe { libc::waitpid(child, &mut status, 0) };
        sound &= status == 0;
    }
    let works = Device::open()
        .map_err(crate::cases::Fail::from)
        .and_then(|device| Rig::new(&device)?.check_works());
    if let Err(why) = &works {
        eprintln!("afterwards: {why}");
    }
    if sound && works.is_ok() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
