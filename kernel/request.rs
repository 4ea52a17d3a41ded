// SPDX-License-Identifier: GPL-2.0-only
//! What user space submits, read and checked.

use crate::abstractions::{
    drm::File,
    gem::GemRef, //
};
use crate::batch::{Job, Used};
use crate::buffer::Numbered;
use crate::npu::Ferrite;
use crate::policy::iova::Range;
use crate::policy::validate::{
    self,
    Commands,
    Quota, //
};
use crate::space::Mapping;
use crate::uapi::{
    ferrite,
    rocket, //
};
use core::mem::size_of;
use kernel::{
    prelude::*,
    sync::Arc,
    transmute::FromBytes,
    uaccess::{
        UserPtr,
        UserSlice,
        UserSliceReader, //
    }, //
};

/// A job's use of a buffer.
#[derive(Clone, Copy)]
pub(crate) struct Use {
    /// Index of the job.
    pub(crate) job: u32,
    /// Index of the buffer.
    pub(crate) buffer: u32,
    /// Whether it writes.
    pub(crate) write: bool,
}

/// What a job asks of the scheduler.
#[derive(Clone, Copy)]
pub(crate) struct Wish {
    /// Cores, as a bit mask.
    pub(crate) cores: u32,
    /// Affinity.
    pub(crate) affinity: u32,
}

/// Lists that are needed only while a submission is taken in. They keep their memory.
#[derive(Default)]
pub(crate) struct Lists {
    /// Tells this submission from others in the buffers' marks.
    pub(crate) stamp: u64,
    /// Uses in order of jobs, each once; of each job, reads first.
    pub(crate) uses: KVVec<Use>,
    /// For each buffer, the last job that reads it and the last that writes it.
    last: KVVec<[Option<u32>; 2]>,
    /// Explicit dependencies: earlier job, later job.
    pub(crate) after: KVVec<(u32, u32)>,
    /// One for each job.
    pub(crate) wishes: KVVec<Wish>,
}

/// What the jobs are made of.
#[derive(Default)]
pub(crate) struct Request {
    /// The jobs.
    pub(crate) jobs: KVVec<Job>,
    /// The tasks of all jobs.
    pub(crate) tasks: KVVec<Commands>,
    /// All buffers.
    pub(crate) buffers: KVVec<Used>,
}

/// An array of structs in user space.
pub(crate) struct Array {
    /// User pointer.
    pub(crate) pointer: u64,
    /// Number of elements.
    pub(crate) count: u32,
    /// Bytes from element to element.
    pub(crate) stride: u32,
}

impl Array {
    fn reader(&self) -> Result<UserSliceReader> {
        let bytes = (self.count as usize)
            .checked_mul(self.stride as usize)
            .ok_or(E2BIG)?;
        let address = usize::try_from(self.pointer).map_err(|_| EFAULT)?;
        Ok(UserSlice::new(UserPtr::from_addr(address), bytes).reader())
    }
}

/// Reads a list of handles or indexes.
pub(crate) fn numbers(pointer: u64, count: u32, mut each: impl FnMut(u32) -> Result) -> Result {
    if count == 0 {
        return Ok(());
    }
    let mut reader = Array {
        pointer,
        count,
        stride: size_of::<u32>() as u32,
    }
    .reader()?;
    for _ in 0..count {
        each(reader.read::<u32>()?)?;
    }
    Ok(())
}

/// Reads the next element of which the caller knows `stride` bytes: what it does not know is zero,
/// and what we do not know must be.
fn element<T: FromBytes + Default>(reader: &mut UserSliceReader, stride: usize) -> Result<T> {
    let mut bytes = [0u8; 64];
    const { assert!(size_of::<T>() <= 64) };
    let Some(mut left) = stride.checked_sub(size_of::<T>()) else {
        reader.read_slice(&mut bytes[..stride])?;
        return T::from_bytes_copy(&bytes[..size_of::<T>()]).ok_or(EINVAL);
    };
    let value = reader.read::<T>()?;
    while left > 0 {
        let part = &mut bytes[..left.min(64)];
        reader.read_slice(part)?;
        if part.iter().any(|&byte| byte != 0) {
            return Err(validate::Error::Unknown.into());
        }
        left -= part.len();
    }
    Ok(value)
}

