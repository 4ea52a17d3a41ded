// SPDX-License-Identifier: GPL-2.0-only
//! A fixed number of slots with first-in first-out lists through them.

use super::store::{OutOfMemory, Store};

const NONE: u32 = u32::MAX;

#[derive(Debug)]
struct Slot<V> {
    value: Option<V>,
    next: u32,
}

/// Slots for values. None of its methods but [`new`](Self::new) allocates.
#[derive(Debug)]
pub struct Slab<V> {
    slots: Store<Slot<V>>,
    free: u32,
    used: u32,
}

/// A list of slots. A slot may be in one list at a time.
#[derive(Clone, Copy, Debug)]
pub struct List {
    head: u32,
    tail: u32,
}

impl List {
    /// An empty list.
    pub const fn new() -> Self {
        List {
            head: NONE,
            tail: NONE,
        }
    }

    /// Whether nothing is in the list.
    pub const fn is_empty(&self) -> bool {
        self.head == NONE
    }
}

impl Default for List {
    fn default() -> Self {
        List::new()
    }
}

impl<V> Slab<V> {
    /// `capacity` free slots.
    pub fn new(capacity: u32) -> Result<Self, OutOfMemory> {
        let mut slots = Store::with_capacity(capacity as usize)?;
        for index in 0..capacity {
            slots.push_within(Slot {
                value: None,
                next: if index + 1 < capacity {
                    index + 1
                } else {
                    NONE
                },
            })?;
        }
        Ok(Slab {
            slots,
            free: if capacity == 0 { NONE } else { 0 },
            used: 0,
        })
    }

    /// Number of slots that hold nothing.
    pub fn available(&self) -> u32 {
        self.slots.len() as u32 - self.used
    }

    /// Number of slots that hold a value.
    pub fn used(&self) -> u32 {
        self.used
    }

    /// Stores a value; gives it back when all slots are taken.
    pub fn insert(&mut self, value: V) -> Result<u32, V> {
        let index = self.free;
        if index == NONE {
            return Err(value);
        }
        let slot = &mut self.slots[index as usize];
        self.free = slot.next;
        *slot = Slot {
            value: Some(value),
            next: NONE,
        };
        self.used += 1;
        Ok(index)
    }

    /// Takes a value out. The slot must not be in a list.
    pub fn remove(&mut self, index: u32) -> Option<V> {
        let slot = self.slots.get_mut(index as usize)?;
        let value = slot.value.take()?;
        slot.next = self.free;
        self.free = index;
        self.used -= 1;
        Some(value)
    }

    /// The value in a slot.
    pub fn get(&self, index: u32) -> Option<&V> {
        self.slots.get(index as usize)?.value.as_ref()
    }

    /// The value in a slot.
    pub fn get_mut(&mut self, index: u32) -> Option<&mut V> {
        self.slots.get_mut(index as usize)?.value.as_mut()
    }

    /// All values with their slots.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &V)> {
        self.slots
            .iter()
            .enumerate()
            .filter_map(|(index, slot)| Some((index as u32, slot.value.as_ref()?)))
    }

    /// Appends a slot to a list.
    pub fn push(&mut self, list: &mut List, index: u32) {
        self.slots[index as usize].next = NONE;
        if list.tail == NONE {
            list.head = index;
        } else {
            self.slots[list.tail as usize].next = index;
        }
        list.tail = index;
    }

    /// Puts a slot at the head of a list.
    pub fn push_front(&mut self, list: &mut List, index: u32) {
        self.slots[index as usize].next = list.head;
        if list.tail == NONE {
            list.tail = index;
        }
        list.head = index;
    }

    /// Moves the slots of a list whose value `wanted` picks to the end of another one, both in
    /// their order. Calls `wanted` once for each.
    pub fn sift(&mut self, from: &mut List, to: &mut List, mut wanted: impl FnMut(&mut V) -> bool) {
        let mut at = core::mem::take(from).head;
        while let Some(slot) = self.slots.get_mut(at as usize) {
            let next = slot.next;
            let list = match slot.value.as_mut().is_some_and(&mut wanted) {
                true => &mut *to,
                false => &mut *from,
            };
            self.push(list, at);
            at = next;
        }
    }

    /// Takes a slot out of a list; false if it is not there.
    pub fn unlink(&mut self, list: &mut List, index: u32) -> bool {
        let mut previous = NONE;
        let mut at = list.head;
        while at != NONE && at != index {
            previous = at;
            at = self.slots[at as usize].next;
        }
        if at == NONE {
            return false;
        }
        let next = self.slots[at as usize].next;
        if previous == NONE {
            list.head = next;
        } else {
            self.slots[previous as usize].next = next;
        }
        if list.tail == at {
            list.tail = previous;
        }
        true
    }

    /// The slots of a list in order.
    pub fn walk<'a>(&'a self, list: &List) -> impl Iterator<Item = (u32, &'a V)> + 'a {
        let mut at = list.head;
        core::iter::from_fn(move || {
            let slot = self.slots.get(at as usize)?;
            let index = at;
            at = slot.next;
            Some((index, slot.value.as_ref()?))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use alloc::vec::Vec;

    #[test]
    fn lists_keep_their_order() {
        let mut slab = Slab::new(4).unwrap();
        let mut list = List::new();
        for value in 0..4 {
            let slot = slab.insert(value).unwrap();
            slab.push(&mut list, slot);
        }
        assert_eq!(slab.insert(9), Err(9));
        assert!(slab.unlink(&mut list, 3));
        assert!(slab.unlink(&mut list, 1));
        assert!(!slab.unlink(&mut list, 1));
        assert_eq!(slab.remove(1), Some(1));
        let slot = slab.insert(7).unwrap();
        slab.push(&mut list, slot);
        let order: Vec<i32> = slab.walk(&list).map(|(_, &value)| value).collect();
        assert_eq!(order, [0, 2, 7]);
        assert_eq!(slab.available(), 0);
        assert!(slab.unlink(&mut list, slot));
        slab.push_front(&mut list, slot);
        let mut even = List::new();
        slab.sift(&mut list, &mut even, |value| *value % 2 == 0);
        let values = |list| {
            slab.walk(list)
                .map(|(_, &value)| value)
                .collect::<Vec<i32>>()
        };
        assert_eq!((values(&list), values(&even)), (vec![7], vec![0, 2]));
    }

    #[test]
    fn a_list_of_one_from_the_front() {
        let mut slab = Slab::new(2).unwrap();
        let mut list = List::new();
        for value in 0..2 {
            let slot = slab.insert(value).unwrap();
            slab.push_front(&mut list, slot);
        }
        let order: Vec<i32> = slab.walk(&list).map(|(_, &value)| value).collect();
        assert_eq!(order, [1, 0]);
        assert!(slab.unlink(&mut list, 0));
        slab.push(&mut list, 0);
        assert_eq!(slab.walk(&list).count(), 2);
    }
}
