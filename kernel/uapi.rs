// SPDX-License-Identifier: GPL-2.0-only
//! The ABI, shared with user space.

#[allow(dead_code, unreachable_pub)]
#[path = "../uapi/src/ferrite.rs"]
pub(crate) mod ferrite;
#[allow(dead_code, unreachable_pub)]
#[path = "../uapi/src/ioctl.rs"]
pub(crate) mod ioctl;
#[allow(dead_code, unreachable_pub)]
#[path = "../uapi/src/rocket.rs"]
pub(crate) mod rocket;
