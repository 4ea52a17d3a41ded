// SPDX-License-Identifier: GPL-2.0-only
//! Module parameters, within sane limits.

use crate::abstractions::versions::parameter;
use crate::module_parameters;
use crate::policy::schedule::Patience;

/// Budgets of tasks that a chain may take as a whole, on hardware that does not show its progress.
const CHAIN_TASKS: u64 = 20;

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

/// Whether what a client left in a core's buffer is overwritten before the next one has the core.
pub(crate) fn scrub() -> bool {
    parameter(&module_parameters::scrub) != 0
}

/// Megahertz of the clock while cores work; 0 leaves it as the device tree has it.
pub(crate) fn clock_mhz() -> u64 {
    parameter(&module_parameters::clock_mhz).min(2000).into()
}

/// How long cores wait for tasks.
pub(crate) fn patience() -> Patience {
    let task_ns = u64::from(timeout_ms()) * 1_000_000;
    Patience {
        task_ns,
        chain_ns: task_ns * CHAIN_TASKS,
    }
}
