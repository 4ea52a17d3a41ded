//! `.npz` archives: named arrays.

use crate::array::Array;
use crate::header::NpyError;
pub use crate::zip::ZipError;
use crate::zip::{self, Member};

/// Why an array of an archive cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum NpzError {
    #[error("{0}")]
    Archive(#[from] ZipError),
    #[error("member {member}: {error}")]
    Member { member: String, error: ZipError },
    #[error("array {array}: {error}")]
    Array { array: String, error: NpyError },
    #[error("there is no array {array}; there are {}", available.join(", "))]
    Absent {
        array: String,
        available: Vec<String>,
    },
}

/// An archive whose directory has been read; arrays are read when asked for.
#[derive(Clone, Debug)]
pub struct Npz<'a> {
    archive: &'a [u8],
    members: Vec<Member>,
}

impl<'a> Npz<'a> {
    /// Reads the directory of an archive.
    ///
    /// # Errors
    /// If it is damaged or of an unsupported kind.
    pub fn new(archive: &'a [u8]) -> Result<Self, NpzError> {
        let members = zip::directory(archive)?;
        Ok(Npz { archive, members })
    }

    /// Names of the arrays in the archive's order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.members
            .iter()
            .filter_map(|m| m.name.strip_suffix(".npy"))
    }

    /// Whether there is an array of this name.
    pub fn contains(&self, name: &str) -> bool {
        self.names().any(|n| n == name)
    }

    /// The array of this name.
    ///
    /// # Errors
    /// If there is none or it is damaged.
    pub fn get(&self, name: &str) -> Result<Array, NpzError> {
        let is_named = |m: &&Member| m.name.strip_suffix(".npy") == Some(name);
        let Some(member) = self.members.iter().find(is_named) else {
            return Err(NpzError::Absent {
                array: name.to_owned(),
                available: self.names().map(str::to_owned).collect(),
            });
        };
        let bytes = zip::extract(self.archive, member).map_err(|error| NpzError::Member {
            member: member.name.clone(),
            error,
        })?;
        Array::from_npy(&bytes).map_err(|error| NpzError::Array {
            array: name.to_owned(),
            error,
        })
    }

    /// Arrays `prefix0`, `prefix1`, ... up to the first that is absent.
    ///
    /// # Errors
    /// If one of them is damaged.
    pub fn numbered(&self, prefix: &str) -> Result<Vec<Array>, NpzError> {
        (0..)
            .map(|i| format!("{prefix}{i}"))
            .take_while(|name| self.contains(name))
            .map(|name| self.get(&name))
            .collect()
    }
}
