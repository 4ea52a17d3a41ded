//! Variables of the environment.
#![allow(unsafe_code)]

use nix::libc;
use std::ffi::OsString;

/// The value of a variable. None if it is not set, empty, or not to be trusted: a program that has
/// more rights than its caller (setuid, setgid, capabilities) has its environment from the caller.
pub fn variable(name: &str) -> Option<OsString> {
    // SAFETY: the function only looks into what the kernel gave to the process.
    let secure = unsafe { libc::getauxval(libc::AT_SECURE) } != 0;
    if secure {
        return None;
    }
    std::env::var_os(name).filter(|value| !value.is_empty())
}
