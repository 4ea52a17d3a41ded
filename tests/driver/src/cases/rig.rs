//! Buffers and jobs for the cases.

use std::fmt;
use std::os::fd::AsRawFd;

use ferrite_uapi::{ferrite, rocket};

use crate::device::{Buffer, Device};
use crate::task;

/// Why a case fails.
#[derive(Debug)]
pub struct Fail(pub String);

impl fmt::Display for Fail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<i32> for Fail {
    fn from(errno: i32) -> Self {
        Fail(format!(
            "unexpected {}",
            std::io::Error::from_raw_os_error(errno)
        ))
    }
}

impl From<std::io::Error> for Fail {
    fn from(error: std::io::Error) -> Self {
        Fail(error.to_string())
    }
}

/// A case: name on the command line, what a driver must do, and whether it does.
pub type Entry = (&'static str, &'static str, fn() -> Result<(), Fail>);

/// Fails unless `good`.
pub fn check(good: bool, why: impl Into<String>) -> Result<(), Fail> {
    if good { Ok(()) } else { Err(Fail(why.into())) }
}

/// A number that the driver tells of an open file.
pub fn fdinfo(device: &Device, key: &str) -> Result<u64, Fail> {
    let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", device.as_raw_fd()))?;
    info.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| *name == key)
        .and_then(|(_, rest)| rest.split_whitespace().next()?.parse().ok())
        .ok_or_else(|| Fail(format!("no {key} in fdinfo: {info:?}")))
}

/// A device with a small convolution, ready to run.
pub struct Rig<'a> {
    /// The device.
    pub device: &'a Device,
    /// Command list at 0; a list that never ends at [`Rig::HANG`].
    pub commands: Buffer<'a>,
    /// Weights.
    pub constants: Buffer<'a>,
    /// Input and output.
    pub activations: Buffer<'a>,
}

/// The argument of Ferrite's SUBMIT.
pub fn submission(jobs: &[ferrite::Job]) -> ferrite::Submit {
    ferrite::Submit {
        jobs: jobs.as_ptr() as u64,
        job_count: jobs.len() as u32,
        job_struct_size: size_of::<ferrite::Job>() as u32,
        sync_struct_size: size_of::<ferrite::Sync>() as u32,
        ..ferrite::Submit::default()
    }
}

/// The only fence of a synchronisation object.
pub fn sync(handle: u32) -> ferrite::Sync {
    ferrite::Sync {
        handle,
        ..ferrite::Sync::default()
    }
}

/// Jobs with what they point to.
pub struct Jobs {
    /// For `Device::submit`.
    pub jobs: Vec<rocket::Job>,
    _tasks: Vec<Vec<rocket::Task>>,
    extended: Vec<Vec<ferrite::Task>>,
    _handles: Vec<Vec<u32>>,
}

impl Default for Jobs {
    fn default() -> Self {
        Self::new()
    }
}

impl Jobs {
    /// None.
    pub fn new() -> Self {
        Jobs {
            jobs: Vec::new(),
            _tasks: Vec::new(),
            extended: Vec::new(),
            _handles: Vec::new(),
        }
    }

    /// Adds a job.
    pub fn add(&mut self, tasks: Vec<rocket::Task>, reads: &[u32], writes: &[u32]) {
        let (reads, writes) = (reads.to_vec(), writes.to_vec());
        self.jobs.push(rocket::Job {
            tasks: tasks.as_ptr() as u64,
            in_bo_handles: reads.as_ptr() as u64,
            out_bo_handles: writes.as_ptr() as u64,
            task_count: tasks.len() as u32,
            task_struct_size: size_of::<rocket::Task>() as u32,
            in_bo_handle_count: reads.len() as u32,
            out_bo_handle_count: writes.len() as u32,
        });
        self.extended.push(
            tasks
                .iter()
                .map(|task| ferrite::Task {
                    regcmd: task.regcmd,
                    regcmd_count: task.regcmd_count,
                    int_mask: ferrite::COMPLETION_DPU,
                    flags: 0,
                })
                .collect(),
        );
        self._tasks.push(tasks);
        self._handles.push(reads);
        self._handles.push(writes);
    }

