//! What a submission costs the CPU.

use ferrite_uapi::ferrite;

use crate::cases::{Fail, Jobs, Rig, linked, submission, wait};
use crate::device::{Device, ioctl, now};

/// Times a way to submit work, from the call to the end of the wait for it: least of `runs`, in
/// nanoseconds.
fn least(runs: usize, mut once: impl FnMut() -> Result<(), Fail>) -> Result<i64, Fail> {
    let mut best = i64::MAX;
    for _ in 0..runs {
        let start = now();
        once()?;
        best = best.min(now() - start);
    }
    Ok(best)
}

/// One chained job of 27 tasks, without the time on the core; `None` if the driver has no chains.
fn chain(device: &Device, rig: &Rig<'_>, runs: usize) -> Result<Option<i64>, Fail> {
    const TASKS: u32 = 27;
    let list = device.buffer(TASKS * 1024)?;
    let mut plain = Jobs::new();
    plain.add(
        linked(rig, &list, TASKS)?,
        &[list.handle, rig.constants.handle],
        &[rig.activations.handle],
    );
    let job = [ferrite::Job {
        flags: ferrite::JOB_CHAINED,
        ..plain.extended(0)
    }];
    let once = || -> Result<i64, i32> {
        let start = now();
        let mut arg = submission(&job);
        ioctl(device, ferrite::IOCTL_SUBMIT, &mut arg)?;
        let end = wait(device, arg.number)?;
        Ok(now() - start - end.busy_ns as i64)
    };
    if once().is_err() {
        return Ok(None);
    }
    let mut best = i64::MAX;
    for _ in 0..runs {
        best = best.min(once()?);
    }
    Ok(Some(best))
}

/// Two files whose jobs of one task take turns on one core; the rest of what a turn takes is that of
/// [`Rig::run_job`].
fn turns(rig: &Rig<'_>, runs: usize) -> Result<i64, Fail> {
    let other = Device::open()?;
    let second = Rig::new(&other)?;
    second.run_job(1)?;
    rig.run_job(1)?;
    least(runs, || {
        second.run_job(1)?;
        rig.run_job(1)
    })
    .map(|both| both / 2)
}

/// Prints one JSON object. With `--icount`, a nanosecond is a guest instruction.
pub fn run(runs: usize) -> Result<(), Fail> {
    let device = Device::open()?;
    let rig = Rig::new(&device)?;
    let one = least(runs, || rig.run_job(1))?;
    let tasks = least(runs, || rig.run_job(27))?;
    let jobs = least(runs, || rig.run_jobs(27))?;
    let prep = least(runs, || Ok(rig.activations.prep(0)?))?;
    let submit = least(runs, || {
        rig.submit_job(1)?;
        Ok(())
    });
    rig.activations.prep(Rig::PATIENCE)?;
    let submit = submit?;
    let chain = chain(&device, &rig, runs)?.map_or("null".into(), |least| least.to_string());
    let turn = turns(&rig, runs)?;
    println!(
        "{{\"one_job_of_1_task\": {one}, \"one_job_of_27_tasks\": {tasks}, \"27_jobs_in_one_submit\": {jobs}, \"submit\": {submit}, \"prep_idle\": {prep}, \"one_chained_job_of_27_tasks_less_core\": {chain}, \"one_job_after_another_client\": {turn}}}"
    );
    Ok(())
}
