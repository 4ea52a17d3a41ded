//! The cases: what a driver must do, each a weakness of mainline's C driver unless it says otherwise.

mod extensions;
mod faults;
mod life;
mod memory;
mod rig;
mod submit;

pub use life::bound;
pub use rig::{Fail, Jobs, Rig, check};

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
    ]
    .into_iter()
    .flatten()
    .map(|&(name, expects, run)| Case { name, expects, run })
    .collect()
}
