//! Some of a board's kicks, or of other things that are counted.

use std::str::FromStr;

/// Kicks counted from 1 over all cores: `3`, `3-5`, or `3-` for all from there on. None by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kicks {
    first: u64,
    last: u64,
}

impl Kicks {
    /// Whether kick `number` is one of them.
    pub fn contains(self, number: u64) -> bool {
        self.first > 0 && (self.first..=self.last).contains(&number)
    }
}

/// Text that names no kicks.
#[derive(Debug)]
pub struct NoKicks;

impl FromStr for Kicks {
    type Err = NoKicks;

    fn from_str(text: &str) -> Result<Self, NoKicks> {
        let number = |text: &str| text.parse::<u64>().map_err(|_| NoKicks);
        let (first, last) = match text.split_once('-') {
            None => (number(text)?, number(text)?),
            Some((first, "")) => (number(first)?, u64::MAX),
            Some((first, last)) => (number(first)?, number(last)?),
        };
        match first >= 1 && first <= last {
            true => Ok(Kicks { first, last }),
            false => Err(NoKicks),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read() {
        let some: Kicks = "2-3".parse().unwrap();
        assert_eq!(
            [1, 2, 3, 4].map(|n| some.contains(n)),
            [false, true, true, false]
        );
        let all: Kicks = "2-".parse().unwrap();
        assert!(all.contains(u64::MAX) && !all.contains(1));
        assert!(!Kicks::default().contains(0));
        for text in ["", "0", "x", "3-2", "-", "1-x"] {
            assert!(text.parse::<Kicks>().is_err(), "{text}");
        }
    }
}
