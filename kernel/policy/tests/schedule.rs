// SPDX-License-Identifier: GPL-2.0-only
//! The scheduler as the driver uses it.

use ferrite_policy::schedule::*;

const MS: u64 = 1_000_000;

/// For budgets of 1 ms a task.
const PATIENCE: Patience = Patience {
    task_ns: MS,
    chain_ns: 10 * MS,
};

/// The core's task ends; the next one needs nothing of it.
fn task_done(scheduler: &mut Scheduler<u32>, core: usize, now: u64) -> Step {
    scheduler.task_done(core, now, || PATIENCE, |_, _| true)
}

/// The claimed job starts in its own address space.
fn start(scheduler: &mut Scheduler<u32>, core: usize, client: ClientId, now: u64) {
    scheduler.set_attached(core, Some(client));
    assert!(scheduler.started(core, now));
}

fn spec(client: ClientId) -> Spec {
    Spec {
        client,
        priority: Priority::Normal,
        cores: ANY_CORE,
        affinity: 0,
        waits: 0,
        tasks: 1,
        chained: false,
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
    start(scheduler, core, claim.client, now);
    assert_eq!(task_done(scheduler, core, now + ns), Step::Done);
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
        start(&mut scheduler, core, client, 0);
    }
    assert_eq!(scheduler.running(1), Some((&1, 0)));
    task_done(&mut scheduler, 1, MS);
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
    let overdue = |scheduler: &mut Scheduler<u32>, now| scheduler.overdue(0, now, PATIENCE, 0);
    assert_eq!(overdue(&mut scheduler, 0), Overdue::Idle);
    start(&mut scheduler, 0, client, 0);
    assert_eq!(overdue(&mut scheduler, MS / 4), Overdue::After(MS * 3 / 4));
    assert_eq!(task_done(&mut scheduler, 0, MS / 2), Step::Task(1));
    assert_eq!(overdue(&mut scheduler, MS), Overdue::After(MS / 2));
    assert_eq!(task_done(&mut scheduler, 0, MS), Step::Task(2));
    assert!(matches!(overdue(&mut scheduler, 2 * MS), Overdue::Now(_)));
    assert!(scheduler.recover(0));
    assert_eq!(
        task_done(&mut scheduler, 0, 2 * MS),
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
        start(&mut scheduler, core, claim.client, now);
        now += lengths[token as usize];
        task_done(&mut scheduler, core, now);
        scheduler.finish(core, now).unwrap();
        scheduler.submit(spec(claim.client), token).unwrap();
    }
    for client in &clients {
        let share = scheduler.usage_of(*client, now).busy_ns as f64 / now as f64;
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
        start(&mut scheduler, 0, claim.client, turn * MS / 10);
        task_done(&mut scheduler, 0, (turn + 1) * MS / 10);
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
    start(&mut scheduler, 0, client, 0);
    scheduler.close_client(client);
    assert_eq!(scheduler.next_cancelled().unwrap().token, 3);
    assert_eq!(scheduler.waiting_of(client), Some(&1));
    assert_eq!(scheduler.satisfy(waiting, false), Release::Cancelled);
    assert_eq!(scheduler.next_cancelled().unwrap().token, 1);
    task_done(&mut scheduler, 0, MS);
    assert_eq!(scheduler.finish(0, MS).unwrap().token, 2);
    assert!(scheduler.remove_client(client));
}

/// A core runs the first of `tasks` tasks of a client's job.
fn with_long_job(tasks: u32) -> (Scheduler<u32>, ClientId) {
    let mut scheduler = with_cores(1);
    let client = scheduler.add_client().unwrap();
    let job = Spec {
        tasks,
        ..spec(client)
    };
    scheduler.submit(job, 1).unwrap();
    scheduler.claim(0).unwrap();
    start(&mut scheduler, 0, client, 0);
    (scheduler, client)
}

#[test]
fn a_closing_client_s_job_stops_between_tasks() {
    let (mut scheduler, client) = with_long_job(65_536);
    assert_eq!(task_done(&mut scheduler, 0, MS), Step::Task(1));
    scheduler.close_client(client);
    assert_eq!(task_done(&mut scheduler, 0, 2 * MS), Step::Stop);
    let finished = scheduler.finish(0, 2 * MS).unwrap();
    assert_eq!((finished.token, finished.busy_ns), (1, 2 * MS));
    assert!(scheduler.remove_client(client));
}

#[test]
fn a_leaving_core_hands_its_job_on() {
    let (mut scheduler, client) = with_long_job(3);
    scheduler.add_core(1);
    scheduler.accept(0, false);
    assert_eq!(task_done(&mut scheduler, 0, MS), Step::Yield);
    assert!(scheduler.reserve(0), "the core is free");
    scheduler.claim(1).unwrap();
    start(&mut scheduler, 1, client, 5 * MS);
    assert_eq!(scheduler.running(1), Some((&1, 1)), "with the second task");
    assert_eq!(task_done(&mut scheduler, 1, 6 * MS), Step::Task(2));
    assert_eq!(task_done(&mut scheduler, 1, 7 * MS), Step::Done);
    assert_eq!(scheduler.finish(1, 7 * MS).unwrap().busy_ns, 3 * MS);
    assert_eq!(
        scheduler.usage_of(client, 7 * MS),
        Usage {
            busy_ns: 3 * MS,
            jobs: 1
        }
    );
}

#[test]
fn tasks_that_belong_together_have_some_time_to_end() {
    let (mut scheduler, _) = with_long_job(100);
    scheduler.accept(0, false);
    let step = |scheduler: &mut Scheduler<u32>, now| {
        scheduler.task_done(0, now, || PATIENCE, |_, _| false)
    };
    assert_eq!(step(&mut scheduler, MS), Step::Task(1));
    assert_eq!(step(&mut scheduler, 2 * MS - 1), Step::Task(2));
    assert_eq!(step(&mut scheduler, 2 * MS), Step::Stop);
    assert_eq!(scheduler.finish(0, 2 * MS).unwrap().token, 1);
}

#[test]
fn a_long_job_lets_others_in() {
    let (mut scheduler, client) = with_long_job(1000);
    let other = scheduler.add_client().unwrap();
    scheduler.submit(spec(client), 3).unwrap();
    assert_eq!(
        task_done(&mut scheduler, 0, 20 * MS),
        Step::Task(1),
        "its own jobs wait"
    );
    scheduler.submit(spec(other), 2).unwrap();
    assert_eq!(task_done(&mut scheduler, 0, 21 * MS), Step::Yield);
    assert_eq!(run(&mut scheduler, 0, 21 * MS, MS), Some(2));
    scheduler.claim(0).unwrap();
    start(&mut scheduler, 0, client, 22 * MS);
    assert_eq!(
        scheduler.running(0),
        Some((&1, 2)),
        "the begun job comes first"
    );
    // One that is more urgent needs no turn.
    let urgent = Spec {
        priority: Priority::High,
        ..spec(client)
    };
    scheduler.submit(urgent, 4).unwrap();
    assert_eq!(
        task_done(&mut scheduler, 0, 22 * MS + SLICE_NS),
        Step::Yield
    );
    assert_eq!(run(&mut scheduler, 0, 30 * MS, MS), Some(4));
}

#[test]
fn a_core_runs_nothing_outside_of_the_job_s_address_space() {
    let mut scheduler = with_cores(1);
    let clients = [
        scheduler.add_client().unwrap(),
        scheduler.add_client().unwrap(),
    ];
    scheduler.submit(spec(clients[0]), 1).unwrap();
    assert!(scheduler.claim(0).unwrap().switch);
    assert!(!scheduler.started(0, 0), "attached to nothing");
    scheduler.set_attached(0, Some(clients[1]));
    assert!(!scheduler.started(0, 0), "attached to another client's");
    start(&mut scheduler, 0, clients[0], 0);
    assert_eq!(task_done(&mut scheduler, 0, MS), Step::Done);
}

/// A core runs a chain of `tasks` tasks.
fn with_chain(tasks: u32) -> (Scheduler<u32>, ClientId) {
    let mut scheduler = with_cores(1);
    let client = scheduler.add_client().unwrap();
    let job = Spec {
        tasks,
        chained: true,
        ..spec(client)
    };
    scheduler.submit(job, 1).unwrap();
    scheduler.claim(0).unwrap();
    start(&mut scheduler, 0, client, 0);
    (scheduler, client)
}

#[test]
fn a_chain_ends_with_one_interrupt() {
    let (mut scheduler, _) = with_chain(50);
    assert_eq!(task_done(&mut scheduler, 0, MS), Step::Done);
    assert_eq!(scheduler.finish(0, MS).unwrap().token, 1);
}

#[test]
fn a_chain_has_a_budget_of_its_own() {
    let (mut scheduler, _) = with_chain(50);
    // The counter never moves.
    assert_eq!(
        scheduler.overdue(0, 9 * MS, PATIENCE, 0),
        Overdue::After(MS)
    );
    assert_eq!(
        scheduler.overdue(0, 9 * MS, PATIENCE, 0),
        Overdue::After(MS)
    );
    assert!(matches!(
        scheduler.overdue(0, 10 * MS, PATIENCE, 0),
        Overdue::Now(_)
    ));
}

#[test]
fn a_chain_that_counts_hangs_at_a_task() {
    let (mut scheduler, _) = with_chain(50);
    assert_eq!(
        scheduler.overdue(0, 0, PATIENCE, 0),
        Overdue::After(10 * MS)
    );
    for task in 1..=20 {
        let overdue = scheduler.overdue(0, u64::from(task) * MS - 1, PATIENCE, task);
        assert_eq!(overdue, Overdue::After(MS), "task {task}");
    }
    assert!(matches!(
        scheduler.overdue(0, 21 * MS, PATIENCE, 20),
        Overdue::Now(_)
    ));
}

#[test]
fn a_counter_that_was_right_is_believed() {
    let (mut scheduler, client) = with_chain(50);
    scheduler.check_counter(0, || 49);
    assert_eq!(
        scheduler.overdue(0, MS, PATIENCE, 0),
        Overdue::After(9 * MS)
    );
    scheduler.check_counter(0, || 50);
    scheduler.check_counter(0, || panic!("read again"));
    assert_eq!(task_done(&mut scheduler, 0, 2 * MS), Step::Done);
    scheduler.finish(0, 2 * MS).unwrap();

    // Chains whose counter has moved since the start go on, and others hang.
    for (count, hangs) in [(20, false), (0, true)] {
        let job = Spec {
            tasks: 50,
            chained: true,
            ..spec(client)
        };
        scheduler.submit(job, 2).unwrap();
        scheduler.claim(0).unwrap();
        start(&mut scheduler, 0, client, 2 * MS);
        let overdue = scheduler.overdue(0, 3 * MS, PATIENCE, count);
        assert_eq!(matches!(overdue, Overdue::Now(_)), hangs, "{overdue:?}");
        assert_eq!(task_done(&mut scheduler, 0, 3 * MS), Step::Done);
        scheduler.finish(0, 3 * MS).unwrap();
    }
}

#[test]
fn a_chain_is_taken_away_when_its_client_closes() {
    let (mut scheduler, client) = with_chain(50);
    scheduler.close_client(client);
    assert_eq!(scheduler.overdue(0, MS, PATIENCE, 0), Overdue::After(MS));
    assert!(matches!(
        scheduler.overdue(0, 2 * MS, PATIENCE, 0),
        Overdue::Taken(_)
    ));
    assert!(scheduler.recover(0));
    assert_eq!(scheduler.finish(0, 2 * MS).unwrap().token, 1);
}

/// One step for each job: twice as many take at most some three times as long.
#[test]
fn cancelling_takes_time_in_proportion() {
    let time = |jobs: u32| {
        (0..5)
            .map(|_| {
                let mut scheduler: Scheduler<u32> = Scheduler::new(jobs, 1).unwrap();
                scheduler.add_core(0);
                let client = scheduler.add_client().unwrap();
                for token in 0..jobs {
                    scheduler.submit(spec(client), token).unwrap();
                }
                let start = std::time::Instant::now();
                scheduler.close_client(client);
                let took = start.elapsed();
                assert_eq!(scheduler.next_cancelled().unwrap().token, 0);
                took
            })
            .min()
            .unwrap()
    };
    let (few, many) = (time(4096), time(65_536));
    assert!(many < few * 64, "{few:?} for 4096 jobs, {many:?} for 65536");
}
