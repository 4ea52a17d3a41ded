// SPDX-License-Identifier: GPL-2.0-only
//! What the driver knows of a buffer besides its memory.

use crate::policy::{
    quota::{
        Kind,
        OwnerId, //
    },
    schedule::ClientId, //
};
use crate::npu::Npu;
use crate::space::Mapping;
use core::sync::atomic::{AtomicI32, Ordering};
use kernel::{
    new_mutex,
    prelude::*,
    sync::{
        Arc,
        Mutex,
        SetOnce, //
    }, //
};

/// The driver's part of a GEM object.
#[pin_data]
pub(crate) struct Buffer {
    #[pin]
    homes: Homes,
    /// Error of the last job that wrote it, or 0.
    error: AtomicI32,
    /// Whose memory it is, and how much.
    charge: SetOnce<(OwnerId, u64)>,
}

impl Buffer {
    /// For a new object.
    pub(crate) fn new() -> impl PinInit<Self, Error> {
        try_pin_init!(Buffer {
            homes <- Homes::new(),
            error: AtomicI32::new(0),
            charge: SetOnce::new(),
        }? Error)
    }

    /// Charges a new buffer of `bytes` to its owner, before they are allocated.
    pub(crate) fn charge(&self, npu: &Npu, owner: OwnerId, bytes: u64) -> Result {
        if !npu.state().lock().shares.take(owner, Kind::Bytes, bytes) {
            return Err(ENOMEM);
        }
        self.charge.populate((owner, bytes));
        Ok(())
    }

    /// Gives the memory back.
    pub(crate) fn discharge(&self, npu: &Npu) {
        if let Some(&(owner, bytes)) = self.charge.as_ref() {
            npu.state().lock().shares.give(owner, Kind::Bytes, bytes);
        }
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

/// What [`Homes::number`] finds.
pub(crate) enum Numbered {
    /// The buffer got the number that was offered.
    First(Arc<Mapping>),
    /// It has this one already.
    Again(u32),
}

/// A client's mapping.
struct Home {
    client: ClientId,
    mapping: Arc<Mapping>,
    /// The submission in which the buffer was met last, and its number there.
    mark: (u64, u32),
}

/// The buffer's mapping for each client that has a handle: seldom more than one.
#[pin_data]
pub(crate) struct Homes {
    #[pin]
    list: Mutex<KVec<Home>>,
}

impl Homes {
    fn new() -> impl PinInit<Self> {
        pin_init!(Homes {
            list <- new_mutex!(KVec::new(), "Homes::list"),
        })
    }

    /// Adds a client's mapping.
    pub(crate) fn insert(&self, client: ClientId, mapping: Arc<Mapping>) -> Result {
        let home = Home {
            client,
            mapping,
            mark: (0, 0),
        };
        Ok(self.list.lock().push(home, GFP_KERNEL_ACCOUNT)?)
    }

    /// Takes a client's mapping away.
    pub(crate) fn remove(&self, client: ClientId) -> Option<Arc<Mapping>> {
        let mut list = self.list.lock();
        let at = list.iter().position(|home| home.client == client)?;
        list.remove(at).ok().map(|home| home.mapping)
    }

    /// A client's mapping.
    pub(crate) fn get(&self, client: ClientId) -> Option<Arc<Mapping>> {
        let list = self.list.lock();
        let home = list.iter().find(|home| home.client == client)?;
        Some(home.mapping.clone())
    }

    /// Numbers the buffer within a client's submission `stamp`: with `next`, unless it has a number
    /// there. `None` if the client has no handle.
    pub(crate) fn number(&self, client: ClientId, stamp: u64, next: u32) -> Option<Numbered> {
        let mut list = self.list.lock();
        let home = list.iter_mut().find(|home| home.client == client)?;
        if home.mark.0 == stamp {
            return Some(Numbered::Again(home.mark.1));
        }
        home.mark = (stamp, next);
        Some(Numbered::First(home.mapping.clone()))
    }
}
