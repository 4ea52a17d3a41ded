//! A campaign of faults: each is made, and then the next job must be right.

mod allocations;
mod chains;
mod kinds;
mod module;

use std::process::ExitCode;

use crate::cases::{Fail, Rig};
use crate::device::Device;
use crate::fuzz::Random;
use kinds::Kind;

/// Makes `faults` faults of the kinds named (all but those that need preparations, without names).
/// One JSON object a fault, and one for all of them.
pub fn run(faults: u64, seed: u64, names: &[String]) -> ExitCode {
    let mut kinds: Vec<Kind> = Vec::new();
    for name in names {
        match Kind::named(name) {
            Some(kind) => kinds.push(kind),
            None => {
                eprintln!("no fault {name:?}; there are: {}", Kind::names());
                return ExitCode::from(2);
            }
        }
    }
    if kinds.is_empty() {
        kinds = Kind::USUAL.to_vec();
    }
    let mut random = Random::new(seed);
    let mut counts = vec![0u64; kinds.len()];
    let mut result = works();
    let mut done = 0;
    while done < faults && result.is_ok() {
        let pick = random.below(kinds.len() as u64) as usize;
        // Said before it is made: a kernel that stops says nothing afterwards.
        println!(
            "{{\"fault\": {done}, \"kind\": \"{}\"}}",
            kinds[pick].name()
        );
        result = kinds[pick].make(&mut random).and_then(|()| works());
        counts[pick] += 1;
        done += 1;
    }
    let why = result
        .as_ref()
        .err()
        .map_or(String::new(), ToString::to_string);
    let counts: Vec<String> = kinds
        .iter()
        .zip(&counts)
        .map(|(kind, count)| format!("\"{}\": {count}", kind.name()))
        .collect();
    println!(
        "{{\"faults\": {done}, \"seed\": {seed}, \"kinds\": {{{}}}, \"why\": {why:?}}}",
        counts.join(", ")
    );
    if result.is_ok() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Fails each allocation and each copy of each call in turn. One JSON object a call.
pub fn run_allocations() -> ExitCode {
    let result = works().and_then(|()| allocations::fail_each());
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            println!("{{\"why\": {:?}}}", why.to_string());
            ExitCode::FAILURE
        }
    }
}

fn works() -> Result<(), Fail> {
    Rig::new(&Device::open()?)?.check_works()
}
