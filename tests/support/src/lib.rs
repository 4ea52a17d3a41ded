//! What the tests of several crates share: finding the reference models and cases, which are kept
//! outside of the repository, and reading them. Functions here panic: a test cannot go on.
#![deny(unsafe_code)]

pub mod cases;
pub mod flatbuffer;
pub mod fork;
pub mod models;
pub mod tflite;

use std::path::{Path, PathBuf};

pub use ferrite_npy::{Array, Npz};

/// The folder of reference models and cases: `FERRITE_SHARED`, or `shared` next to the repository.
/// `None`, with the reason printed, if there is none: the test then has nothing to check.
pub fn shared() -> Option<PathBuf> {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .expect("the crate is two folders deep");
    let folder = match std::env::var_os("FERRITE_SHARED") {
        Some(folder) => PathBuf::from(folder),
        None => repository.join("../shared"),
    };
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!(
        "skipped: no reference files at {} (set FERRITE_SHARED)",
        folder.display()
    );
    None
}

/// A file's bytes.
///
/// # Panics
/// If it cannot be read.
pub fn bytes(path: impl AsRef<Path>) -> Vec<u8> {
    let path = path.as_ref();
    std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The array of an `.npy` file.
///
/// # Panics
/// If it cannot be read.
pub fn npy(path: impl AsRef<Path>) -> Array {
    let path = path.as_ref();
    Array::from_npy(&bytes(path)).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn manifest<T: serde::de::DeserializeOwned>(path: &Path) -> T {
    serde_json::from_slice(&bytes(path)).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Bytes that look random, the same in each run.
pub fn noise() -> impl FnMut() -> u8 {
    let mut state = 1u32;
    move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    }
}
