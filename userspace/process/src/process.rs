//! Identity of the current process.
#![allow(unsafe_code)]

use nix::libc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Calls of `fork()` that lie between the first process that asked and this one.
static FORKS: AtomicU64 = AtomicU64::new(0);

/// The process in which a value was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process {
    /// A process may get the number of an ancestor that has ended, so the number alone is not enough.
    forks: u64,
    /// libc's `fork()` counts; a bare system call gives away only the number.
    id: u32,
}

impl Process {
    /// The calling process.
    pub fn current() -> Process {
        count_forks();
        Process {
            forks: FORKS.load(Ordering::Relaxed),
            id: std::process::id(),
        }
    }

    /// Whether this is the calling process.
    pub fn is_current(self) -> bool {
        self == Process::current()
    }

    /// Its number.
    pub fn id(self) -> u32 {
        self.id
    }
}

/// The error message for a use of `what`, which `process` made, in one of its forked children.
pub fn opened_before_fork(what: &str, process: Process) -> String {
    format!(
        "{what} was opened before fork(), by process {}, and only that process can use it: open the device \
         and load the model (in TFLite: make delegate and interpreter) in this process, {}",
        process.id(),
        std::process::id(),
    )
}

/// Makes [`FORKS`] count.
fn count_forks() {
    static COUNTS: AtomicBool = AtomicBool::new(false);
    extern "C" fn in_child() {
        FORKS.fetch_add(1, Ordering::Relaxed);
    }
    if COUNTS.load(Ordering::Acquire) {
        return;
    }
    // Threads that get here together count each fork several times, which does no harm. A lock, in
    // contrast, could be held by another thread when the process forks.
    // SAFETY: the handler does nothing but an atomic addition, and its code stays mapped: the library
    // is linked with `nodelete`.
    let failed = unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
    // Without memory for the handler, process numbers have to do.
    COUNTS.store(failed == 0, Ordering::Release);
}
