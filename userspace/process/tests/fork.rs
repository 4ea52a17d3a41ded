//! Loops run in forked children, and in children of those, after their parents have run some.

use ferrite_process::{Process, parallel};
use ferrite_testing::fork::in_child;

/// More turns than threads, each of which needs a thread for a while.
fn sum_of_squares() -> usize {
    let squares = parallel::map(1000, |i| {
        std::hint::black_box((0..1000).sum::<usize>());
        i * i
    });
    squares.iter().sum()
}

fn all_loops_work() {
    assert_eq!(sum_of_squares(), 332_833_500);
    let mut data = [0; 1001];
    parallel::chunks_mut(&mut data, 10, |chunk, values| values.fill(chunk));
    assert!(data.iter().enumerate().all(|(i, &chunk)| chunk == i / 10));
    parallel::chunks_mut_grouped(&mut data, 10, 7, |_, values| values.fill(1));
    assert_eq!(data.iter().sum::<usize>(), 1001);
    let odd = |i: usize| if i.is_multiple_of(2) { Ok(()) } else { Err(i) };
    assert!(parallel::try_each(100, odd).is_err_and(|i| i % 2 == 1));
    assert_eq!(parallel::try_each(100, |_| Ok::<(), ()>(())), Ok(()));
    assert!(parallel::threads() >= 1);
    assert!(parallel::map(0, |i| i).is_empty());
}

#[test]
fn children_and_their_children_have_threads_of_their_own() {
    all_loops_work();
    in_child(|| {
        all_loops_work();
        in_child(all_loops_work);
        all_loops_work();
    });
    for _ in 0..20 {
        in_child(all_loops_work);
    }
    all_loops_work();
}

#[test]
fn loops_of_several_threads_share_the_pool() {
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(all_loops_work);
        }
    });
}

#[test]
fn loops_can_be_nested() {
    let sums = parallel::map(20, |_| sum_of_squares());
    assert_eq!(sums, [332_833_500; 20]);
}

#[test]
fn children_are_other_processes() {
    let parent = Process::current();
    assert!(parent.is_current());
    assert_eq!(parent.id(), std::process::id());
    in_child(|| {
        assert!(!parent.is_current());
        let child = Process::current();
        assert!(child.is_current());
        in_child(|| assert!(!child.is_current() && !parent.is_current()));
    });
}
