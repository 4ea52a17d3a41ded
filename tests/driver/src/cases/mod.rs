//! The cases: what a driver must do, each a weakness of mainline's C driver unless it says otherwise.

mod bounds;
mod extensions;
mod faults;
mod isolation;
mod life;
mod long;
mod memory;
mod rig;
mod submit;
mod sw_sync;

pub use extensions::{linked, wait};
pub use life::bound;
pub use rig::{Fail, Jobs, Rig, check, submission, sync};

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
        extensions::CASES,
        isolation::CASES,
        long::CASES,
        bounds::CASES,
    ]
    .into_iter()
    .flatten()
    .map(|&(name, expects, run)| Case { name, expects, run })
    .collect()
}
