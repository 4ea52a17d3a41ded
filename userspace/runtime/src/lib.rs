//! Runs executables: devices, buffers, submission, and CPU kernels for what stays on the CPU.

pub mod cpu;
pub mod device;
pub mod layout;
mod memory;
pub mod requant;
pub mod selftest;
pub mod session;

pub use memory::OutOfMemory;
pub use session::Session;

/// Changes with the sources of the compiler.
pub const COMPILER_FINGERPRINT: &str = env!("FERRITE_COMPILER_FINGERPRINT");
