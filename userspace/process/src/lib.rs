//! Being a guest in a process that forks: what belongs to one process and not to its children.
//!
//! `fork()` copies memory and shares open files, but copies no thread other than the caller's. A
//! thread pool that the parent started is only memory in the child: work handed to it never runs.
//! An open device node in the child is the parent's: closing a buffer there closes the parent's
//! buffer. So things that threads or open files stand behind note their [`Process`], and
//! [`parallel`] starts threads anew in each process.

mod environment;
pub mod files;
pub mod memory;
pub mod parallel;
mod pool;
mod process;
mod speech;

pub use environment::variable;
pub use process::{Process, opened_before_fork};
pub use speech::say;
