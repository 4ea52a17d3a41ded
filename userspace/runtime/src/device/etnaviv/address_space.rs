//! Device addresses of one open node: the driver leaves the choice to its clients.

use std::collections::BTreeMap;

/// Page of the MMU.
pub const PAGE: u64 = 4096;
/// The driver keeps the last page to itself.
const END: u64 = 0xffff_f000;

/// Which addresses are taken.
#[derive(Debug)]
pub struct AddressSpace {
    start: u64,
    /// Ends of the taken ranges, by start.
    taken: BTreeMap<u64, u64>,
    /// Where the search begins. The driver unmaps a buffer some time after its last job, so an
    /// address that has just become free may not be so for the kernel yet.
    next: u64,
}

impl AddressSpace {
    /// An empty one of all addresses from `start` on.
    pub fn new(start: u64) -> AddressSpace {
        let start = start.next_multiple_of(PAGE);
        AddressSpace {
            start,
            taken: BTreeMap::new(),
            next: start,
        }
    }

    /// Takes `len` bytes, rounded up to pages; `None` if no gap is large enough.
    pub fn take(&mut self, len: u64) -> Option<u64> {
        let len = len.max(1).checked_next_multiple_of(PAGE)?;
        let at = self
            .gap(self.next, len)
            .or_else(|| self.gap(self.start, len))?;
        self.taken.insert(at, at + len);
        self.next = at + len;
        Some(at)
    }

    /// First gap of `len` bytes from `from` on.
    fn gap(&self, from: u64, len: u64) -> Option<u64> {
        let mut at = from;
        for (&start, &end) in &self.taken {
            if end <= at {
                continue;
            }
            if start >= at.checked_add(len)? {
                break;
            }
            at = end;
        }
        (at.checked_add(len)? <= END).then_some(at)
    }

    /// Gives back what starts at `address`.
    pub fn release(&mut self, address: u64) {
        self.taken.remove(&address);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_pages_apart_and_come_back_last() {
        let mut space = AddressSpace::new(0x40_0001);
        assert_eq!(space.take(1), Some(0x40_1000));
        assert_eq!(space.take(4097), Some(0x40_2000));
        assert_eq!(space.take(0), Some(0x40_4000));
        space.release(0x40_1000);
        assert_eq!(space.take(PAGE), Some(0x40_5000));
        let rest = END - 0x40_6000;
        assert_eq!(space.take(rest + 1), None);
        assert_eq!(space.take(rest), Some(0x40_6000));
        assert_eq!(space.take(PAGE), Some(0x40_1000));
        assert_eq!(space.take(PAGE), None);
        space.release(0x40_2000);
        assert_eq!(space.take(2 * PAGE), Some(0x40_2000));
        assert_eq!(space.take(u64::MAX), None);
    }
}
