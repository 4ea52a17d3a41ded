// SPDX-License-Identifier: GPL-2.0-only
//! The address allocator against a naive model.

use ferrite_policy::iova::{Allocator, Error, PAGE, Range};
use proptest::prelude::*;

const WINDOW: Range = Range {
    start: PAGE,
    len: 64 * PAGE,
};

proptest! {
    #[test]
    fn ranges_never_overlap_and_all_memory_returns(
        steps in prop::collection::vec((any::<bool>(), 1u64..20 * PAGE, any::<prop::sample::Index>()), 1..200)
    ) {
        let mut space = Allocator::new(WINDOW).unwrap();
        let mut live: Vec<Range> = Vec::new();
        for (allocate, len, which) in steps {
            if allocate || live.is_empty() {
                match space.allocate(len) {
                    Ok(range) => {
                        prop_assert_eq!(range.start % PAGE, 0);
                        prop_assert!(range.len >= len && range.len < len + PAGE);
                        prop_assert!(range.start >= WINDOW.start && range.end() <= WINDOW.end());
                        prop_assert!(live.iter().all(|o| range.end() <= o.start || o.end() <= range.start));
                        live.push(range);
                    }
                    Err(error) => {
                        prop_assert_eq!(error, Error::Full);
                        // Full means that no gap between live ranges is long enough.
                        let need = len.next_multiple_of(PAGE);
                        let mut sorted = live.clone();
                        sorted.sort_by_key(|r| r.start);
                        let mut at = WINDOW.start;
                        for range in &sorted {
                            prop_assert!(range.start - at < need);
                            at = range.end();
                        }
                        prop_assert!(WINDOW.end() - at < need);
                    }
                }
            } else {
                space.free(live.swap_remove(which.index(live.len())));
            }
            let used: u64 = live.iter().map(|range| range.len).sum();
            prop_assert_eq!(space.free_bytes(), WINDOW.len - used);
            prop_assert_eq!(space.live(), live.len());
        }
        for range in live.drain(..) {
            space.free(range);
        }
        prop_assert_eq!(space.allocate(WINDOW.len).unwrap(), WINDOW);
    }
}

#[test]
fn absurd_lengths_are_full_not_overflow() {
    let mut space = Allocator::new(WINDOW).unwrap();
    assert_eq!(space.allocate(u64::MAX), Err(Error::Full));
    assert_eq!(space.allocate(WINDOW.len + 1), Err(Error::Full));
    assert_eq!(space.allocate(0).unwrap().len, PAGE);
}
