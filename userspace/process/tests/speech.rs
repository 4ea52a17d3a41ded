//! Standard error that cannot be written to.
#![allow(unsafe_code)]

use ferrite_process::say;
use ferrite_testing::fork::in_child;
use nix::libc;
use std::fs::OpenOptions;
use std::io::Read;
use std::os::fd::AsRawFd;

/// Makes `file` this process's standard error.
fn become_stderr(file: &impl AsRawFd) {
    // SAFETY: both descriptors are open.
    assert_eq!(unsafe { libc::dup2(file.as_raw_fd(), 2) }, 2);
}

#[test]
fn nothing_that_is_wrong_with_standard_error_matters() {
    in_child(|| {
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        become_stderr(&full);
        say("to a full disk");
    });
    in_child(|| {
        // Rust programs ignore it, most other hosts do not.
        // SAFETY: the default action needs no handler.
        unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        become_stderr(&writer);
        say("to a pipe without a reader");
        say("and again");
    });
    in_child(|| {
        // SAFETY: nothing else in this child uses it.
        unsafe { libc::close(2) };
        say("to nothing");
    });
}

#[test]
fn lines_arrive() {
    let (mut reader, writer) = std::io::pipe().unwrap();
    in_child(|| {
        become_stderr(&writer);
        say("one");
        say("two");
    });
    drop(writer);
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    assert_eq!(text, "one\ntwo\n");
}
