// SPDX-License-Identifier: GPL-2.0-only
//! The scheduler as the driver uses it.

use ferrite_policy::schedule::*;

const MS: u64 = 1_000_000;

fn spec(client: ClientId) -> Spec {
    Spec {
        client,
        priority: Priority::Normal,
        cores: ANY_CORE,
        affinity: 0,
        waits: 0,
        tasks: 1,
    }
}

fn with_cores(cores: usize) -> Scheduler<u32> {
    let mut scheduler = Scheduler::new(64, 8).unwrap();
    for core in 0..cores {
        scheduler.add_core(core);
    }
    scheduler
}

/// Runs the job that `claim` gives on `core` for `ns`, and returns its token.
fn run(scheduler: &mut Scheduler<u32>, core: usize, now: u64, ns: u64) -> Option<u32> {
    let claim = scheduler.claim(core)?;
    scheduler.set_attached(core, Some(claim.client));
    scheduler.started(core, now);
    assert_eq!(scheduler.task_done(core, now + ns), Step::Done);
    Some(scheduler.finish(core, now + ns).unwrap().token)
}

#[test]
fn one_client_uses_all_cores() {
    let mut scheduler = with_cores(3);
    let client = scheduler.add_client().unwrap();
    for token in 0..4 {
        scheduler.submit(spec(client), token).unwrap();
    }
    let claims: Vec<_> = (0..3).map(|core| scheduler.claim(core).unwrap()).collect();
    assert!(claims.iter().all(|claim| claim.switch));
    assert_eq!(scheduler.claim(0), None, "the core is taken");
    for core in 0..3 {
        scheduler.set_attached(core, Some(client));
        scheduler.started(core, 0);
    }
    assert_eq!(scheduler.running(1), Some((&1, 0)));
    scheduler.task_done(1, MS);
    assert_eq!(scheduler.finish(1, MS).unwrap().token, 1);
    let next = scheduler.claim(1).unwrap();
    assert!(!next.switch, "the address space stays");
}

#[test]
fn tasks_run_in_order_with_their_own_budgets() {
    let mut scheduler = with_cores(1);
    let client = scheduler.add_client().unwrap();
    let job = Spec {
        tasks: 3,
        ..spec(client)
    };
    scheduler.submit(job, 9).unwrap();
    scheduler.claim(0).unwrap();
    assert_eq!(scheduler.overdue(0, 0, MS), Overdue::Idle);
    scheduler.started(0, 0);
    assert_eq!(scheduler.overdue(0, MS / 4, MS), Overdue::After(MS * 3 / 4));
    assert_eq!(scheduler.task_done(0, MS / 2), Step::Task(1));
    assert_eq!(scheduler.overdue(0, MS, MS), Overdue::After(MS / 2));
    assert_eq!(scheduler.task_done(0, MS), Step::Task(2));
    assert!(matches!(scheduler.overdue(0, 2 * MS, MS), Overdue::Now(_)));
    assert!(scheduler.recover(0));
    assert_eq!(
        scheduler.task_done(0, 2 * MS),
        Step::Spurious,
        "a late interrupt"
    );
    assert!(!scheduler.recover(0));
    let finished = scheduler.finish(0, 3 * MS).unwrap();
    assert_eq!((finished.token, finished.busy_ns), (9, 3 * MS));
    assert_eq!(scheduler.jobs(), 0);
    assert!(scheduler.remove_client(client));
}

