//! Runs executables: devices, buffers, submission, and CPU kernels for what stays on the CPU.

pub mod device;
pub mod layout;
mod patches;
pub mod requant;
pub mod selftest;
pub mod session;
pub mod trace;

pub use ferrite_cpu as cpu;
pub use ferrite_cpu::memory::OutOfMemory;
pub use session::Session;

/// Changes with the sources of the compiler.
pub const COMPILER_FINGERPRINT: &str = env!("FERRITE_COMPILER_FINGERPRINT");
