// SPDX-License-Identifier: GPL-2.0-only
//! The scheduler under one lock, as the driver's contexts use it at the same time: a system call
//! that submits, interrupts of two cores, and the watchdog. loom tries all interleavings:
//! `RUSTFLAGS="--cfg loom" cargo test -p ferrite-policy --test concurrent --release`. Without it,
//! real threads try some.

use ferrite_policy::schedule::*;

#[cfg(loom)]
use loom::{
    sync::{Arc, Mutex},
    thread,
};
#[cfg(not(loom))]
use std::{
    sync::{Arc, Mutex},
    thread,
};

/// What the driver has beside the scheduler: the jobs that have ended, by token.
struct Driver {
    sched: Scheduler<u32>,
    ended: Vec<(u32, bool)>,
    client: ClientId,
}

type Shared = Arc<Mutex<Driver>>;

fn driver(cores: usize) -> Shared {
    let mut sched = Scheduler::new(4, 1).unwrap();
    for core in 0..cores {
        sched.add_core(core);
    }
    let client = sched.add_client().unwrap();
    Arc::new(Mutex::new(Driver {
        sched,
        ended: Vec::new(),
        client,
    }))
}

fn with<R>(shared: &Shared, work: impl FnOnce(&mut Driver) -> R) -> R {
    work(&mut shared.lock().unwrap())
}

fn submit(shared: &Shared, token: u32, waits: u32) -> JobId {
    with(shared, |driver| {
        let spec = Spec {
            client: driver.client,
            priority: Priority::Normal,
            cores: ANY_CORE,
            affinity: 0,
            waits,
            tasks: 1,
            chained: false,
        };
        assert!(driver.sched.promise(driver.client, 1, 4));
        driver.sched.submit(spec, token).unwrap()
    })
}

/// One nanosecond a task.
const PATIENCE: Patience = Patience {
    task_ns: 1,
    chain_ns: 1,
};

/// Claims, prepares without the lock, and starts.
fn launch(shared: &Shared, core: usize) -> bool {
    let Some(claim) = with(shared, |driver| driver.sched.claim(core)) else {
        return false;
    };
    // Here the driver sleeps: nobody else may have the core.
    with(shared, |driver| {
        assert!(driver.sched.claim(core).is_none());
        assert!(!driver.sched.reserve(core));
        driver.sched.set_attached(core, Some(claim.client));
        assert!(driver.sched.started(core, 0));
    });
    true
}

/// A completion interrupt; returns whether it was one.
fn interrupt(shared: &Shared, core: usize) -> bool {
    with(shared, |driver| {
        match driver.sched.task_done(core, 1, || PATIENCE, |_, _| true) {
            Step::Spurious => false,
            Step::Task(_) | Step::Yield | Step::Stop => panic!("jobs have one task"),
            Step::Done => {
                let finished = driver.sched.finish(core, 1).unwrap();
                driver.ended.push((finished.token, true));
                true
            }
        }
    })
}

/// The watchdog, for which every task is overdue.
fn watchdog(shared: &Shared, core: usize) {
    let ours = with(shared, |driver| {
        matches!(driver.sched.overdue(core, 9, PATIENCE, 0), Overdue::Now(_))
            && driver.sched.recover(core)
    });
    if ours {
        // Here the driver resets the core.
        with(shared, |driver| {
            assert!(driver.sched.claim(core).is_none());
            driver.sched.set_attached(core, None);
            let finished = driver.sched.finish(core, 9).unwrap();
            driver.ended.push((finished.token, false));
        });
    }
}

fn model(check: impl Fn() + Sync + Send + 'static) {
    #[cfg(loom)]
    loom::model(check);
    #[cfg(not(loom))]
    for _ in 0..2000 {
        check();
    }
}

fn count(shared: &Shared, token: u32) -> usize {
    with(shared, |driver| {
        driver.ended.iter().filter(|(t, _)| *t == token).count()
    })
}

#[test]
fn a_completion_and_its_timeout_end_the_job_once() {
    model(|| {
        let shared = driver(1);
        submit(&shared, 7, 0);
        assert!(launch(&shared, 0));
        let other = shared.clone();
        let irq = thread::spawn(move || interrupt(&other, 0));
        watchdog(&shared, 0);
        irq.join().unwrap();
        assert_eq!(count(&shared, 7), 1);
        with(&shared, |driver| {
            assert!(driver.sched.is_idle(0));
            assert_eq!(driver.sched.jobs(), 0);
        });
    });
}

#[test]
fn two_contexts_never_start_one_job_twice() {
    model(|| {
        let shared = driver(2);
        submit(&shared, 1, 0);
        let threads: Vec<_> = [0, 1, 0]
            .into_iter()
            .map(|core| {
                let shared = shared.clone();
                thread::spawn(move || launch(&shared, core))
            })
            .collect();
        let started = threads
            .into_iter()
            .map(|thread| u32::from(thread.join().unwrap()))
            .sum::<u32>();
        assert_eq!(started, 1);
    });
}

#[test]
fn a_job_that_waits_runs_once_whoever_releases_it_last() {
    model(|| {
        let shared = driver(1);
        let job = submit(&shared, 3, 2);
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let shared = shared.clone();
                thread::spawn(move || {
                    with(&shared, |driver| driver.sched.satisfy(job, false));
                    launch(&shared, 0) && interrupt(&shared, 0)
                })
            })
            .collect();
        let runs = threads
            .into_iter()
            .map(|thread| u32::from(thread.join().unwrap()))
            .sum::<u32>();
        assert_eq!(runs, 1);
        assert_eq!(count(&shared, 3), 1);
    });
}

#[test]
fn closing_a_client_races_with_its_jobs() {
    model(|| {
        let shared = driver(1);
        submit(&shared, 1, 0);
        let waiting = submit(&shared, 2, 1);
        let other = shared.clone();
        let runner = thread::spawn(move || {
            if launch(&other, 0) {
                assert!(interrupt(&other, 0));
            }
            with(&other, |driver| driver.sched.satisfy(waiting, false));
        });
        let cancel = |driver: &mut Driver| {
            while let Some(finished) = driver.sched.next_cancelled() {
                driver.ended.push((finished.token, false));
            }
        };
        with(&shared, |driver| {
            driver.sched.close_client(driver.client);
            cancel(driver);
        });
        runner.join().unwrap();
        with(&shared, cancel);
        assert_eq!((count(&shared, 1), count(&shared, 2)), (1, 1));
        with(&shared, |driver| {
            let client = driver.client;
            assert!(driver.sched.remove_client(client));
        });
    });
}
