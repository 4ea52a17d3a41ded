//! Forked children of a test.
#![allow(unsafe_code)]

use nix::libc;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

/// How long a child may take: far more than any of them needs, also on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// Runs `work` in a forked child and waits for it.
///
/// # Panics
/// If the child panics, is killed, or takes more than two minutes: then it hangs, and is killed.
pub fn in_child(work: impl FnOnce()) {
    // SAFETY: the child has the caller's thread alone. It may still allocate: glibc's and musl's
    // `fork` put the allocator in order. Other locks are what the tests are about.
    let child = unsafe { libc::fork() };
    assert!(child >= 0, "fork: {}", std::io::Error::last_os_error());
    if child == 0 {
        let panicked = catch_unwind(AssertUnwindSafe(work)).is_err();
        // SAFETY: ends the child at once, without the test runner's own clean-up.
        unsafe { libc::_exit(i32::from(panicked)) }
    }
    let deadline = Instant::now() + PATIENCE;
    let mut status = 0;
    loop {
        // SAFETY: `status` outlives the call.
        match unsafe { libc::waitpid(child, &mut status, libc::WNOHANG) } {
            0 if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(2)),
            0 => {
                // SAFETY: the child has not been waited for, so the number is still its own.
                unsafe {
                    libc::kill(child, libc::SIGKILL);
                    libc::waitpid(child, &mut status, 0);
                }
                panic!("the forked child hangs");
            }
            ended => {
                assert_eq!(ended, child, "{}", std::io::Error::last_os_error());
                break;
            }
        }
    }
    assert_eq!(status, 0, "wait status of the forked child");
}
