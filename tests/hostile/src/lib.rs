//! Hostile models. [`model`] makes a file from a seed: a graph of the kinds that hosts and converters
//! produce and of some that they should not, with values of its fields changed, with its fields moved,
//! or with its bytes damaged. [`try_out`] reads, compiles and runs a file everywhere, and says what was
//! wrong with the outcome.

mod graphs;
mod mutate;
mod outcome;

pub use outcome::{Outcome, try_out};

use fastrand::Rng;

/// What is done to a graph's file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Damage {
    /// Nothing: the graph is what it is.
    None,
    /// One to four values of fields are others.
    Fields,
    /// Some bytes are others, or the file is cut.
    Bytes,
}

/// The file of a seed.
pub fn model(seed: u64) -> (Damage, Vec<u8>) {
    let mut rng = Rng::with_seed(seed);
    let mut table = graphs::graph(&mut rng).table();
    let damage = match rng.u32(..10) {
        0..3 => Damage::None,
        3..9 => Damage::Fields,
        _ => Damage::Bytes,
    };
    if damage == Damage::Fields {
        for _ in 0..rng.u32(1..=4) {
            mutate::fields(&mut rng, &mut table);
        }
    }
    let mut file = table.file(b"TFL3");
    if damage == Damage::Bytes {
        mutate::bytes(&mut rng, &mut file);
    }
    (damage, file)
}