/// Reads an array of structs whose first version had `first` bytes.
pub(crate) fn elements<T: FromBytes + Default>(
    array: &Array,
    first: usize,
    mut each: impl FnMut(T) -> Result,
) -> Result {
    if array.count == 0 {
        return Ok(());
    }
    let stride = validate::element_size(array.stride, first)?;
    let mut reader = array.reader()?;
    for _ in 0..array.count {
        each(element(&mut reader, stride)?)?;
    }
    Ok(())
}

/// Reads all of a submission. Unless it is `extended`, its jobs and tasks are mainline's.
pub(crate) fn read(
    file: &File<Ferrite>,
    jobs: &Array,
    extended: bool,
    lists: &mut Lists,
) -> Result<Request> {
    Quota::new(validate::MAX_JOBS).take(jobs.count)?;
    lists.stamp += 1;
    lists.uses.clear();
    lists.last.clear();
    lists.after.clear();
    lists.wishes.clear();
    let mut intake = Intake {
        file,
        lists,
        request: Request {
            jobs: KVVec::with_capacity(jobs.count as usize, GFP_KERNEL_ACCOUNT)?,
            ..Request::default()
        },
        extended,
        tasks: Quota::new(validate::MAX_TASKS),
        uses: Quota::new(validate::MAX_USES),
        commands: None,
    };
    let mut index = 0;
    let mut take = |job: &ferrite::Job| {
        intake.job(index, job)?;
        index += 1;
        Ok(())
    };
    let first = size_of::<rocket::Job>();
    if extended {
        elements(jobs, first, |job: ferrite::Job| take(&job))?;
    } else {
        elements(jobs, first, |job: rocket::Job| take(&plain(job)))?;
    }
    Ok(intake.request)
}

/// Mainline's job, without wishes.
fn plain(job: rocket::Job) -> ferrite::Job {
    ferrite::Job {
        tasks: job.tasks,
        in_bo_handles: job.in_bo_handles,
        out_bo_handles: job.out_bo_handles,
        task_count: job.task_count,
        task_struct_size: job.task_struct_size,
        in_bo_handle_count: job.in_bo_handle_count,
        out_bo_handle_count: job.out_bo_handle_count,
        ..ferrite::Job::default()
    }
}

struct Intake<'a> {
    file: &'a File<Ferrite>,
    lists: &'a mut Lists,
    request: Request,
    extended: bool,
    tasks: Quota,
    uses: Quota,
    /// Where the last task's commands were found: the next ones are mostly there too.
    commands: Option<(Range, u32)>,
}

