//! `libferrite_delegate.so`: runs parts of TFLite models on NPUs.
//!
//! Hosts load it as an external delegate: `load_delegate("libferrite_delegate.so", {...})` in
//! Python, `--external_delegate_path` in TFLite's tools. It takes the operators that
//! `ferrite info` places on the NPU, in as few partitions as the host makes of them, and leaves the
//! rest to TFLite. See [`options`] for what it can be told.

pub mod abi;
pub mod cache;
pub mod engine;
pub mod host;
pub mod import;
pub mod kernel;
mod kinds;
mod logger;
pub mod options;
pub mod params;
pub mod partition;
pub mod plugin;
