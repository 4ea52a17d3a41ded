// SPDX-License-Identifier: GPL-2.0-only
//! How much memory buffers may take: they are pinned, and nothing else can use it.

use core::sync::atomic::{AtomicU64, Ordering};

/// Memory in use, and how much may be.
#[derive(Debug)]
pub struct Memory {
    used: AtomicU64,
    limit: u64,
}

impl Memory {
    /// Nothing in use yet.
    pub const fn new(limit: u64) -> Self {
        Memory {
            used: AtomicU64::new(0),
            limit,
        }
    }

    /// Takes `bytes`; false if that would be too much.
    pub fn charge(&self, bytes: u64) -> bool {
        self.used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
                used.checked_add(bytes).filter(|&sum| sum <= self.limit)
            })
            .is_ok()
    }

    /// Gives back what was taken.
    pub fn release(&self, bytes: u64) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Bytes in use.
    pub fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn charges_end_at_the_limit() {
        let memory = Memory::new(100);
        assert!(memory.charge(60));
        assert!(!memory.charge(41));
        assert!(!memory.charge(u64::MAX));
        assert!(memory.charge(40));
        memory.release(60);
        assert_eq!(memory.used(), 40);
        assert!(memory.charge(60));
    }
}
