// SPDX-License-Identifier: GPL-2.0-only
//! Driver for the NPU of the Rockchip RK3588.
//!
//! One DRM accel node stands for up to three cores. User space submits jobs, each a list of tasks,
//! each a list of register commands that a core fetches and runs. The ABI is that of mainline's
//! `rocket` driver, and so is the driver's name; see `uapi/`.
//!
//! | File | Subject |
//! |---|---|
//! | `npu` | the device and what its lock protects |
//! | `core`, `hw` | cores: probing, power, registers |
//! | `client`, `space`, `buffer` | open files, their address spaces and buffers |
//! | `ioctl`, `request`, `submit`, `batch`, `release` | from system calls to jobs |
//! | `dispatch`, `recovery`, `scrub` | from jobs to cores and back, well or not, and from client to client |
//! | `observe` | fdinfo and debugfs |
//! | `policy` | decisions: scheduling, dependencies, addresses, validation |
//! | `abstractions` | safe types over C interfaces: all unsafe code but that of `release` |
#![deny(unsafe_op_in_unsafe_fn)]

mod abstractions;
mod batch;
mod buffer;
mod client;
mod core;
mod dispatch;
mod hw;
mod ioctl;
mod npu;
mod observe;
mod params;
mod policy;
mod recovery;
mod release;
mod request;
mod scrub;
mod space;
mod submit;
mod uapi;

use abstractions::platform;
use kernel::prelude::*;

module! {
    type: Module,
    name: "ferrite",
    authors: ["The Ferrite authors"],
    description: "Driver for the NPU of the Rockchip RK3588",
    license: "GPL v2",
    params: {
        timeout_ms: u32 {
            default: 500,
            description: "Milliseconds that a task may take before its core is reset",
        },
        autosuspend_ms: u32 {
            default: 200,
            description: "Milliseconds that an idle core stays powered",
        },
        memory_percent: u32 {
            default: 50,
            description: "Share of the machine's memory that buffers may take, in percent",
        },
        clock_mhz: u32 {
            default: 0,
            description: "Megahertz of the NPU's clock while it works (0: as the device tree has it)",
        },
        scrub: u32 {
            default: 1,
            description: "Whether a core's buffer is overwritten between clients (1), or not (0)",
        },
    },
}

/// The module. Fields are dropped in order: first the driver, with all cores.
struct Module {
    _driver: platform::Registration<core::Core>,
    _facade: Facade,
}

/// The device that stands for the NPU as a whole: the parent of the DRM device.
struct Facade(platform::Facade);

impl Drop for Facade {
    fn drop(&mut self) {
        core::REGISTRY.lock().facade = None;
    }
}

impl kernel::Module for Module {
    fn init(module: &'static ThisModule) -> Result<Self> {
        // SAFETY: Once, before anything uses it.
        unsafe { core::REGISTRY.init() };
        // Mainline's driver has another name for it, so that both can be loaded.
        let facade = Facade(platform::Facade::new(c"ferrite-npu")?);
        core::REGISTRY.lock().facade = Some(facade.0.device());
        Ok(Module {
            _driver: platform::Registration::new(module)?,
            _facade: facade,
        })
    }
}
