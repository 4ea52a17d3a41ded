//! The board's reset controller: one register, a bit for each line, low when asserted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::npu_core::NpuCore;
use crate::qemu::{Bql, Registers};

/// Lines of a core: srst_a and srst_h.
const LINES: u32 = 2;

/// Resets cores.
pub struct ResetController {
    lines: AtomicU32,
    cores: Vec<Arc<NpuCore>>,
}

impl ResetController {
    /// All lines released.
    pub fn new(cores: Vec<Arc<NpuCore>>) -> Self {
        Self {
            lines: AtomicU32::new(u32::MAX),
            cores,
        }
    }
}

impl Registers for ResetController {
    fn read(&self, _bql: &Bql, offset: u64) -> u32 {
        if offset == 0 {
            self.lines.load(Ordering::Relaxed)
        } else {
            0
        }
    }

    fn write(&self, bql: &Bql, offset: u64, value: u32) {
        if offset != 0 {
            return;
        }
        let before = self.lines.swap(value, Ordering::Relaxed);
        for (index, core) in (0..).zip(&self.cores) {
            let lines = ((1 << LINES) - 1) << (LINES * index);
            // The first line to be asserted resets the core; the other one changes nothing more.
            if before & lines == lines && value & lines != lines {
                core.reset(bql);
            }
        }
    }
}
