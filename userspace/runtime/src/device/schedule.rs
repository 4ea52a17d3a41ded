//! Spreads the jobs of a submission over cores, in the order that `after` asks for.

use std::sync::{Condvar, Mutex};

struct State {
    /// Jobs not started yet, in order.
    waiting: Vec<usize>,
    done: Vec<bool>,
    running: usize,
    failed: bool,
}

/// Runs `count` jobs on `cores`, one thread each. Job `n` starts when all of `after(n)` have
/// finished. After a failure no further job starts; the failure of the first job in order wins.
pub fn run<C: Send, E: Send>(
    cores: &mut [C],
    count: usize,
    after: impl Fn(usize) -> Vec<usize> + Sync,
    run: impl Fn(&mut C, usize, usize) -> Result<(), E> + Sync,
) -> Result<(), E> {
    if count == 1 || cores.len() == 1 {
        // Jobs only wait for earlier ones, so their own order is a valid one.
        return (0..count).try_for_each(|job| run(&mut cores[0], 0, job));
    }
    let state = Mutex::new(State {
        waiting: (0..count).collect(),
        done: vec![false; count],
        running: 0,
        failed: false,
    });
    let changed = Condvar::new();
    let errors = Mutex::new(Vec::new());
    let work = |core: &mut C, index: usize| {
        while let Some(job) = next(&state, &changed, &after) {
            let result = run(core, index, job);
            let mut state = state.lock().unwrap_or_else(|e| e.into_inner());
            state.running -= 1;
            state.done[job] = true;
            if let Err(error) = result {
                state.failed = true;
                errors
                    .lock()
                    .unwrap_or_else(|e| e.into_inner())
                    .push((job, error));
            }
            drop(state);
            changed.notify_all();
        }
    };
    std::thread::scope(|scope| {
        let work = &work;
        let mut cores = cores.iter_mut().enumerate().take(count);
        let first = cores.next();
        for (index, core) in cores {
            scope.spawn(move || work(core, index));
        }
        if let Some((index, core)) = first {
            work(core, index);
        }
    });
    let mut errors = errors.into_inner().unwrap_or_else(|e| e.into_inner());
    errors.sort_by_key(|(job, _)| *job);
    match errors.into_iter().next() {
        Some((_, error)) => Err(error),
        None => Ok(()),
    }
}

/// Takes the first job that may start, or waits for one; `None` when nothing is left to start.
fn next(
    state: &Mutex<State>,
    changed: &Condvar,
    after: &impl Fn(usize) -> Vec<usize>,
) -> Option<usize> {
    let mut state = state.lock().unwrap_or_else(|e| e.into_inner());
    loop {
        if state.failed || state.waiting.is_empty() {
            return None;
        }
        let ready = state
            .waiting
            .iter()
            .position(|&job| after(job).iter().all(|&earlier| state.done[earlier]));
        if let Some(ready) = ready {
            state.running += 1;
            return Some(state.waiting.remove(ready));
        }
        debug_assert!(state.running > 0, "jobs wait for earlier ones only");
        state = changed.wait(state).unwrap_or_else(|e| e.into_inner());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn every_job_runs_once_and_after_those_it_waits_for() {
        let clock = AtomicUsize::new(0);
        let times: Vec<_> = (0..20)
            .map(|_| (AtomicUsize::new(0), AtomicUsize::new(0)))
            .collect();
        let after = |job: usize| {
            if job >= 3 {
                vec![job - 3, job / 2]
            } else {
                vec![]
            }
        };
        let result: Result<(), ()> = run(&mut [(), (), ()], 20, after, |_, _, job| {
            times[job]
                .0
                .store(clock.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            std::thread::yield_now();
            times[job]
                .1
                .store(clock.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            Ok(())
        });
        assert_eq!(result, Ok(()));
        assert_eq!(clock.into_inner(), 40);
        for job in 0..20 {
            for earlier in after(job) {
                let start = times[job].0.load(Ordering::SeqCst);
                assert!(times[earlier].1.load(Ordering::SeqCst) < start);
            }
        }
    }

    #[test]
    fn a_failure_stops_what_has_not_started() {
        let ran = AtomicUsize::new(0);
        let after = |job: usize| if job > 1 { vec![1] } else { vec![] };
        let result = run(&mut [(), (), ()], 9, after, |_, _, job| {
            ran.fetch_add(1, Ordering::SeqCst);
            if job == 1 { Err(job) } else { Ok(()) }
        });
        assert_eq!(result, Err(1));
        assert!(ran.into_inner() <= 2);
    }
}
