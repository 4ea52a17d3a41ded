//! What a submission may be.

use ferrite_uapi::rocket;

use super::rig::{Entry, Fail, Jobs, Rig, check};
use crate::device::{Device, SUBMIT, ioctl, now};
use crate::task;

pub const CASES: &[Entry] = &[
    ("basic", "a job runs (no weakness)", basic),
    (
        "errors_are_returned",
        "W1: a bad job makes SUBMIT fail, and nothing of it runs",
        errors_are_returned,
    ),
    (
        "input_and_output",
        "W2: a buffer may be input and output of a job",
        input_and_output,
    ),
    (
        "commands_in_a_buffer",
        "W11: a command list outside of any buffer is refused",
        commands_in_a_buffer,
    ),
    (
        "commands_aligned",
        "W11: a misaligned command list is refused",
        commands_aligned,
    ),
    (
        "commands_fit",
        "W11: a list longer than the hardware can count is refused",
        commands_fit,
    ),
    (
        "commands_are_held",
        "W11: closing the handle of the commands does not disturb the job",
        commands_are_held,
    ),
    (
        "readers_count",
        "W12: PREP_BO waits for jobs that read the buffer",
        readers_count,
    ),
    (
        "many_jobs",
        "W19: an absurd number of jobs is refused without complaint by the kernel",
        many_jobs,
    ),
    (
        "many_tasks",
        "W19: an absurd number of tasks is refused without complaint by the kernel",
        many_tasks,
    ),
    (
        "longer_structs",
        "W19: structs of a newer caller are read with their own size",
        longer_structs,
    ),
    (
        "three_cores",
        "W18: independent jobs of one client use all cores",
        three_cores,
    ),
    (
        "pool_alone",
        "W8: a job of the PPU alone completes (the model needs --evidence inferred for int8)",
        pool_alone,
    ),
    (
        "two_gigabytes",
        "W7: a buffer may have 2 GiB (needs --memory 3008 and, for ours, memory_percent=90)",
        two_gigabytes,
    ),
    (
        "budget_per_task",
        "W16: a job may take longer than a task's budget",
        budget_per_task,
    ),
];

fn basic() -> Result<(), Fail> {
    Rig::new(&Device::open()?)?.check_works()
}

fn errors_are_returned() -> Result<(), Fail> {
    let device = Device::open()?;
    let rig = Rig::new(&device)?;
    let mut jobs = Jobs::new();
    jobs.add(vec![rig.task()], &rig.inputs(), &[rig.activations.handle]);
    jobs.add(Vec::new(), &[], &[]);
    let result = device.submit(&jobs.jobs);
    check(
        result == Err(libc::EINVAL),
        format!("SUBMIT gave {result:?}"),
    )?;
    let mut jobs = Jobs::new();
    jobs.add(vec![rig.task()], &[0xdead], &[]);
    let result = device.submit(&jobs.jobs);
    check(
        result == Err(libc::ENOENT),
        format!("an unknown handle gave {result:?}"),
    )?;
    rig.check_works()
}

fn input_and_output() -> Result<(), Fail> {
    let device = Device::open()?;
    let rig = Rig::new(&device)?;
    let output = task::OUTPUT as usize;
    rig.activations.map(|bytes| bytes[output..].fill(0xa5))?;
    rig.activations.fini()?;
    let mut jobs = Jobs::new();
    let both = rig.activations.handle;
    jobs.add(
        vec![rig.task()],
        &[rig.constants.handle, both, both],
        &[both],
    );
    device.submit(&jobs.jobs)?;
    rig.activations.prep(Rig::PATIENCE)?;
    let changed = rig
        .activations
        .map(|bytes| bytes[output..output + 32].iter().any(|&byte| byte != 0xa5))?;
    check(changed, "the job did not run")
}

fn refused(task: rocket::Task, rig: &Rig<'_>) -> Result<(), Fail> {
    let mut jobs = Jobs::new();
    jobs.add(vec![task], &rig.inputs(), &[rig.activations.handle]);
    let result = rig.device.submit(&jobs.jobs);
    // If it was taken, let it end, so that the next case begins with an idle NPU.
    let _ = rig.activations.prep(Rig::PATIENCE);
    check(
        matches!(result, Err(libc::EINVAL | libc::EFAULT)),
        format!("SUBMIT gave {result:?}"),
    )?;
    rig.check_works()
}

fn commands_in_a_buffer() -> Result<(), Fail> {
    let device = Device::open()?;
    let rig = Rig::new(&device)?;
    let nowhere = rocket::Task {
        regcmd: 0xf000_0000,
        ..rig.task()
    };
    refused(nowhere, &rig)?;
    let beyond = rocket::Task {
        regcmd: rig.commands.address,
        regcmd_count: 513,
    };
    refused(beyond, &rig)
}

