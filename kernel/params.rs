// SPDX-License-Identifier: GPL-2.0-only
//! Module parameters, within sane limits.

use crate::abstractions::versions::parameter;
use crate::module_parameters;

/// Milliseconds that a task may take.
pub(crate) fn timeout_ms() -> u32 {
    parameter(&module_parameters::timeout_ms).clamp(1, 60_000)
}

/// Milliseconds that an idle core stays powered.
pub(crate) fn autosuspend_ms() -> u32 {
    parameter(&module_parameters::autosuspend_ms).clamp(1, 60_000)
}

/// Share of the machine's memory that buffers may take.
pub(crate) fn memory_percent() -> u64 {
    parameter(&module_parameters::memory_percent)
        .clamp(1, 100)
        .into()
}
