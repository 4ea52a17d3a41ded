//! Loops whose turns run on all processors, in any process.

use crate::pool::run;
use rayon::prelude::*;

pub use crate::pool::threads;

/// Whether there is one thread, to which work would only be carried.
fn alone() -> bool {
    threads() == 1
}

/// Calls `work` with the number and the elements of each chunk of `len` elements; the last chunk may
/// be shorter.
pub fn chunks_mut<T: Send>(data: &mut [T], len: usize, work: impl Fn(usize, &mut [T]) + Sync) {
    chunks_mut_grouped(data, len, 1, work);
}

/// As [`chunks_mut`]; at least `group` chunks in a row go to one thread, as far as there are as many.
pub fn chunks_mut_grouped<T: Send>(
    data: &mut [T],
    len: usize,
    group: usize,
    work: impl Fn(usize, &mut [T]) + Sync,
) {
    if data.len() <= len.saturating_mul(group) || alone() {
        let chunks = data.chunks_mut(len).enumerate();
        return chunks.for_each(|(index, chunk)| work(index, chunk));
    }
    run(|| {
        data.par_chunks_mut(len)
            .with_min_len(group)
            .enumerate()
            .for_each(|(index, chunk)| work(index, chunk));
    });
}

/// What `work` makes of each number below `count`, in order.
pub fn map<R: Send>(count: usize, work: impl Fn(usize) -> R + Sync) -> Vec<R> {
    if count <= 1 || alone() {
        return (0..count).map(work).collect();
    }
    run(|| (0..count).into_par_iter().map(&work).collect())
}

/// Calls `work` with each number below `count`. After a failure not all of the others are started.
///
/// # Errors
/// One of the errors of `work`, not always the first.
pub fn try_each<E: Send>(
    count: usize,
    work: impl Fn(usize) -> Result<(), E> + Sync,
) -> Result<(), E> {
    if count <= 1 || alone() {
        return (0..count).try_for_each(work);
    }
    run(|| (0..count).into_par_iter().try_for_each(&work))
}
