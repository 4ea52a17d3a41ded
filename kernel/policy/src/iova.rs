// SPDX-License-Identifier: GPL-2.0-only
//! Allocation of device addresses within one client's address space.

use super::store::{OutOfMemory, Store};

/// Bytes in a page of the NPU's IOMMU.
pub const PAGE: u64 = 4096;

/// A range of device addresses, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// First address.
    pub start: u64,
    /// Length.
    pub len: u64,
}

impl Range {
    /// First address after the range.
    pub const fn end(&self) -> u64 {
        self.start + self.len
    }
}

/// Why an allocation failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// No gap is long enough.
    Full,
    /// No memory for the bookkeeping.
    OutOfMemory,
}

impl From<OutOfMemory> for Error {
    fn from(_: OutOfMemory) -> Self {
        Error::OutOfMemory
    }
}

/// The free gaps of an address space.
///
/// # Invariants
///
/// `gaps` is sorted, its ranges are page aligned, not empty, and neither overlap nor touch. Its
/// capacity is above the number of live allocations, so that giving a range back cannot fail.
#[derive(Debug)]
pub struct Allocator {
    gaps: Store<Range>,
    live: usize,
}

impl Allocator {
    /// An address space of the whole pages in `window`.
    pub fn new(window: Range) -> Result<Self, OutOfMemory> {
        let start = window.start.next_multiple_of(PAGE);
        let end = window.end() / PAGE * PAGE;
        let mut gaps = Store::with_capacity(8)?;
        if start < end {
            gaps.push(Range {
                start,
                len: end - start,
            })?;
        }
        Ok(Allocator { gaps, live: 0 })
    }

    /// Takes the lowest gap that holds `len` bytes, rounded up to whole pages.
    pub fn allocate(&mut self, len: u64) -> Result<Range, Error> {
        let len = len
            .max(1)
            .checked_next_multiple_of(PAGE)
            .ok_or(Error::Full)?;
        // Room for one more gap than there will be allocations: between, before and after them.
        let needed = self.live + 2;
        if let Some(more) = needed.checked_sub(self.gaps.len()) {
            self.gaps.reserve(more)?;
        }
        let index = self
            .gaps
            .iter()
            .position(|gap| gap.len >= len)
            .ok_or(Error::Full)?;
        let gap = &mut self.gaps[index];
        let range = Range {
            start: gap.start,
            len,
        };
        gap.start += len;
        gap.len -= len;
        if gap.len == 0 {
            self.gaps.remove(index);
        }
        self.live += 1;
        Ok(range)
    }

    /// Gives back a range that [`allocate`](Self::allocate) returned.
    pub fn free(&mut self, range: Range) {
        let at = self.gaps.partition_point(|gap| gap.start < range.start);
        let joins_next = self
            .gaps
            .get(at)
            .is_some_and(|next| range.end() == next.start);
        let joins_previous = at > 0 && self.gaps[at - 1].end() == range.start;
        match (joins_previous, joins_next) {
            (true, true) => {
                let next = self.gaps[at];
                self.gaps[at - 1].len += range.len + next.len;
                self.gaps.remove(at);
            }
            (true, false) => self.gaps[at - 1].len += range.len,
            (false, true) => {
                self.gaps[at].start = range.start;
                self.gaps[at].len += range.len;
            }
            // By the type invariant there is room.
            (false, false) => drop(self.gaps.insert_within(at, range)),
        }
        self.live -= 1;
    }

    /// Number of ranges that were allocated and not freed.
    pub fn live(&self) -> usize {
        self.live
    }

    /// Bytes that are free.
    pub fn free_bytes(&self) -> u64 {
        self.gaps.iter().map(|gap| gap.len).sum()
    }
}
