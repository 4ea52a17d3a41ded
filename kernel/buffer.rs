// SPDX-License-Identifier: GPL-2.0-only
//! What the driver knows of a buffer besides its memory.

use crate::policy::schedule::ClientId;
use crate::space::Mapping;
use core::sync::atomic::{AtomicI32, Ordering};
use kernel::{
    new_mutex,
    prelude::*,
    sync::{
        Arc,
        Mutex, //
    }, //
};

/// The driver's part of a GEM object.
#[pin_data]
pub(crate) struct Buffer {
    #[pin]
    homes: Homes,
    /// Error of the last job that wrote it, or 0.
    error: AtomicI32,
}

impl Buffer {
    /// For a new object.
    pub(crate) fn new() -> impl PinInit<Self, Error> {
        try_pin_init!(Buffer {
            homes <- Homes::new(),
            error: AtomicI32::new(0),
        }? Error)
    }

    /// Where the buffer is mapped.
    pub(crate) fn homes(&self) -> &Homes {
        &self.homes
    }

    /// A job that writes the buffer has ended.
    pub(crate) fn set_error(&self, error: Option<Error>) {
        self.error
            .store(error.map_or(0, |e| e.to_errno()), Ordering::Relaxed);
    }

    /// Whether the last job that wrote the buffer failed.
    pub(crate) fn has_failed(&self) -> bool {
        self.error.load(Ordering::Relaxed) != 0
    }
}

/// The buffer's mapping for each client that has a handle: seldom more than one.
#[pin_data]
pub(crate) struct Homes {
    #[pin]
    list: Mutex<KVec<(ClientId, Arc<Mapping>)>>,
}

impl Homes {
    fn new() -> impl PinInit<Self> {
        pin_init!(Homes {
            list <- new_mutex!(KVec::new(), "Homes::list"),
        })
    }

    /// Makes room for one more.
    pub(crate) fn reserve(&self) -> Result {
        Ok(self.list.lock().reserve(1, GFP_KERNEL)?)
    }

    /// Adds a client's mapping.
    pub(crate) fn insert(&self, client: ClientId, mapping: Arc<Mapping>) {
        // Growth may only be needed if another client came after `reserve`.
        let _ = self.list.lock().push((client, mapping), GFP_KERNEL);
    }

    /// Takes a client's mapping away.
    pub(crate) fn remove(&self, client: ClientId) -> Option<Arc<Mapping>> {
        let mut list = self.list.lock();
        let at = list.iter().position(|(owner, _)| *owner == client)?;
        list.remove(at).ok().map(|(_, mapping)| mapping)
    }

    /// A client's mapping.
    pub(crate) fn get(&self, client: ClientId) -> Option<Arc<Mapping>> {
        let list = self.list.lock();
        let (_, mapping) = list.iter().find(|(owner, _)| *owner == client)?;
        Some(mapping.clone())
    }
}