    /// A job for Ferrite's own call.
    pub fn extended(&self, index: usize) -> ferrite::Job {
        let plain = self.jobs[index];
        let tasks = &self.extended[index];
        ferrite::Job {
            tasks: tasks.as_ptr() as u64,
            in_bo_handles: plain.in_bo_handles,
            out_bo_handles: plain.out_bo_handles,
            task_count: tasks.len() as u32,
            task_struct_size: size_of::<ferrite::Task>() as u32,
            in_bo_handle_count: plain.in_bo_handle_count,
            out_bo_handle_count: plain.out_bo_handle_count,
            ..ferrite::Job::default()
        }
    }

    /// All jobs for Ferrite's own call.
    pub fn all_extended(&self) -> Vec<ferrite::Job> {
        (0..self.jobs.len())
            .map(|index| self.extended(index))
            .collect()
    }
}

impl<'a> Rig<'a> {
    /// Offset of the list that never ends.
    pub const HANG: u32 = 2048;
    /// Milliseconds that are enough for anything.
    pub const PATIENCE: i64 = 20_000;

    /// Makes the buffers.
    pub fn new(device: &'a Device) -> Result<Self, Fail> {
        let commands = device.buffer(4096)?;
        let constants = device.buffer(task::CONSTANTS)?;
        let activations = device.buffer(task::ACTIVATIONS)?;
        commands.write(0, &task::commands(activations.address, constants.address))?;
        commands.write(Self::HANG as usize, &task::hang())?;
        constants.map(task::fill_constants)?;
        activations.map(|bytes| task::fill_input(&mut bytes[..task::OUTPUT as usize]))?;
        for buffer in [&commands, &constants, &activations] {
            buffer.fini()?;
        }
        Ok(Rig {
            device,
            commands,
            constants,
            activations,
        })
    }

    /// The convolution as a task.
    pub fn task(&self) -> rocket::Task {
        rocket::Task {
            regcmd: self.commands.address,
            regcmd_count: task::WORDS as u32,
        }
    }

    /// The task that never ends.
    pub fn endless(&self) -> rocket::Task {
        rocket::Task {
            regcmd: self.commands.address + Self::HANG,
            regcmd_count: 4,
        }
    }

    /// Handles of what the convolution reads and does not write.
    pub fn inputs(&self) -> [u32; 2] {
        [self.commands.handle, self.constants.handle]
    }

    /// Runs one job of `tasks` tasks to its end.
    pub fn run_job(&self, tasks: usize) -> Result<(), Fail> {
        self.submit_job(tasks)?;
        Ok(self.activations.prep(Self::PATIENCE)?)
    }

    /// Submits one job of `tasks` tasks.
    pub fn submit_job(&self, tasks: usize) -> Result<(), Fail> {
        let mut jobs = Jobs::new();
        jobs.add(
            vec![self.task(); tasks],
            &self.inputs(),
            &[self.activations.handle],
        );
        Ok(self.device.submit(&jobs.jobs)?)
    }

    /// Runs `count` jobs, one after the other, from one submission.
    pub fn run_jobs(&self, count: usize) -> Result<(), Fail> {
        let mut jobs = Jobs::new();
        for _ in 0..count {
            jobs.add(
                vec![self.task()],
                &self.inputs(),
                &[self.activations.handle],
            );
        }
        self.device.submit(&jobs.jobs)?;
        Ok(self.activations.prep(Self::PATIENCE)?)
    }

    const RESULT: std::ops::Range<usize> =
        task::OUTPUT as usize..task::OUTPUT as usize + task::OUTPUT_LEN;

    /// Fills the output with what the convolution does not write.
    pub fn clear_output(&self) -> Result<(), Fail> {
        self.activations.prep(Self::PATIENCE).ok();
        self.activations
            .map(|bytes| bytes[Self::RESULT].fill(0xa5))?;
        Ok(self.activations.fini()?)
    }

    /// [`task::hash`] of the output.
    pub fn output_hash(&self) -> Result<u64, Fail> {
        Ok(self
            .activations
            .map(|bytes| task::hash(&bytes[Self::RESULT]))?)
    }

    /// Checks that the convolution still works: every byte of its output.
    pub fn check_works(&self) -> Result<(), Fail> {
        self.clear_output()?;
        self.run_job(1)?;
        let hash = self.output_hash()?;
        check(
            hash == task::OUTPUT_HASH,
            format!("the job wrote something else, or nothing: {hash:#x}"),
        )
    }
}