#[test]
fn dependencies_hold_jobs_back_and_failures_cancel() {
    let mut scheduler = with_cores(1);
    let client = scheduler.add_client().unwrap();
    let waiting = Spec {
        waits: 2,
        ..spec(client)
    };
    let good = scheduler.submit(waiting, 1).unwrap();
    let bad = scheduler.submit(waiting, 2).unwrap();
    assert_eq!(scheduler.claim(0), None);
    assert_eq!(scheduler.satisfy(good, false), Release::Waiting);
    assert_eq!(scheduler.satisfy(bad, true), Release::Waiting);
    assert_eq!(scheduler.satisfy(good, false), Release::Ready);
    assert_eq!(scheduler.satisfy(bad, false), Release::Cancelled);
    assert_eq!(scheduler.a_cancelled(), Some(&2));
    assert_eq!(scheduler.next_cancelled().unwrap().token, 2);
    assert!(!scheduler.has_cancelled());
    assert_eq!(scheduler.a_cancelled(), None);
    assert!(!scheduler.remove_client(client), "a job is left");
    assert_eq!(run(&mut scheduler, 0, 0, MS), Some(1));
    assert_eq!(scheduler.jobs_of(client), 0);
}

#[test]
fn shares_are_equal_whatever_the_jobs_take() {
    let mut scheduler = with_cores(1);
    let clients: Vec<_> = (0..3).map(|_| scheduler.add_client().unwrap()).collect();
    let lengths = [MS / 10, MS, 5 * MS];
    let mut now = 0;
    for (client, token) in clients.iter().zip(0..) {
        scheduler.submit(spec(*client), token).unwrap();
        scheduler.submit(spec(*client), token).unwrap();
    }
    while now < 1000 * MS {
        let core = 0;
        let claim = scheduler.claim(core).unwrap();
        let token = *scheduler.on_core(core).unwrap();
        scheduler.set_attached(core, Some(claim.client));
        scheduler.started(core, now);
        now += lengths[token as usize];
        scheduler.task_done(core, now);
        scheduler.finish(core, now).unwrap();
        scheduler.submit(spec(claim.client), token).unwrap();
    }
    for client in &clients {
        let share = scheduler.usage_of(*client).busy_ns as f64 / now as f64;
        assert!((share - 1.0 / 3.0).abs() < 0.033, "{share}");
    }
}

#[test]
fn a_late_client_gets_no_credit_for_idleness() {
    let mut scheduler = with_cores(1);
    let (old, new) = (
        scheduler.add_client().unwrap(),
        scheduler.add_client().unwrap(),
    );
    for turn in 0..100 {
        scheduler.submit(spec(old), 0).unwrap();
        assert_eq!(run(&mut scheduler, 0, turn * 10 * MS, 10 * MS), Some(0));
    }
    let mut served = [0, 0];
    for client in [old, new] {
        for _ in 0..20 {
            scheduler.submit(spec(client), client.0).unwrap();
        }
    }
    for turn in 0..20 {
        served[run(&mut scheduler, 0, turn * 10 * MS, 10 * MS).unwrap() as usize] += 1;
    }
    assert!(served[0] >= 8 && served[1] >= 8, "{served:?}");
}

#[test]
fn short_jobs_do_not_thrash_the_address_space() {
    let mut scheduler = with_cores(1);
    let clients = [
        scheduler.add_client().unwrap(),
        scheduler.add_client().unwrap(),
    ];
    let mut switches = 0;
    for client in clients {
        scheduler.submit(spec(client), 0).unwrap();
        scheduler.submit(spec(client), 0).unwrap();
    }
    for turn in 0..1000 {
        let claim = scheduler.claim(0).unwrap();
        switches += u32::from(claim.switch);
        scheduler.set_attached(0, Some(claim.client));
        scheduler.started(0, turn * MS / 10);
        scheduler.task_done(0, (turn + 1) * MS / 10);
        scheduler.finish(0, (turn + 1) * MS / 10);
        scheduler.submit(spec(claim.client), 0).unwrap();
    }
    assert!(switches < 60, "{switches} switches in 1000 jobs of 0.1 ms");
}

