//! Errors of the command and how it ends.

use ferrite_compiler::CompileError;
use ferrite_compiler::file::FileError;
use ferrite_npy::{NpyError, NpzError};
use ferrite_runtime::device::DeviceError;
use ferrite_runtime::session::RunError;
use std::path::{Path, PathBuf};

/// Why a command did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The arguments do not go together, or not with the model.
    #[error("{0}")]
    Misuse(String),
    /// A file cannot be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file's content is not what it should be.
    #[error("{}: {cause}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        cause: String,
    },
    /// The model could not be compiled.
    #[error("{}: {cause}", model.display())]
    Compile {
        /// The model.
        model: PathBuf,
        /// What the compiler said.
        cause: String,
    },
    /// The device could not be used.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// The run failed.
    #[error(transparent)]
    Run(#[from] RunError),
    /// Cases of the selftest failed.
    #[error("{failed} of {all} cases failed")]
    Selftest {
        /// Failed ones.
        failed: usize,
        /// Those that ran.
        all: usize,
    },
    /// Outputs differ by more than was allowed.
    #[error("the largest difference is {found}, {allowed} is allowed")]
    Different {
        /// Largest difference.
        found: f64,
        /// What `--max-diff` allows.
        allowed: f64,
    },
}

impl CliError {
    /// Exit code: 1 failed, 2 misuse.
    pub fn code(&self) -> u8 {
        match self {
            CliError::Misuse(_) => 2,
            _ => 1,
        }
    }

    /// For `map_err` after file operations.
    pub fn io(path: &Path) -> impl FnOnce(std::io::Error) -> CliError + '_ {
        move |source| CliError::Io {
            path: path.to_owned(),
            source,
        }
    }

    fn content(path: &Path, cause: impl ToString) -> CliError {
        CliError::Content {
            path: path.to_owned(),
            cause: cause.to_string(),
        }
    }

    /// For `map_err` after compiling.
    pub fn compile(model: &Path) -> impl FnOnce(CompileError) -> CliError + '_ {
        move |e| CliError::Compile {
            model: model.to_owned(),
            cause: e.to_string(),
        }
    }

    /// For `map_err` after reading an array.
    pub fn npy(path: &Path) -> impl FnOnce(NpyError) -> CliError + '_ {
        move |e| CliError::content(path, e)
    }

    /// For `map_err` after reading an archive.
    pub fn npz(path: &Path) -> impl Fn(NpzError) -> CliError + '_ {
        move |e| CliError::content(path, e)
    }

    /// For `map_err` after reading a compiled model.
    pub fn file(path: &Path) -> impl FnOnce(FileError) -> CliError + '_ {
        move |e| CliError::content(path, e)
    }

    /// For other content that is wrong.
    pub fn wrong(path: &Path, cause: impl ToString) -> CliError {
        CliError::content(path, cause)
    }
}
