//! Device nodes of both NPUs for tests on any machine.
//!
//! The library has the C library's functions `open64`, `ioctl`, `mmap` and `poll`. A program that is
//! linked with it, or has it in `LD_PRELOAD`, can open [`ROCKET`] and [`ETNAVIV`], nodes that answer as
//! mainline's drivers do, and [`FERRITE`], which answers as ours: their jobs run on the models of the NPUs.
//! [`FERRITE`]'s NPU has a memory of its own, as one that does not see the CPU's caches. As with DRM, handles belong to
//! the open file, which forked children share.
//!
//! Any of the calls on such a node can be made to fail, and any job: see [`faults`].

mod etnaviv;
pub mod faults;
mod ferrite;
mod interpose;
mod objects;
mod rocket;

pub use interpose::link;

/// Path of a node of mainline's driver of the RK3588 NPU.
pub const ROCKET: &str = "/dev/accel/accel1000";
/// Path of a node of our driver of the RK3588 NPU.
pub const FERRITE: &str = "/dev/accel/accel1001";
/// Path of a node of mainline's driver of the A311D NPU.
pub const ETNAVIV: &str = "/dev/dri/renderD1000";
