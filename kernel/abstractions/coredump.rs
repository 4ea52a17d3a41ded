// SPDX-License-Identifier: GPL-2.0-only
//! Device core dumps.
//!
//! C header: [`include/linux/devcoredump.h`](srctree/include/linux/devcoredump.h)

use super::{
    bindings as c,
    platform::Device, //
};
use kernel::{
    fmt,
    prelude::*,
    str::CString, //
};

/// A dump in the making.
pub(crate) struct Dump(VVec<u8>);

impl Dump {
    /// An empty dump.
    pub(crate) fn new() -> Result<Self> {
        Ok(Dump(VVec::with_capacity(4096, GFP_KERNEL)?))
    }

    /// Adds text.
    pub(crate) fn line(&mut self, args: fmt::Arguments<'_>) -> Result {
        let text = CString::try_from_fmt(args)?;
        Ok(self.0.extend_from_slice(text.to_bytes(), GFP_KERNEL)?)
    }

    /// Shows the dump in the device's sysfs folder, until it is read or some minutes have passed.
    pub(crate) fn submit(self, device: &Device) {
        let (data, len, _) = self.0.into_raw_parts();
        // SAFETY: The device is valid. The dump's memory is from `vmalloc`, and is given away.
        unsafe { c::ferrite_coredump(device.as_raw_device(), data.cast(), len) }
    }
}