fn commands_aligned() -> Result<(), Fail> {
    let device = Device::open()?;
    let rig = Rig::new(&device)?;
    let odd = rocket::Task {
        regcmd: rig.commands.address + 8,
        ..rig.task()
    };
    refused(odd, &rig)
}

fn commands_fit() -> Result<(), Fail> {
    let device = Device::open()?;
    let rig = Rig::new(&device)?;
    let large = device.buffer(2 << 20)?;
    let long = rocket::Task {
        regcmd: large.address,
        // In 16 bits of pairs this is four commands.
        regcmd_count: 131_072 + 4,
    };
    refused(long, &rig)
}

fn commands_are_held() -> Result<(), Fail> {
    let device = Device::open()?;
    let rig = Rig::new(&device)?;
    let output = task::OUTPUT as usize;
    rig.activations.map(|bytes| bytes[output..].fill(0xa5))?;
    rig.activations.fini()?;
    let mut jobs = Jobs::new();
    // The list is not named as an input.
    jobs.add(
        vec![rig.task(); 8],
        &[rig.constants.handle],
        &[rig.activations.handle],
    );
    device.submit(&jobs.jobs)?;
    device.close(rig.commands.handle)?;
    rig.activations.prep(Rig::PATIENCE)?;
    let changed = rig
        .activations
        .map(|bytes| bytes[output..output + 32].iter().any(|&byte| byte != 0xa5))?;
    check(changed, "the job did not run")
}

fn readers_count() -> Result<(), Fail> {
    let device = Device::open()?;
    let rig = Rig::new(&device)?;
    let mut jobs = Jobs::new();
    jobs.add(
        vec![rig.endless()],
        &rig.inputs(),
        &[rig.activations.handle],
    );
    device.submit(&jobs.jobs)?;
    let result = rig.constants.prep(50);
    let _ = rig.activations.prep(Rig::PATIENCE);
    check(
        result == Err(libc::ETIMEDOUT),
        format!("PREP_BO of an input gave {result:?} while the job runs"),
    )?;
    rig.check_works()
}

fn many_jobs() -> Result<(), Fail> {
    let device = Device::open()?;
    let mut arg = rocket::Submit {
        jobs: 0x1000,
        job_count: u32::MAX,
        job_struct_size: size_of::<rocket::Job>() as u32,
        reserved: 0,
    };
    let result = ioctl(&device, SUBMIT, &mut arg);
    check(
        matches!(result, Err(libc::E2BIG | libc::EINVAL)),
        format!("SUBMIT gave {result:?}"),
    )
}

fn many_tasks() -> Result<(), Fail> {
    let device = Device::open()?;
    let rig = Rig::new(&device)?;
    let mut jobs = Jobs::new();
    jobs.add(vec![rig.task()], &[], &[]);
    jobs.jobs[0].task_count = u32::MAX;
    let result = device.submit(&jobs.jobs);
    check(
        matches!(result, Err(libc::E2BIG | libc::EINVAL)),
        format!("SUBMIT gave {result:?}"),
    )?;
    jobs.jobs[0].task_count = 1;
    jobs.jobs[0].in_bo_handle_count = u32::MAX;
    let result = device.submit(&jobs.jobs);
    check(
        matches!(result, Err(libc::E2BIG | libc::EINVAL)),
        format!("with too many inputs, SUBMIT gave {result:?}"),
    )
}

fn longer_structs() -> Result<(), Fail> {
    let device = Device::open()?;
    let rig = Rig::new(&device)?;
    let handles = [rig.activations.handle];
    let stride = size_of::<rocket::Job>() + 24;
    let task = rig.task();
    let job = rocket::Job {
        tasks: &raw const task as u64,
        out_bo_handles: handles.as_ptr() as u64,
        task_count: 1,
        task_struct_size: size_of::<rocket::Task>() as u32,
        out_bo_handle_count: 1,
        ..Default::default()
    };
    let mut bytes = vec![0u8; 2 * stride];
    for at in [0, stride] {
        // SAFETY: The struct is plain data of that size.
        let raw = unsafe {
            std::slice::from_raw_parts((&raw const job).cast::<u8>(), size_of::<rocket::Job>())
        };
        bytes[at..at + raw.len()].copy_from_slice(raw);
    }
    let mut arg = rocket::Submit {
        jobs: bytes.as_ptr() as u64,
        job_count: 2,
        job_struct_size: stride as u32,
        reserved: 0,
    };
    ioctl(&device, SUBMIT, &mut arg)?;
    Ok(rig.activations.prep(Rig::PATIENCE)?)
}

