// SPDX-License-Identifier: GPL-2.0-only
//! Safe types over C interfaces that the `kernel` crate does not cover yet.
//!
//! All of the module's unsafe code is here. Each file covers one subsystem and knows nothing of the
//! NPU, so that it could move into the `kernel` crate.

pub(crate) mod coredump;
pub(crate) mod drm;
pub(crate) mod fence;
pub(crate) mod gem;
mod gem_mmap;
pub(crate) mod interrupt;
pub(crate) mod iommu;
pub(crate) mod irq_lock;
pub(crate) mod mmio;
pub(crate) mod platform;
pub(crate) mod power;
pub(crate) mod print;
pub(crate) mod resv;
pub(crate) mod syncobj;
pub(crate) mod task;
pub(crate) mod uapi;
pub(crate) mod versions;
pub(crate) mod work;

/// C interfaces that `kernel::bindings` does not have, generated when the module is built.
#[allow(
    dead_code,
    improper_ctypes,
    missing_docs,
    non_camel_case_types,
    non_upper_case_globals,
    unreachable_pub,
    unsafe_op_in_unsafe_fn,
    unused_imports,
    clippy::all
)]
mod bindings {
    use kernel::bindings::*;
    use kernel::ffi;

    include!(env!("FERRITE_BINDINGS"));
}
