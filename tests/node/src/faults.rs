//! Which calls fail. The calls of a process are numbered from 0; each has a name. A job counts as a
//! call of its own when it ends.
//!
//! A process that cannot call these functions, since it has the library from `LD_PRELOAD`, can be told
//! by variables of the environment: `FERRITE_FAKE_FAIL=NUMBER:ERRNO` is [`fail`], and
//! `FERRITE_FAKE_LOG` names a file to which the name of each call is written.

use std::fs::File;
use std::io::Write;
use std::sync::{Mutex, MutexGuard, PoisonError};

#[derive(Default)]
struct State {
    calls: Vec<&'static str>,
    fail: Option<(usize, i32)>,
    log: Option<File>,
}

static STATE: Mutex<Option<State>> = Mutex::new(None);

fn state() -> MutexGuard<'static, Option<State>> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn of_environment() -> State {
    let fail = std::env::var("FERRITE_FAKE_FAIL").ok().and_then(|text| {
        let (number, errno) = text.split_once(':')?;
        Some((number.parse().ok()?, errno.parse().ok()?))
    });
    let log = std::env::var_os("FERRITE_FAKE_LOG").and_then(|path| File::create(path).ok());
    State {
        calls: Vec::new(),
        fail,
        log,
    }
}

/// Counts from 0 again, and lets the call `number` fail with `errno`; `None` for no failure.
pub fn fail(number_and_errno: Option<(usize, i32)>) {
    *state() = Some(State {
        fail: number_and_errno,
        ..State::default()
    });
}

/// Names of the calls since [`fail`].
pub fn calls() -> Vec<&'static str> {
    state()
        .as_ref()
        .map_or_else(Vec::new, |state| state.calls.clone())
}

/// Counts a call; `Err` with the error number if it is to fail.
pub(crate) fn call(name: &'static str) -> Result<(), i32> {
    let mut state = state();
    let state = state.get_or_insert_with(of_environment);
    let number = state.calls.len();
    state.calls.push(name);
    if let Some(log) = &mut state.log {
        // The test that reads the log finds out what is missing.
        let _ = writeln!(log, "{name}");
    }
    match state.fail {
        Some((at, errno)) if at == number => Err(errno),
        _ => Ok(()),
    }
}
