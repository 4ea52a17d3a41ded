// SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note OR MIT
//! The ABI that the Ferrite kernel driver and userspace share.
//!
//! [`rocket`] is the interface of mainline Linux, which the Ferrite driver implements without
//! change; [`etnaviv`] is that of mainline's driver of Vivante cores. [`drm`] has the few core DRM
//! calls that a client of an accel or render node needs.
//! All structs are plain data without padding; sizes and request numbers are asserted.
#![no_std]

pub mod drm;
pub mod etnaviv;
pub mod ferrite;
pub mod flags;
pub mod ioctl;
pub mod rocket;
pub mod sync;