/// Interrupts of each core so far.
fn interrupts() -> Result<Vec<u64>, Fail> {
    let table = std::fs::read_to_string("/proc/interrupts")?;
    Ok(table
        .lines()
        .filter(|line| line.contains(".npu"))
        .map(|line| {
            line.split_whitespace()
                .skip(1)
                .map_while(|word| word.parse::<u64>().ok())
                .sum()
        })
        .collect())
}

fn three_cores() -> Result<(), Fail> {
    let device = Device::open()?;
    let rig = Rig::new(&device)?;
    let before = interrupts()?;
    let outputs: Vec<_> = (0..12)
        .map(|_| device.buffer(task::ACTIVATIONS))
        .collect::<Result<_, _>>()?;
    let lists: Vec<_> = (0..12)
        .map(|_| device.buffer(4096))
        .collect::<Result<_, _>>()?;
    let mut jobs = Jobs::new();
    for (output, list) in outputs.iter().zip(&lists) {
        list.write(0, &task::commands(output.address, rig.constants.address))?;
        list.fini()?;
        let task = rocket::Task {
            regcmd: list.address,
            ..rig.task()
        };
        jobs.add(
            vec![task; 32],
            &[list.handle, rig.constants.handle],
            &[output.handle],
        );
    }
    device.submit(&jobs.jobs)?;
    for output in &outputs {
        output.prep(Rig::PATIENCE)?;
    }
    let busy = interrupts()?
        .iter()
        .zip(&before)
        .filter(|(after, before)| after > before)
        .count();
    check(
        busy == before.len(),
        format!("{busy} of {} cores were used", before.len()),
    )
}

fn pool_alone() -> Result<(), Fail> {
    let device = Device::open()?;
    let rig = Rig::new(&device)?;
    let list = task::pool(rig.activations.address);
    let place = Rig::HANG as usize + 64;
    rig.commands.write(place, &list)?;
    rig.commands.fini()?;
    let output = task::OUTPUT as usize;
    let expected = rig.activations.map(|bytes| {
        bytes[output..].fill(0xa5);
        task::pooled(bytes)
    })?;
    rig.activations.fini()?;
    let task = rocket::Task {
        regcmd: rig.commands.address + place as u32,
        regcmd_count: list.len() as u32,
    };
    let mut jobs = Jobs::new();
    jobs.add(vec![task; 3], &rig.inputs(), &[rig.activations.handle]);
    let start = now();
    device.submit(&jobs.jobs)?;
    rig.activations.prep(Rig::PATIENCE)?;
    let took = (now() - start) / 1_000_000;
    let right = rig
        .activations
        .map(|bytes| bytes[output..][..expected.len()] == expected)?;
    rig.check_works()?;
    check(right, "the maximum is wrong")?;
    check(took < 400, format!("three of them took {took} ms"))
}

fn two_gigabytes() -> Result<(), Fail> {
    let device = Device::open()?;
    let large = device.buffer(1 << 31)?;
    // The output goes to the buffer's last bytes.
    let rig = Rig::new(&device)?;
    let (last, len) = ((1usize << 31) - task::OUTPUT_LEN, task::OUTPUT_LEN);
    let mut list = task::commands(rig.activations.address, rig.constants.address);
    let to = task::commands(large.address + last as u32 - task::OUTPUT, 0);
    list[task::OUTPUT_WORD] = to[task::OUTPUT_WORD];
    rig.commands.write(0, &list)?;
    rig.commands.fini()?;
    let mut jobs = Jobs::new();
    jobs.add(
        vec![rig.task()],
        &[rig.activations.handle, rig.constants.handle],
        &[large.handle],
    );
    device.submit(&jobs.jobs)?;
    large.prep(Rig::PATIENCE)?;
    let hash = large.map(|bytes| task::hash(&bytes[last..last + len]))?;
    check(
        hash == task::OUTPUT_HASH,
        format!("the output at its end is {hash:#x}"),
    )
}

fn budget_per_task() -> Result<(), Fail> {
    let device = Device::open()?;
    let rig = Rig::new(&device)?;
    // However fast the machine is, at some length a job takes longer than the budget of 500 ms for
    // each of its tasks, unless it is cut off.
    let mut tasks = 64;
    let mut took = 0;
    while tasks < 65536 && took < 1000 {
        tasks *= 2;
        let start = now();
        rig.submit_job(tasks)?;
        rig.activations.prep(60_000)?;
        took = (now() - start) / 1_000_000;
    }
    check(
        took >= 1000,
        format!("a job of {tasks} tasks ended after {took} ms"),
    )?;
    rig.check_works()
}
