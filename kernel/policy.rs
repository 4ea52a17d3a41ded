// SPDX-License-Identifier: GPL-2.0-only
//! The driver's decisions: the files of `policy/`, which the host builds and tests too.

// The tests use more than the driver does.
#![allow(dead_code, unreachable_pub)]

#[path = "policy/src/clock.rs"]
pub(crate) mod clock;
#[path = "policy/src/depend.rs"]
pub(crate) mod depend;
#[path = "policy/src/iova.rs"]
pub(crate) mod iova;
#[path = "policy/src/queue.rs"]
pub(crate) mod queue;
#[path = "policy/src/quota.rs"]
pub(crate) mod quota;
#[path = "policy/src/schedule.rs"]
pub(crate) mod schedule;
#[path = "policy/src/scrub.rs"]
pub(crate) mod scrub;
#[path = "store.rs"]
pub(crate) mod store;
#[path = "policy/src/seat.rs"]
mod seat;
#[path = "policy/src/terms.rs"]
pub(crate) mod terms;
#[path = "policy/src/validate.rs"]
pub(crate) mod validate;

use kernel::prelude::*;

impl From<validate::Error> for Error {
    fn from(error: validate::Error) -> Self {
        match error {
            validate::Error::TooMany { .. } | validate::Error::Unknown => E2BIG,
            validate::Error::OutOfBounds(_) => EFAULT,
            validate::Error::Empty
            | validate::Error::StructSize(_)
            | validate::Error::Misaligned(_)
            | validate::Error::TooLong(_)
            | validate::Error::Forward(_)
            | validate::Error::NoSuchCore(_)
            | validate::Error::Completion(_)
            | validate::Error::Flags(_)
            | validate::Error::Part => EINVAL,
        }
    }
}

impl From<iova::Error> for Error {
    fn from(error: iova::Error) -> Self {
        match error {
            iova::Error::Full => ENOSPC,
            iova::Error::OutOfMemory => ENOMEM,
        }
    }
}
