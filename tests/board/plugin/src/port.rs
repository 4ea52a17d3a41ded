//! A core's way to memory during one kick.

use std::sync::{Arc, PoisonError, RwLock};

use ferrite_sim::memory::{Memory, MemoryFault, Refusal};
use ferrite_sim::rk3588::{Iommu, Translated};

use crate::qemu::GuestRam;

/// Whether DMA still goes through: a reset ends it at once, also for a kick that the model is
/// still working on.
#[derive(Clone, Default)]
pub struct Gate(Arc<RwLock<bool>>);

impl Gate {
    /// Closes the gate; when this returns, no access is under way and none will come.
    pub fn close(&self) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = true;
    }
}

/// RAM behind the gate.
pub struct Gated<'a> {
    /// The RAM.
    pub ram: &'a GuestRam,
    /// The gate.
    pub gate: &'a Gate,
}

impl Gated<'_> {
    fn pass(
        &self,
        address: u64,
        len: usize,
        write: bool,
        access: impl FnOnce() -> Result<(), MemoryFault>,
    ) -> Result<(), MemoryFault> {
        let closed = self.gate.0.read().unwrap_or_else(PoisonError::into_inner);
        if *closed {
            return Err(MemoryFault {
                address,
                len,
                write,
                why: Refusal::Bus,
            });
        }
        access()
    }
}

impl Memory for Gated<'_> {
    fn read(&self, address: u64, out: &mut [u8]) -> Result<(), MemoryFault> {
        self.pass(address, out.len(), false, || self.ram.read(address, out))
    }

    fn write(&self, address: u64, data: &[u8]) -> Result<(), MemoryFault> {
        self.pass(address, data.len(), true, || self.ram.write(address, data))
    }
}

/// Memory as a core sees it, behind its IOMMU instances.
///
/// Core 0 has two of them, one for each of its bus ports, which a driver has to program alike. What
/// goes through which is not documented; here reads go through the last and writes through the
/// first, so that a driver that forgets one of them is found out.
pub struct Port<'a> {
    /// The instances.
    pub iommus: &'a [Iommu],
    /// What is behind them.
    pub ram: &'a GuestRam,
    /// The kick's gate.
    pub gate: &'a Gate,
    /// Whether memory answers reads, or writes, with an error.
    pub broken: Option<Broken>,
}

/// What fails a kick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// Memory answers reads with an error.
    Reads,
    /// Memory answers writes with an error.
    Writes,
    /// The core never ends.
    Core,
}

impl Broken {
    fn check(
        broken: Option<Broken>,
        address: u64,
        len: usize,
        write: bool,
    ) -> Result<(), MemoryFault> {
        match (broken, write) {
            (Some(Broken::Reads), false) | (Some(Broken::Writes), true) => Err(MemoryFault {
                address,
                len,
                write,
                why: Refusal::Bus,
            }),
            _ => Ok(()),
        }
    }
}

impl Port<'_> {
    fn through(
        &self,
        iommu: Option<&Iommu>,
        access: impl FnOnce(&dyn Memory) -> Result<(), MemoryFault>,
    ) -> Result<(), MemoryFault> {
        let physical = Gated {
            ram: self.ram,
            gate: self.gate,
        };
        match iommu {
            Some(iommu) => access(&Translated {
                iommu,
                physical: &physical,
            }),
            None => access(&physical),
        }
    }
}

impl Memory for Port<'_> {
    fn read(&self, address: u64, out: &mut [u8]) -> Result<(), MemoryFault> {
        Broken::check(self.broken, address, out.len(), false)?;
        self.through(self.iommus.last(), |memory| memory.read(address, out))
    }

    fn write(&self, address: u64, data: &[u8]) -> Result<(), MemoryFault> {
        Broken::check(self.broken, address, data.len(), true)?;
        self.through(self.iommus.first(), |memory| memory.write(address, data))
    }
}
