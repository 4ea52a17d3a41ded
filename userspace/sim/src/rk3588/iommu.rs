//! Model of one rockchip IOMMU instance ("v2" page tables), as mainline's driver programs it.
//!
//! Facts: `rockchip-iommu.c`. The TLB really caches: a driver that forgets to zap keeps using old
//! translations here too.

use crate::memory::{Memory, MemoryFault, Refusal};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Register offsets, in bytes.
pub mod register {
    /// Directory base, encoded like a directory entry.
    pub const DTE_ADDR: u32 = 0x00;
    /// Status bits.
    pub const STATUS: u32 = 0x04;
    /// Commands, write only.
    pub const COMMAND: u32 = 0x08;
    /// Value of [`COMMAND`]: back to the state after power-up.
    pub const FORCE_RESET: u32 = 6;
    /// Address of the fault.
    pub const PAGE_FAULT_ADDR: u32 = 0x0c;
    /// Invalidates one page.
    pub const ZAP_ONE_LINE: u32 = 0x10;
    /// Raw interrupts.
    pub const INT_RAWSTAT: u32 = 0x14;
    /// Write 1 to clear.
    pub const INT_CLEAR: u32 = 0x18;
    /// 1 = enabled.
    pub const INT_MASK: u32 = 0x1c;
    /// Raw and mask.
    pub const INT_STATUS: u32 = 0x20;
    /// Clock gating.
    pub const AUTO_GATING: u32 = 0x24;
}

/// Bits of STATUS.
pub mod status {
    /// Paging enabled.
    pub const PAGING: u32 = 1 << 0;
    /// A page fault waits for PAGE_FAULT_DONE.
    pub const FAULT: u32 = 1 << 1;
    /// Stalled.
    pub const STALL: u32 = 1 << 2;
    /// Idle.
    pub const IDLE: u32 = 1 << 3;
    /// Replay buffer empty.
    pub const REPLAY_EMPTY: u32 = 1 << 4;
    /// The fault was a write.
    pub const FAULT_WRITE: u32 = 1 << 5;
}

/// Interrupt: page fault.
pub const INT_PAGE_FAULT: u32 = 1 << 0;
/// Interrupt: a table could not be read.
pub const INT_BUS_ERROR: u32 = 1 << 1;

/// Bits of DTE_ADDR that hold something: the address and the valid bit.
const DTE_BITS: u32 = 0xffff_fff1;
const TLB_ENTRIES: usize = 64;
const PAGE: u64 = 4096;
const VALID: u32 = 1;
const READABLE: u32 = 2;
const WRITABLE: u32 = 4;

#[derive(Clone, Copy)]
struct TlbEntry {
    page: u32,
    physical: u64,
    flags: u32,
}

#[derive(Default)]
struct State {
    dte_addr: u32,
    paging: bool,
    stalled: bool,
    fault: bool,
    fault_write: bool,
    fault_address: u32,
    raw: u32,
    mask: u32,
    gating: u32,
    tlb: Vec<Option<TlbEntry>>,
    walks: u64,
    faults: u64,
}

/// One IOMMU instance. Registers may be accessed while a core translates on another thread.
pub struct Iommu {
    state: Mutex<State>,
    unstalled: Condvar,
}

impl Default for Iommu {
    fn default() -> Self {
        Iommu::new()
    }
}

impl Iommu {
    /// An instance after power-up: paging off.
    pub fn new() -> Self {
        let iommu = Iommu {
            state: Mutex::default(),
            unstalled: Condvar::new(),
        };
        iommu.lock().force_reset();
        iommu
    }

    // A panic elsewhere leaves the registers as they are.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The reset input.
    pub fn reset(&self) {
        let mut state = self.lock();
        *state = State::default();
        state.force_reset();
        self.unstalled.notify_all();
    }

    /// A bus read of the register at byte `offset`.
    pub fn mmio_read(&self, offset: u32) -> u32 {
        let s = self.lock();
        match offset {
            register::DTE_ADDR => s.dte_addr,
            register::STATUS => s.status(),
            register::PAGE_FAULT_ADDR => s.fault_address,
            register::INT_RAWSTAT => s.raw,
            register::INT_MASK => s.mask,
            register::INT_STATUS => s.raw & s.mask,
            register::AUTO_GATING => s.gating,
            _ => 0,
        }
    }

    /// A bus write of the register at byte `offset`.
    pub fn mmio_write(&self, offset: u32, value: u32) {
        let mut s = self.lock();
        match offset {
            register::DTE_ADDR => s.dte_addr = value & DTE_BITS,
            register::COMMAND => s.command(value),
            register::ZAP_ONE_LINE => {
                let page = value >> 12;
                s.tlb[page as usize % TLB_ENTRIES].take_if(|e| e.page == page);
            }
            register::INT_CLEAR => s.raw &= !value,
            register::INT_MASK => s.mask = value & 3,
            register::AUTO_GATING => s.gating = value,
            _ => {}
        }
        if !s.stalled {
            self.unstalled.notify_all();
        }
    }

    /// Level of the interrupt output.
    pub fn irq_level(&self) -> bool {
        let s = self.lock();
        s.raw & s.mask != 0
    }

    /// Page walks done and faults latched since reset.
    pub fn counts(&self) -> (u64, u64) {
        let s = self.lock();
        (s.walks, s.faults)
    }

