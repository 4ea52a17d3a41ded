//! Runs executables: devices, buffers, submission, and CPU kernels for what stays on the CPU.

pub mod cpu;
