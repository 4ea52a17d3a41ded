//! Runs executables: devices, buffers, submission, and CPU kernels for what stays on the CPU.

pub mod cpu;
pub mod device;
pub mod layout;
pub mod requant;
pub mod selftest;
pub mod session;

pub use session::Session;
