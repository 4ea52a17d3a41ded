//! The threads of the current process.
#![allow(unsafe_code)]

use crate::Process;
use rayon::{ThreadPool, ThreadPoolBuilder};
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

struct Pool {
    process: Process,
    threads: ThreadPool,
}

/// The pool that was started last, by this process or by an ancestor. Pools are never freed: threads
/// may be at work in one, and what a child inherits of one cannot be joined. There is no lock here
/// that another thread could hold when the process forks.
static CURRENT: AtomicPtr<Pool> = AtomicPtr::new(ptr::null_mut());

/// The pool of this process, started if need be; `None` if the system has no threads left.
fn current() -> Option<&'static ThreadPool> {
    let known = CURRENT.load(Ordering::Acquire);
    // SAFETY: null, or a pool that is never freed.
    if let Some(pool) = unsafe { known.as_ref() }
        && pool.process.is_current()
    {
        return Some(&pool.threads);
    }
    let threads = ThreadPoolBuilder::new()
        .thread_name(|index| format!("ferrite-{index}"))
        .build()
        .ok()?;
    let process = Process::current();
    let made = Box::into_raw(Box::new(Pool { process, threads }));
    match CURRENT.compare_exchange(known, made, Ordering::AcqRel, Ordering::Acquire) {
        // SAFETY: just made, and never freed from here on.
        Ok(_) => Some(unsafe { &(*made).threads }),
        Err(theirs) => {
            // SAFETY: `made` was not published, so this is its only owner. `theirs` is a pool that
            // another thread of this process has published meanwhile.
            unsafe {
                drop(Box::from_raw(made));
                Some(&(*theirs).threads)
            }
        }
    }
}

/// Runs `work` where rayon's iterators use the threads of this process.
pub fn run<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    match current() {
        Some(threads) => threads.install(work),
        None => {
            if rayon::current_thread_index().is_none() {
                // A pool of no other thread than this one: everything runs here.
                let here = ThreadPoolBuilder::new().num_threads(1).use_current_thread();
                std::mem::forget(here.build());
            }
            work()
        }
    }
}

/// Number of threads in the pool of this process.
pub fn threads() -> usize {
    current().map_or(1, ThreadPool::current_num_threads)
}
