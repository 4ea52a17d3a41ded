//! What a submission costs the CPU.

use crate::cases::{Fail, Rig};
use crate::device::{Device, now};

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
    println!(
        "{{\"one_job_of_1_task\": {one}, \"one_job_of_27_tasks\": {tasks}, \"27_jobs_in_one_submit\": {jobs}, \"submit\": {submit}, \"prep_idle\": {prep}}}"
    );
    Ok(())
}
