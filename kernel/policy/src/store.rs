// SPDX-License-Identifier: GPL-2.0-only
//! Growable arrays whose allocations may fail, on the host's allocator.

use alloc::vec::Vec;
use core::ops::{Deref, DerefMut};

/// An allocation failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfMemory;

/// A growable array. Growth is explicit and fallible; the `*_within` methods never allocate, so
/// they may be used with a spinlock held.
#[derive(Debug)]
pub struct Store<T>(Vec<T>);

impl<T> Store<T> {
    /// An empty array without memory.
    pub const fn new() -> Self {
        Store(Vec::new())
    }

    /// An empty array with room for `capacity` elements.
    pub fn with_capacity(capacity: usize) -> Result<Self, OutOfMemory> {
        let mut store = Store::new();
        store.reserve(capacity)?;
        Ok(store)
    }

    /// Makes room for `additional` more elements.
    pub fn reserve(&mut self, additional: usize) -> Result<(), OutOfMemory> {
        self.0.try_reserve(additional).map_err(|_| OutOfMemory)
    }

    /// Removes all elements, and keeps the memory.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Appends, growing if needed.
    pub fn push(&mut self, value: T) -> Result<(), OutOfMemory> {
        self.reserve(1)?;
        self.0.push(value);
        Ok(())
    }

    /// Appends if there is room.
    pub fn push_within(&mut self, value: T) -> Result<(), OutOfMemory> {
        if self.0.len() == self.0.capacity() {
            return Err(OutOfMemory);
        }
        self.0.push(value);
        Ok(())
    }

    /// Inserts before `index` if there is room and `index` is not beyond the end.
    pub fn insert_within(&mut self, index: usize, value: T) -> Result<(), OutOfMemory> {
        if self.0.len() == self.0.capacity() || index > self.0.len() {
            return Err(OutOfMemory);
        }
        self.0.insert(index, value);
        Ok(())
    }

    /// Removes the element at `index`, if there is one, and closes the gap.
    pub fn remove(&mut self, index: usize) -> Option<T> {
        (index < self.0.len()).then(|| self.0.remove(index))
    }
}

impl<T> Default for Store<T> {
    fn default() -> Self {
        Store::new()
    }
}

impl<T> Deref for Store<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T> DerefMut for Store<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.0
    }
}
