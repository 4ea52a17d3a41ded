//! Notes what a kick touches.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::{PAGE, Page, Run};
use crate::memory::{Memory, MemoryFault, Refusal};

/// Memory that remembers each page as it was when it was first touched, and which bytes were
/// written. For one kick.
pub struct Recorder<'a> {
    memory: &'a dyn Memory,
    touched: Mutex<BTreeMap<u64, Note>>,
}

/// A page that was touched.
struct Note {
    before: Arc<[u8; PAGE]>,
    /// Which bytes were written, one bit each.
    written: Box<[u64; PAGE / 64]>,
}

/// What a kick touched.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Touched {
    /// Pages as they were before, by address.
    pub before: Vec<Page>,
    /// What was written, as it was afterwards, by address.
    pub written: Vec<Run>,
}

impl<'a> Recorder<'a> {
    /// Records accesses to `memory`.
    pub fn new(memory: &'a dyn Memory) -> Self {
        Self {
            memory,
            touched: Mutex::new(BTreeMap::new()),
        }
    }

    /// Notes an access before it happens. The lock is held by the caller through the access, so
    /// that no other thread writes to a page before it has been noted.
    fn note(
        &self,
        touched: &mut BTreeMap<u64, Note>,
        address: u64,
        length: usize,
        write: bool,
    ) -> Result<(), MemoryFault> {
        let fault = MemoryFault {
            address,
            len: length,
            write,
            why: Refusal::Unmapped,
        };
        let end = address.checked_add(length as u64).ok_or(fault)?;
        let mut at = address;
        while at < end {
            let base = at & !(PAGE as u64 - 1);
            let note = match touched.entry(base) {
                std::collections::btree_map::Entry::Occupied(entry) => entry.into_mut(),
                std::collections::btree_map::Entry::Vacant(entry) => {
                    let mut before = [0; PAGE];
                    self.memory.read(base, &mut before)?;
                    entry.insert(Note {
                        before: Arc::new(before),
                        written: Box::new([0; PAGE / 64]),
                    })
                }
            };
            let stop = end.min(base + PAGE as u64);
            if write {
                for byte in (at - base) as usize..(stop - base) as usize {
                    note.written[byte / 64] |= 1 << (byte % 64);
                }
            }
            at = stop;
        }
        Ok(())
    }

    /// What was touched, once the kick has ended. Writes to pages that cannot be read any more,
    /// because a driver took them away in mid-job, are left out.
    pub fn finish(self) -> Touched {
        let touched = self
            .touched
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        let mut result = Touched::default();
        for (base, note) in touched {
            result.before.push(Page {
                address: base,
                bytes: note.before,
            });
            if note.written.iter().all(|bits| *bits == 0) {
                continue;
            }
            let mut after = [0; PAGE];
            if self.memory.read(base, &mut after).is_err() {
                continue;
            }
            for (byte, value) in after.iter().enumerate() {
                if note.written[byte / 64] >> (byte % 64) & 1 == 0 {
                    continue;
                }
                let address = base + byte as u64;
                match result.written.last_mut() {
                    Some(run) if run.address + run.bytes.len() as u64 == address => {
                        run.bytes.push(*value)
                    }
                    _ => result.written.push(Run {
                        address,
                        bytes: vec![*value],
                    }),
                }
            }
        }
        result
    }
}

impl Memory for Recorder<'_> {
    fn read(&self, address: u64, out: &mut [u8]) -> Result<(), MemoryFault> {
        let mut touched = self.touched.lock().unwrap_or_else(PoisonError::into_inner);
        self.note(&mut touched, address, out.len(), false)?;
        self.memory.read(address, out)
    }

    fn write(&self, address: u64, data: &[u8]) -> Result<(), MemoryFault> {
        let mut touched = self.touched.lock().unwrap_or_else(PoisonError::into_inner);
        self.note(&mut touched, address, data.len(), true)?;
        self.memory.write(address, data)
    }
}
