//! NumPy arrays on disk: `.npy` files read and written, `.npz` archives (stored and deflated
//! members) read. Files may come from anywhere: lengths are checked before they are believed, and
//! memory stays within what a file of that size can hold.
#![deny(unsafe_code)]

mod array;
mod header;
mod npz;
mod zip;

pub use array::{Array, Element, ElementType};
pub use header::NpyError;
pub use npz::{Npz, NpzError, ZipError};