impl Intake<'_> {
    fn job(&mut self, index: u32, job: &ferrite::Job) -> Result {
        self.tasks.take(job.task_count)?;
        self.uses.take(job.in_bo_handle_count)?;
        self.uses.take(job.out_bo_handle_count)?;
        self.uses.take(job.after_count)?;
        validate::flags(job.flags, ferrite::JOB_CHAINED)?;
        if job.task_count == 0 {
            return Err(validate::Error::Empty.into());
        }
        let chained = job.flags & ferrite::JOB_CHAINED != 0;
        if chained {
            Quota::new(validate::MAX_CHAIN).take(job.task_count)?;
        }
        let first = self.request.tasks.len();
        numbers(job.in_bo_handles, job.in_bo_handle_count, |handle| {
            self.handle(index, handle, false)
        })?;
        self.read_tasks(index, job)?;
        numbers(job.out_bo_handles, job.out_bo_handle_count, |handle| {
            self.handle(index, handle, true)
        })?;
        numbers(job.after, job.after_count, |earlier| {
            if earlier >= index {
                return Err(validate::Error::Forward(earlier).into());
            }
            Ok(self.lists.after.push((earlier, index), GFP_KERNEL_ACCOUNT)?)
        })?;
        let wish = Wish {
            cores: validate::cores(job.cores)?,
            affinity: job.affinity,
        };
        self.lists.wishes.push(wish, GFP_KERNEL_ACCOUNT)?;
        self.request
            .jobs
            .push(Job::new(first, job.task_count, chained), GFP_KERNEL_ACCOUNT)?;
        Ok(())
    }

    fn handle(&mut self, job: u32, handle: u32, write: bool) -> Result {
        let buffer = GemRef::lookup(self.file, handle)?;
        self.add(job, buffer, write).map(|_| ())
    }

    /// Notes a use; returns the buffer's index.
    fn add(&mut self, job: u32, buffer: GemRef<Ferrite>, write: bool) -> Result<u32> {
        let next = self.request.buffers.len() as u32;
        let client = self.file.data().id();
        let number = match buffer.homes().number(client, self.lists.stamp, next) {
            // The handle is being closed by another thread.
            None => return Err(ENOENT),
            Some(Numbered::Again(number)) => number,
            Some(Numbered::First(mapping)) => {
                self.add_buffer(buffer, mapping)?;
                next
            }
        };
        let last = &mut self.lists.last[number as usize][usize::from(write)];
        if last.replace(job) != Some(job) {
            let used = Use {
                job,
                buffer: number,
                write,
            };
            self.lists.uses.push(used, GFP_KERNEL_ACCOUNT)?;
        }
        Ok(number)
    }

    fn add_buffer(&mut self, buffer: GemRef<Ferrite>, mapping: Arc<Mapping>) -> Result {
        self.lists.last.push([None; 2], GFP_KERNEL_ACCOUNT)?;
        Ok(self
            .request
            .buffers
            .push(Used { mapping, buffer }, GFP_KERNEL_ACCOUNT)?)
    }

    fn read_tasks(&mut self, index: u32, job: &ferrite::Job) -> Result {
        let array = Array {
            pointer: job.tasks,
            count: job.task_count,
            stride: job.task_struct_size,
        };
        self.request
            .tasks
            .reserve(job.task_count as usize, GFP_KERNEL_ACCOUNT)?;
        let first = size_of::<rocket::Task>();
        let mut used = None;
        if self.extended {
            elements(&array, first, |task: ferrite::Task| {
                validate::flags(task.flags, 0)?;
                let done = validate::completion(task.int_mask)?;
                self.task(index, task.regcmd, task.regcmd_count, Some(done), &mut used)
            })
        } else {
            elements(&array, first, |task: rocket::Task| {
                self.task(index, task.regcmd, task.regcmd_count, None, &mut used)
            })
        }
    }

    /// Takes a task in. Mainline's do not say what completes them: their last command tells.
    fn task(
        &mut self,
        job: u32,
        address: u32,
        count: u32,
        done: Option<u32>,
        used: &mut Option<u32>,
    ) -> Result {
        let mut commands = validate::commands(address, count)?;
        let known = self.commands.filter(|(range, number)| {
            *used == Some(*number) && (range.start..range.end()).contains(&u64::from(address))
        });
        let (range, number) = match known {
            Some(known) => known,
            None => {
                let found = self.file.data().find(address).ok_or(EFAULT)?;
                // The job reads its commands: that keeps them in place while it runs.
                let number = self.add(job, found, false)?;
                let range = self.request.buffers[number as usize].mapping.range();
                (range, number)
            }
        };
        self.commands = Some((range, number));
        *used = Some(number);
        let last = validate::last_command(address, count, range.start, range.len)?;
        if let Some(done) = done {
            commands.done = done;
        } else if let Some(word) = self.request.buffers[number as usize].buffer.peek(last) {
            commands.done = validate::done_bits(word);
        }
        Ok(self.request.tasks.push(commands, GFP_KERNEL_ACCOUNT)?)
    }
}
