//! When the last of several jobs ends that share some cores.

/// Nanoseconds from the start of the first to the end of the last of jobs that take `durations`, each on
/// the core that is free first, in their order, and after those that it waits for.
pub fn makespan<'a>(durations: &[u64], after: impl Fn(usize) -> &'a [usize], cores: usize) -> u64 {
    let mut free = vec![0; cores.max(1)];
    let mut ends: Vec<u64> = Vec::with_capacity(durations.len());
    for (job, duration) in durations.iter().enumerate() {
        let ready = after(job).iter().filter_map(|&before| ends.get(before));
        let ready = ready.copied().max().unwrap_or(0);
        // A core that can start at once keeps others free for later.
        let core = (0..free.len()).min_by_key(|&core| (free[core].max(ready), core));
        let core = core.unwrap_or(0);
        let end = free[core].max(ready) + duration;
        free[core] = end;
        ends.push(end);
    }
    ends.into_iter().max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::makespan;

    #[test]
    fn jobs_run_side_by_side_as_far_as_they_may() {
        let after: [&[usize]; 5] = [&[], &[0], &[0], &[0], &[1, 2, 3]];
        let of = |cores| makespan(&[10, 4, 6, 5, 3], |job| after[job], cores);
        assert_eq!(of(1), 28);
        assert_eq!(of(3), 10 + 6 + 3);
        assert_eq!(of(2), 10 + 9 + 3);
        assert_eq!(makespan(&[], |_| &[], 3), 0);
    }
}
