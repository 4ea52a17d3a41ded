// SPDX-License-Identifier: GPL-2.0-only
//! The one clock of all cores.
//!
//! It may only be changed while the power domain is on: setting the rate of an island without power
//! hangs the machine. So the first core that has got power raises it, and the last one that is about
//! to lose it parks it at the rate that it had.

/// The clock, and how many cores run on it.
#[derive(Debug)]
pub struct Clock {
    parked: u64,
    wanted: u64,
    users: u32,
}

impl Clock {
    /// A clock that has `parked` hertz, and is to have `wanted` while cores work; 0 leaves it alone.
    pub const fn new(parked: u64, wanted: u64) -> Self {
        Clock {
            parked,
            wanted: if wanted == 0 { parked } else { wanted },
            users: 0,
        }
    }

    /// A core has got power. Returns the rate to set, if it must be.
    pub fn raise(&mut self) -> Option<u64> {
        self.users += 1;
        (self.users == 1 && self.wanted != self.parked).then_some(self.wanted)
    }

    /// The rate could not be set, or is another one in truth: what it is from now on.
    pub fn settle(&mut self, rate: u64) {
        self.wanted = rate;
    }

    /// A core is about to lose power. Returns the rate to set, if it must be.
    pub fn park(&mut self) -> Option<u64> {
        self.users = self.users.saturating_sub(1);
        (self.users == 0 && self.wanted != self.parked).then_some(self.parked)
    }

    /// Hertz while cores work.
    pub fn rate(&self) -> u64 {
        self.wanted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_core_raises_and_the_last_one_parks() {
        let mut clock = Clock::new(200, 600);
        assert_eq!(clock.raise(), Some(600));
        assert_eq!((clock.raise(), clock.park()), (None, None));
        assert_eq!((clock.raise(), clock.raise()), (None, None));
        assert_eq!((clock.park(), clock.park()), (None, None));
        assert_eq!(clock.park(), Some(200));
        assert_eq!(clock.raise(), Some(600));
    }

    #[test]
    fn a_clock_that_is_right_is_left_alone() {
        for wanted in [0, 200] {
            let mut clock = Clock::new(200, wanted);
            assert_eq!((clock.raise(), clock.park()), (None, None));
            assert_eq!(clock.rate(), 200);
        }
    }

    #[test]
    fn one_that_cannot_be_set_is_not_tried_again() {
        let mut clock = Clock::new(200, 600);
        assert_eq!(clock.raise(), Some(600));
        clock.settle(200);
        assert_eq!((clock.park(), clock.raise()), (None, None));
        // One that is rounded is parked all the same.
        let mut clock = Clock::new(200, 600);
        clock.raise();
        clock.settle(594);
        assert_eq!((clock.rate(), clock.park()), (594, Some(200)));
    }
}
