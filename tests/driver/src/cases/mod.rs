//! The cases: what a driver must do, each a weakness of mainline's C driver unless it says otherwise.

mod arguments;
mod bounds;
mod buffers;
mod chain;
mod faults;
mod isolation;
mod life;
mod long;
mod memory;
mod order;
mod query;
mod rig;
mod share;
mod submit;
mod sw_sync;
mod wait;

pub use chain::linked;
pub use life::bound;
pub use rig::{Fail, Jobs, Rig, check, submission, sync};
pub use wait::wait;

/// A case.
pub struct Case {
    /// Name on the command line.
    pub name: &'static str,
    /// What a driver must do.
    pub expects: &'static str,
    /// Says whether it does.
    pub run: fn() -> Result<(), Fail>,
}

/// All cases.
pub fn all() -> Vec<Case> {
    [
        submit::CASES,
        faults::CASES,
        life::CASES,
        memory::CASES,
        query::CASES,
        buffers::CASES,
        wait::CASES,
        order::CASES,
        share::CASES,
        chain::CASES,
        arguments::CASES,
        isolation::CASES,
        long::CASES,
        bounds::CASES,
    ]
    .into_iter()
    .flatten()
    .map(|&(name, expects, run)| Case { name, expects, run })
    .collect()
}