    /// Translates an address; the result holds up to the end of its page. Waits while stalled.
    pub fn translate(&self, physical: &dyn Memory, iova: u64, write: bool) -> Result<u64, Refusal> {
        let mut s = self.lock();
        while s.stalled {
            s = self
                .unstalled
                .wait(s)
                .unwrap_or_else(PoisonError::into_inner);
        }
        if !s.paging {
            return Ok(iova);
        }
        if s.fault {
            // The engine behind a pending fault is stuck: nothing gets through.
            return Err(Refusal::Unmapped);
        }
        let Ok(iova) = u32::try_from(iova) else {
            return Err(s.latch(u32::MAX, write, INT_PAGE_FAULT, Refusal::Unmapped));
        };
        let page = iova >> 12;
        let slot = page as usize % TLB_ENTRIES;
        let entry = match s.tlb[slot].filter(|e| e.page == page) {
            Some(entry) => entry,
            None => match s.walk(physical, page) {
                Ok(entry) => {
                    s.tlb[slot] = Some(entry);
                    entry
                }
                Err(Refusal::Bus) => return Err(s.latch(iova, write, INT_BUS_ERROR, Refusal::Bus)),
                Err(why) => return Err(s.latch(iova, write, INT_PAGE_FAULT, why)),
            },
        };
        let needed = if write { WRITABLE } else { READABLE };
        if entry.flags & needed == 0 {
            return Err(s.latch(iova, write, INT_PAGE_FAULT, Refusal::Forbidden));
        }
        Ok(entry.physical | u64::from(iova & 0xfff))
    }
}

/// Physical address of a table or page from an entry: [31:12], [35:32] in [11:8], [39:36] in [7:4].
fn entry_address(entry: u32) -> u64 {
    u64::from(entry & 0xffff_f000)
        | u64::from(entry >> 8 & 0xf) << 32
        | u64::from(entry >> 4 & 0xf) << 36
}

fn read_entry(physical: &dyn Memory, address: u64) -> Result<u32, Refusal> {
    let mut bytes = [0; 4];
    physical
        .read(address, &mut bytes)
        .map_err(|_| Refusal::Bus)?;
    Ok(u32::from_le_bytes(bytes))
}

impl State {
    fn status(&self) -> u32 {
        let bit = |on, bit| if on { bit } else { 0 };
        let idle = !self.fault;
        bit(self.paging, status::PAGING)
            | bit(self.fault, status::FAULT)
            | bit(self.stalled, status::STALL)
            | bit(idle, status::IDLE | status::REPLAY_EMPTY)
            | bit(self.fault && self.fault_write, status::FAULT_WRITE)
    }

    fn command(&mut self, command: u32) {
        match command {
            0 => self.paging = true,
            1 => self.paging = false,
            // With paging off there is nothing to stall; behind a fault the handshake fails.
            2 => self.stalled = self.paging && !self.fault,
            3 => self.stalled = false,
            4 => self.zap(),
            5 => self.fault = false,
            register::FORCE_RESET => self.force_reset(),
            _ => {}
        }
    }

    fn zap(&mut self) {
        self.tlb.clear();
        self.tlb.resize(TLB_ENTRIES, None);
    }

    fn force_reset(&mut self) {
        *self = State {
            gating: self.gating,
            walks: self.walks,
            faults: self.faults,
            ..State::default()
        };
        self.zap();
    }

    fn walk(&mut self, physical: &dyn Memory, page: u32) -> Result<TlbEntry, Refusal> {
        self.walks += 1;
        let directory = entry_address(self.dte_addr);
        let dte = read_entry(physical, directory + u64::from(page >> 10) * 4)?;
        if dte & VALID == 0 {
            return Err(Refusal::Unmapped);
        }
        let pte = read_entry(physical, entry_address(dte) + u64::from(page & 0x3ff) * 4)?;
        if pte & VALID == 0 {
            return Err(Refusal::Unmapped);
        }
        Ok(TlbEntry {
            page,
            physical: entry_address(pte),
            flags: pte,
        })
    }

    fn latch(&mut self, iova: u32, write: bool, interrupt: u32, why: Refusal) -> Refusal {
        self.fault |= interrupt == INT_PAGE_FAULT;
        self.fault_write = write;
        self.fault_address = iova;
        self.raw |= interrupt;
        self.faults += 1;
        why
    }
}

/// Memory behind an IOMMU.
pub struct Translated<'a> {
    /// Translates.
    pub iommu: &'a Iommu,
    /// Holds the page tables and the data.
    pub physical: &'a dyn Memory,
}

impl Translated<'_> {
    /// Calls `f` with the physical address and the byte range of each page of an access.
    fn pages(
        &self,
        address: u64,
        len: usize,
        write: bool,
        mut f: impl FnMut(u64, std::ops::Range<usize>) -> Result<(), MemoryFault>,
    ) -> Result<(), MemoryFault> {
        let mut done = 0;
        while done < len {
            let at = address + done as u64;
            let step = ((PAGE - at % PAGE) as usize).min(len - done);
            let physical = self
                .iommu
                .translate(self.physical, at, write)
                .map_err(|why| MemoryFault {
                    address: at,
                    len,
                    write,
                    why,
                })?;
            f(physical, done..done + step)?;
            done += step;
        }
        Ok(())
    }
}

impl Memory for Translated<'_> {
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
