// SPDX-License-Identifier: GPL-2.0-only
//! Who may have how much of what all share: files, jobs, and memory that nothing else can use.
//!
//! Limits hold for the NPU. Within them an owner, that is a user, may take a multiple of what it
//! leaves to others: there is always something left for one who comes later, and nothing is set
//! aside for those who do not come.

use super::queue::Slab;
use super::store::OutOfMemory;

/// What is shared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Open files.
    Files,
    /// Jobs that have not ended.
    Jobs,
    /// Bytes of buffers, and of what the driver keeps for a client.
    Bytes,
}

const KINDS: usize = 3;
/// How many times as much as it leaves an owner may take, by kind.
const GREED: [u64; KINDS] = [1, 1, 8];

/// An owner's number, valid as long as it has something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OwnerId(u32);

#[derive(Debug)]
struct Owner {
    user: u32,
    used: [u64; KINDS],
}

/// All limits, and who has what.
#[derive(Debug)]
pub struct Shares {
    limits: [u64; KINDS],
    used: [u64; KINDS],
    owners: Slab<Owner>,
}

impl Shares {
    /// Nothing taken yet.
    pub fn new(files: u32, jobs: u32, bytes: u64) -> Result<Self, OutOfMemory> {
        Ok(Shares {
            limits: [files.into(), jobs.into(), bytes],
            used: [0; KINDS],
            // Those without files may have memory left.
            owners: Slab::new(files.saturating_mul(2))?,
        })
    }

    /// Opens a file for a user; `None` if that would be too many. Undo with [`give`](Self::give).
    pub fn open(&mut self, user: u32) -> Option<OwnerId> {
        let known = self.owners.iter().find(|(_, owner)| owner.user == user);
        let id = match known.map(|(id, _)| id) {
            Some(id) => id,
            None => {
                let used = [0; KINDS];
                self.owners.insert(Owner { user, used }).ok()?
            }
        };
        let owner = OwnerId(id);
        if self.take(owner, Kind::Files, 1) {
            return Some(owner);
        }
        self.give(owner, Kind::Files, 0);
        None
    }

    /// Takes `amount` for an owner; false if that would be too much.
    pub fn take(&mut self, owner: OwnerId, kind: Kind, amount: u64) -> bool {
        let at = kind as usize;
        let Some(owner) = self.owners.get_mut(owner.0) else {
            return false;
        };
        let Some(left) = (self.limits[at] - self.used[at]).checked_sub(amount) else {
            return false;
        };
        let own = owner.used[at] + amount;
        // Who has no job gets what it asks for, lest it wait for ever.
        let alone = kind == Kind::Jobs && owner.used[at] == 0;
        if own > left.saturating_mul(GREED[at]) && !alone {
            return false;
        }
        owner.used[at] = own;
        self.used[at] += amount;
        true
    }

    /// Gives back what was taken.
    pub fn give(&mut self, id: OwnerId, kind: Kind, amount: u64) {
        let at = kind as usize;
        let Some(owner) = self.owners.get_mut(id.0) else {
            return;
        };
        owner.used[at] -= amount;
        self.used[at] -= amount;
        if owner.used == [0; KINDS] {
            self.owners.remove(id.0);
        }
    }

    /// What all owners have.
    pub fn used(&self, kind: Kind) -> u64 {
        self.used[kind as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take_all(shares: &mut Shares, owner: OwnerId, kind: Kind, each: u64) -> u64 {
        (0..).take_while(|_| shares.take(owner, kind, each)).count() as u64 * each
    }

    #[test]
    fn an_owner_leaves_something_to_others() {
        let mut shares = Shares::new(1024, 4096, 9000).unwrap();
        let [first, second, third] = [1, 2, 3].map(|user| shares.open(user).unwrap());
        assert_eq!(take_all(&mut shares, first, Kind::Jobs, 1), 2048);
        assert_eq!(take_all(&mut shares, second, Kind::Jobs, 1), 1024);
        assert!(shares.take(third, Kind::Jobs, 512));
        assert_eq!(take_all(&mut shares, first, Kind::Bytes, 10), 8000);
        assert!(shares.take(second, Kind::Bytes, 800));
        assert!(!shares.take(third, Kind::Bytes, 300));
        shares.give(first, Kind::Bytes, 8000);
        assert_eq!(shares.used(Kind::Bytes), 800);
        assert!(shares.take(third, Kind::Bytes, 300));
        assert!(!shares.take(third, Kind::Bytes, u64::MAX - 300));
    }

    #[test]
    fn files_of_one_user_are_counted_together() {
        let mut shares = Shares::new(8, 8, 8).unwrap();
        let files: alloc::vec::Vec<_> = (0..10).filter_map(|_| shares.open(7)).collect();
        assert_eq!(files.len(), 4);
        assert!(files.iter().all(|&owner| owner == files[0]));
        assert!(shares.open(8).is_some());
        for &owner in &files {
            shares.give(owner, Kind::Files, 1);
        }
        assert_eq!(shares.used(Kind::Files), 1);
        // What is left of a user without files is still its own.
        let owner = shares.open(7).unwrap();
        assert!(shares.take(owner, Kind::Bytes, 2));
        shares.give(owner, Kind::Files, 1);
        assert_eq!(shares.open(7), Some(owner));
    }

    #[test]
    fn one_who_has_none_gets_a_large_submission() {
        let mut shares = Shares::new(8, 100, 8).unwrap();
        let [first, second] = [1, 2].map(|user| shares.open(user).unwrap());
        assert!(shares.take(first, Kind::Jobs, 60));
        assert!(!shares.take(first, Kind::Jobs, 1));
        assert!(shares.take(second, Kind::Jobs, 40));
        assert!(!shares.take(second, Kind::Jobs, 1));
    }
}
