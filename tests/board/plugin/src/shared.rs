//! What the cores of a board share.

use std::num::NonZeroU64;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::kicks::Kicks;
use crate::port::Broken;

/// Counts over all cores, and errors that come by count.
#[derive(Default)]
pub struct Shared {
    kicks: AtomicU64,
    running: AtomicU64,
    most: AtomicU64,
    injected: AtomicU64,
    dma_errors: Option<NonZeroU64>,
    hang: Kicks,
    iommu_resets: AtomicU64,
    iommu_errors: Kicks,
}

impl Shared {
    /// With a DMA error in each job of a multiple of `dma_errors`.
    pub fn new(dma_errors: Option<NonZeroU64>) -> Self {
        Self {
            dma_errors,
            ..Self::default()
        }
    }

    /// With kicks that hang.
    pub fn hanging(self, hang: Kicks) -> Self {
        Self { hang, ..self }
    }

    /// With resets of IOMMUs that do not happen.
    pub fn without_iommu_resets(self, iommu_errors: Kicks) -> Self {
        Self {
            iommu_errors,
            ..self
        }
    }

    /// An IOMMU is told to reset itself: whether it does.
    pub fn iommu_resets(&self) -> bool {
        let reset = self.iommu_resets.fetch_add(1, Ordering::Relaxed) + 1;
        !self.iommu_errors.contains(reset)
    }

    /// A kick starts: whether it is to hang, or memory is to fail it, reads and writes by turns.
    pub fn start(&self) -> Option<Broken> {
        let running = self.running.fetch_add(1, Ordering::Relaxed) + 1;
        self.most.fetch_max(running, Ordering::Relaxed);
        let kick = self.kicks.fetch_add(1, Ordering::Relaxed) + 1;
        if self.hang.contains(kick) {
            return Some(Broken::Core);
        }
        let every = self.dma_errors?.get();
        if !kick.is_multiple_of(every) {
            return None;
        }
        let turn = self.injected.fetch_add(1, Ordering::Relaxed);
        Some(if turn.is_multiple_of(2) {
            Broken::Reads
        } else {
            Broken::Writes
        })
    }

    /// A kick has ended.
    pub fn end(&self) {
        self.running.fetch_sub(1, Ordering::Relaxed);
    }

    /// Most cores that worked at one time.
    pub fn most_at_once(&self) -> u64 {
        self.most.load(Ordering::Relaxed)
    }

    /// DMA errors that were made.
    pub fn injected(&self) -> u64 {
        self.injected.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_come_by_count() {
        let shared = Shared::new(NonZeroU64::new(3));
        let broken: Vec<_> = (0..7)
            .map(|_| {
                let broken = shared.start();
                shared.end();
                broken
            })
            .collect();
        let expected = [
            None,
            None,
            Some(Broken::Reads),
            None,
            None,
            Some(Broken::Writes),
            None,
        ];
        assert_eq!(broken, expected);
        assert_eq!((shared.injected(), shared.most_at_once()), (2, 1));
    }

    #[test]
    fn kicks_hang_by_number() {
        let hang = "2".parse().unwrap_or_default();
        let shared = Shared::new(None).hanging(hang);
        let broken = [(); 3].map(|()| shared.start());
        assert_eq!(broken, [None, Some(Broken::Core), None]);
    }

    #[test]
    fn iommus_fail_by_number() {
        let shared = Shared::new(None).without_iommu_resets("2-3".parse().unwrap_or_default());
        let done = [(); 4].map(|()| shared.iommu_resets());
        assert_eq!(done, [true, false, false, true]);
    }

    #[test]
    fn the_most_at_once_is_kept() {
        let shared = Shared::new(None);
        assert_eq!((shared.start(), shared.start()), (None, None));
        shared.end();
        shared.end();
        assert_eq!((shared.start(), shared.most_at_once()), (None, 2));
    }
}
