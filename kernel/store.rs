// SPDX-License-Identifier: GPL-2.0-only
//! The policy's arrays on kernel memory; the host's are in `policy/src/store.rs`.

use core::ops::{Deref, DerefMut};
use kernel::prelude::*;

/// An allocation failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OutOfMemory;

impl From<OutOfMemory> for Error {
    fn from(_: OutOfMemory) -> Self {
        ENOMEM
    }
}

/// A growable array. Growth is explicit and fallible; the `*_within` methods never allocate, so
/// they may be used with a spinlock held.
#[derive(Debug)]
pub(crate) struct Store<T>(KVVec<T>);

impl<T> Store<T> {
    /// An empty array without memory.
    pub(crate) const fn new() -> Self {
        Store(KVVec::new())
    }

    /// An empty array with room for `capacity` elements.
    pub(crate) fn with_capacity(capacity: usize) -> Result<Self, OutOfMemory> {
        let mut store = Store::new();
        store.reserve(capacity)?;
        Ok(store)
    }

    /// Makes room for `additional` more elements.
    pub(crate) fn reserve(&mut self, additional: usize) -> Result<(), OutOfMemory> {
        self.0
            .reserve(additional, GFP_KERNEL_ACCOUNT)
            .map_err(|_| OutOfMemory)
    }

    /// Removes all elements, and keeps the memory.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// Appends, growing if needed.
    pub(crate) fn push(&mut self, value: T) -> Result<(), OutOfMemory> {
        self.0.push(value, GFP_KERNEL_ACCOUNT).map_err(|_| OutOfMemory)
    }

    /// Appends if there is room.
    pub(crate) fn push_within(&mut self, value: T) -> Result<(), OutOfMemory> {
        self.0.push_within_capacity(value).map_err(|_| OutOfMemory)
    }

    /// Inserts before `index` if there is room and `index` is not beyond the end.
    pub(crate) fn insert_within(&mut self, index: usize, value: T) -> Result<(), OutOfMemory> {
        self.0
            .insert_within_capacity(index, value)
            .map_err(|_| OutOfMemory)
    }

    /// Removes the element at `index`, if there is one, and closes the gap.
    pub(crate) fn remove(&mut self, index: usize) -> Option<T> {
        self.0.remove(index).ok()
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
