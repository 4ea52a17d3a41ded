//! Words for people on standard error, from a library that is a guest in its process.
#![allow(unsafe_code)]

use nix::errno::Errno;
use nix::libc;
use nix::unistd::write;
use std::mem::MaybeUninit;
use std::ptr;

/// Writes `line` and a line break to standard error, as far as that is possible: a full disk or a
/// reader that has gone is no error of what the line is about. Unlike `eprintln!` this does not
/// panic, takes no lock that a forked child could find taken, and raises no `SIGPIPE`.
pub fn say(line: &str) {
    let line = format!("{line}\n");
    let mut rest = line.as_bytes();
    let stderr = std::io::stderr();
    without_sigpipe(|| {
        while !rest.is_empty() {
            match write(&stderr, rest) {
                Ok(written) if written > 0 => rest = &rest[written..],
                Err(Errno::EINTR) => {}
                Ok(_) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    });
}

/// Keeps from the process the signal of a write whose reader has gone: by default it ends the process.
fn without_sigpipe(work: impl FnOnce() -> Result<(), Errno>) {
    let mut sigpipe = MaybeUninit::uninit();
    let mut before = MaybeUninit::uninit();
    let mut pending = MaybeUninit::uninit();
    // SAFETY: the functions fill in the sets that they are given first, and read only filled ones; the
    // mask is that of this thread, and is put back.
    unsafe {
        libc::sigemptyset(sigpipe.as_mut_ptr());
        libc::sigaddset(sigpipe.as_mut_ptr(), libc::SIGPIPE);
        libc::sigemptyset(pending.as_mut_ptr());
        libc::sigpending(pending.as_mut_ptr());
        let others = libc::sigismember(pending.as_ptr(), libc::SIGPIPE) == 1;
        libc::pthread_sigmask(libc::SIG_BLOCK, sigpipe.as_ptr(), before.as_mut_ptr());
        if work() == Err(Errno::EPIPE) && !others {
            let now = libc::timespec {
                tv_sec: 0,
                tv_nsec: 0,
            };
            // Takes the signal of the write, if there is one: a process may ignore it.
            libc::sigtimedwait(sigpipe.as_ptr(), ptr::null_mut(), &now);
        }
        libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), ptr::null_mut());
    }
}
