//! Address translation: a context of the page-table array, two levels of tables, 4 KiB pages.

use crate::memory::{Memory, MemoryFault, Refusal};
use ferrite_hw::vivante::mmu::{
    Entry, Fault, PAGE_BYTES, TABLE_ENTRIES, master_index, slave_index,
};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

type Table = Arc<[u32; TABLE_ENTRIES as usize]>;

/// Memory as one context sees it. Tables are read once: make a new one after a flush.
pub struct Mmu<'a> {
    physical: &'a dyn Memory,
    master: u64,
    tables: Mutex<HashMap<u64, Table>>,
    fault: Mutex<Option<(u32, Fault)>>,
}

impl<'a> Mmu<'a> {
    /// The context of entry `index` of the page-table array at physical address `array`.
    pub fn new(physical: &'a dyn Memory, array: u64, index: u32) -> Result<Self, MemoryFault> {
        let mut entry = [0; 8];
        physical.read(array + 8 * u64::from(index), &mut entry)?;
        Ok(Mmu {
            physical,
            // The low bits tell the size of the first level: 0 = 4 KiB, which is all that is used.
            master: u64::from_le_bytes(entry) & !0xfff,
            tables: Mutex::default(),
            fault: Mutex::default(),
        })
    }

    /// The first translation that failed: virtual address and kind.
    pub fn fault(&self) -> Option<(u32, Fault)> {
        *lock(&self.fault)
    }

    /// Physical address of a byte.
    pub fn translate(&self, address: u32, write: bool) -> Result<u64, Fault> {
        let master = self.table(self.master)?;
        let entry = Entry::decode(master[master_index(address) as usize]);
        if !entry.present || entry.exception {
            return Err(Fault::SlaveNotPresent);
        }
        let slave = self.table(entry.address)?;
        let entry = Entry::decode(slave[slave_index(address) as usize]);
        if !entry.present || entry.exception {
            return Err(Fault::PageNotPresent);
        }
        if write && !entry.writeable {
            return Err(Fault::WriteViolation);
        }
        Ok(entry.address | u64::from(address % PAGE_BYTES))
    }

    fn table(&self, address: u64) -> Result<Table, Fault> {
        if let Some(table) = lock(&self.tables).get(&address) {
            return Ok(Arc::clone(table));
        }
        let mut bytes = vec![0; 4 * TABLE_ENTRIES as usize];
        self.physical
            .read(address, &mut bytes)
            .map_err(|_| Fault::OutOfBounds)?;
        let words = bytes.as_chunks::<4>().0;
        let table: Table = Arc::new(std::array::from_fn(|i| u32::from_le_bytes(words[i])));
        lock(&self.tables).insert(address, Arc::clone(&table));
        Ok(table)
    }

    /// Calls `each` with the physical address and the range of each part of an access.
    fn pages(
        &self,
        address: u64,
        len: usize,
        write: bool,
        mut each: impl FnMut(u64, std::ops::Range<usize>) -> Result<(), MemoryFault>,
    ) -> Result<(), MemoryFault> {
        let mut at = 0;
        while at < len {
            let here = address + at as u64;
            let room = (u64::from(PAGE_BYTES) - here % u64::from(PAGE_BYTES)) as usize;
            let end = len.min(at + room);
            let virtual_address = u32::try_from(here);
            let translated = virtual_address
                .map_err(|_| Fault::OutOfBounds)
                .and_then(|a| self.translate(a, write));
            let physical = translated.map_err(|why| {
                lock(&self.fault).get_or_insert((here as u32, why));
                MemoryFault {
                    address: here,
                    len,
                    write,
                    why: match why {
                        Fault::WriteViolation => Refusal::Forbidden,
                        _ => Refusal::Unmapped,
                    },
                }
            })?;
            each(physical, at..end)?;
            at = end;
        }
        Ok(())
    }
}

impl Memory for Mmu<'_> {
    fn read(&self, address: u64, out: &mut [u8]) -> Result<(), MemoryFault> {
        self.pages(address, out.len(), false, |physical, range| {
            self.physical.read(physical, &mut out[range])
        })
    }

    fn write(&self, address: u64, data: &[u8]) -> Result<(), MemoryFault> {
        self.pages(address, data.len(), true, |physical, range| {
            self.physical.write(physical, &data[range])
        })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
