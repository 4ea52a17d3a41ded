// SPDX-License-Identifier: GPL-2.0-only
//! Overwriting what a client left in a core's convolution buffer.
//!
//! A reset clears registers and tables, but not the buffer's memory, and a command list can ask for
//! what is there instead of loading its own. So between two clients a core runs a task of the
//! driver's, in an address space of the driver's, which loads the whole buffer with zeroes.

use crate::abstractions::{
    gem::GemRef,
    platform::Device, //
};
use crate::batch::Start;
use crate::npu::{Ferrite, Npu};
use crate::policy::{
    quota::{
        Kind,
        OwnerId, //
    },
    scrub::{
        self,
        Places, //
    },
    validate, //
};
use crate::space::{AddressSpace, Mapping};
use kernel::{
    prelude::*,
    sync::{
        aref::ARef,
        Arc, //
    }, //
};

/// No user has this number.
const DRIVER: u32 = u32::MAX;
const WORD: u64 = validate::COMMAND_BYTES;

/// The task, with its memory. Fields are dropped in order: the owner's number goes last.
pub(crate) struct Scrub {
    start: Start,
    _mapping: Arc<Mapping>,
    _buffer: GemRef<Ferrite>,
    space: Arc<AddressSpace>,
    _share: Share,
}

/// What the driver itself has of what all share.
struct Share {
    npu: ARef<Npu>,
    owner: OwnerId,
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut state = self.npu.state().lock();
        state.shares.give(self.owner, Kind::Files, 1);
    }
}

impl Scrub {
    /// For cores like `device`.
    pub(crate) fn new(npu: &Npu, device: &Device) -> Result<Arc<Self>> {
        let owner = npu.state().lock().shares.open(DRIVER).ok_or(EMFILE)?;
        let share = Share {
            npu: npu.into(),
            owner,
        };
        let space = AddressSpace::new(npu, device, 0, owner)?;
        let first = (scrub::ZEROES + scrub::OUTPUT) as u64;
        let size = first + scrub::LIST.len() as u64 * WORD;
        // New memory is zeroes.
        let buffer = GemRef::new(npu, size as usize, false)?;
        let mapping = Mapping::new(space.clone(), &buffer)?;
        let zeroes = mapping.range().start as u32;
        let output = zeroes + scrub::ZEROES as u32;
        let commands = scrub::commands(Places { zeroes, output });
        for (index, &word) in commands.iter().enumerate() {
            buffer.poke(first + index as u64 * WORD, word);
        }
        buffer.sync_for_device((first, buffer.size() - first))?;
        let commands = validate::commands(zeroes + first as u32, commands.len() as u32)?;
        let scrub = Scrub {
            start: Start {
                commands: validate::Commands {
                    done: validate::DONE_DPU,
                    ..commands
                },
                tasks: 1,
            },
            _mapping: mapping,
            _buffer: buffer,
            space,
            _share: share,
        };
        Ok(Arc::new(scrub, GFP_KERNEL)?)
    }

    /// What a core is started with.
    pub(crate) fn start(&self) -> &Start {
        &self.start
    }

    /// In which address space.
    pub(crate) fn space(&self) -> &Arc<AddressSpace> {
        &self.space
    }
}
