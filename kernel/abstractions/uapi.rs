// SPDX-License-Identifier: GPL-2.0-only
//! The ABI's structs may be copied to and from user space byte by byte.

use crate::uapi::{
    ferrite,
    rocket, //
};
use kernel::transmute::{AsBytes, FromBytes};

macro_rules! plain {
    ($($type:ty),* $(,)?) => {$(
        // SAFETY: It has only integers, so any bytes are a value.
        unsafe impl FromBytes for $type {}
        // SAFETY: It has only integers and no padding, as `ferrite-uapi` asserts.
        unsafe impl AsBytes for $type {}
    )*};
}

plain!(
    rocket::CreateBo,
    rocket::PrepBo,
    rocket::FiniBo,
    rocket::Task,
    rocket::Job,
    rocket::Submit,
    ferrite::Query,
    ferrite::DeviceInfo,
    ferrite::CoreInfo,
    ferrite::CreateBuffer,
    ferrite::BufferInfo,
    ferrite::Task,
    ferrite::Job,
    ferrite::Sync,
    ferrite::Submit,
    ferrite::Wait,
    ferrite::Prepare,
    ferrite::Finish,
);