#[test]
fn priorities_masks_and_affinity() {
    let mut scheduler = with_cores(3);
    let client = scheduler.add_client().unwrap();
    let with = |priority, cores, affinity| Spec {
        priority,
        cores,
        affinity,
        ..spec(client)
    };
    scheduler
        .submit(with(Priority::Low, ANY_CORE, 0), 0)
        .unwrap();
    scheduler
        .submit(with(Priority::Normal, 0b010, 0), 1)
        .unwrap();
    scheduler
        .submit(with(Priority::High, ANY_CORE, 7), 2)
        .unwrap();
    scheduler
        .submit(with(Priority::High, ANY_CORE, 8), 3)
        .unwrap();
    scheduler
        .submit(with(Priority::High, ANY_CORE, 7), 4)
        .unwrap();
    assert_eq!(run(&mut scheduler, 0, 0, MS), Some(2));
    assert_eq!(run(&mut scheduler, 0, 0, MS), Some(4), "same affinity");
    assert_eq!(run(&mut scheduler, 0, 0, MS), Some(3));
    assert_eq!(
        run(&mut scheduler, 0, 0, MS),
        Some(0),
        "job 1 is not for core 0"
    );
    assert_eq!(run(&mut scheduler, 2, 0, MS), None);
    assert_eq!(run(&mut scheduler, 1, 0, MS), Some(1));
}

#[test]
fn cores_leave_and_their_jobs_are_discarded() {
    let mut scheduler = with_cores(2);
    let client = scheduler.add_client().unwrap();
    let only = Spec {
        cores: 0b10,
        ..spec(client)
    };
    scheduler.submit(only, 5).unwrap();
    scheduler.submit(spec(client), 6).unwrap();
    scheduler.accept(1, false);
    assert_eq!(scheduler.claim(1), None, "a leaving core takes nothing");
    assert!(scheduler.reserve(1));
    assert!(!scheduler.reserve(1));
    scheduler.remove_core(1);
    scheduler.cancel_stranded();
    assert_eq!(scheduler.next_cancelled().unwrap().token, 5);
    assert_eq!(scheduler.next_cancelled(), None);
    assert_eq!(run(&mut scheduler, 0, 0, MS), Some(6));
}

#[test]
fn a_full_scheduler_gives_the_job_back() {
    let mut scheduler = Scheduler::new(1, 1).unwrap();
    let client = scheduler.add_client().unwrap();
    assert_eq!(scheduler.add_client(), None);
    scheduler.submit(spec(client), 1).unwrap();
    assert_eq!(scheduler.submit(spec(client), 2), Err(2));
    assert!(!scheduler.promise(client, 1, 10));
}

#[test]
fn promised_slots_are_kept() {
    let mut scheduler: Scheduler<u32> = Scheduler::new(8, 2).unwrap();
    let greedy = scheduler.add_client().unwrap();
    let modest = scheduler.add_client().unwrap();
    assert!(
        scheduler.promise(greedy, 6, 4),
        "one large submission passes"
    );
    assert!(!scheduler.promise(modest, 3, 4), "two are left");
    assert!(scheduler.promise(modest, 2, 4));
    scheduler.renege(2);
    for token in 0..6 {
        scheduler.submit(spec(greedy), token).unwrap();
    }
    assert!(!scheduler.promise(greedy, 1, 4), "over its limit");
    assert!(scheduler.promise(modest, 2, 4));
}

#[test]
fn a_closing_client_runs_nothing_more() {
    let mut scheduler = with_cores(1);
    let client = scheduler.add_client().unwrap();
    let waiting = scheduler
        .submit(
            Spec {
                waits: 1,
                ..spec(client)
            },
            1,
        )
        .unwrap();
    scheduler.submit(spec(client), 2).unwrap();
    scheduler.submit(spec(client), 3).unwrap();
    scheduler.claim(0).unwrap();
    scheduler.started(0, 0);
    scheduler.close_client(client);
    assert_eq!(scheduler.next_cancelled().unwrap().token, 3);
    assert_eq!(scheduler.waiting_of(client), Some(&1));
    assert_eq!(scheduler.satisfy(waiting, false), Release::Cancelled);
    assert_eq!(scheduler.next_cancelled().unwrap().token, 1);
    scheduler.task_done(0, MS);
    assert_eq!(scheduler.finish(0, MS).unwrap().token, 2);
    assert!(scheduler.remove_client(client));
}
