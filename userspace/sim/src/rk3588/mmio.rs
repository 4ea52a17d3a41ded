//! The bus side of a core: PC registers, slave writes to the other blocks, interrupt, reset.

use super::config::Config;
use super::core::{Core, Outcome, Signals, Start};
use super::counters::Counters;
use super::fault::FaultKind;
use crate::memory::Memory;
use ferrite_hw::rk3588::codes::{VERSION_FIRE, interrupt};
use ferrite_hw::rk3588::table::{Block, Register};
use ferrite_hw::rk3588::{cna, core as core_block, pc};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

/// A started job. Execute it on any thread, then hand the outcome to [`Device::complete`].
pub struct Kick {
    core: Arc<Mutex<Core>>,
    start: Start,
    bus_writes: Vec<(Register, u32)>,
    generation: u64,
}

/// A finished [`Kick`].
pub struct Finished {
    /// How it ended.
    pub outcome: Outcome,
    generation: u64,
}

impl Kick {
    /// What the PC was started with.
    pub fn start(&self) -> Start {
        self.start
    }

    /// Runs the job on `memory` (as the core sees it: behind its IOMMU).
    pub fn execute(self, memory: &dyn Memory) -> Finished {
        let mut core = self.core.lock().unwrap_or_else(PoisonError::into_inner);
        for (register, value) in &self.bus_writes {
            // A refused value stays unwritten; the job then faults or runs with the old one.
            if let Err(why) = core.bus_write(register, *value) {
                log::warn!("bus write refused: {why}");
            }
        }
        Finished {
            outcome: core.run(memory, self.start),
            generation: self.generation,
        }
    }
}

/// One core's register window (64 KiB) and interrupt output.
pub struct Device {
    config: Config,
    core: Arc<Mutex<Core>>,
    signals: Arc<Signals>,
    base_address: u32,
    amounts: u32,
    task_con: u32,
    dma_base: u32,
    op_enable: bool,
    mask: u32,
    raw: u32,
    s_pointers: [u32; 2],
    bus_writes: Vec<(Register, u32)>,
    running: bool,
    generation: u64,
    counters: Counters,
    last_fault: Option<String>,
}

impl Device {
    /// A core after reset.
    pub fn new(config: Config) -> Self {
        let core = Core::new(config);
        Device {
            config,
            signals: core.signals(),
            core: Arc::new(Mutex::new(core)),
            base_address: 0,
            amounts: 0,
            task_con: 0,
            dma_base: 0,
            op_enable: false,
            mask: interrupt::ALL,
            raw: 0,
            s_pointers: [0; 2],
            bus_writes: Vec::new(),
            running: false,
            generation: 0,
            counters: Counters::default(),
            last_fault: None,
        }
    }

    /// The reset input. A running job is abandoned: its outcome will be ignored.
    pub fn reset(&mut self) {
        self.signals.abort.store(true, Ordering::Relaxed);
        // One that works has the lock: what it leaves is not known.
        let core = match self.core.try_lock() {
            Ok(mut core) => core.after_reset(),
            Err(_) => Core::new(self.config),
        };
        *self = Device {
            signals: core.signals(),
            core: Arc::new(Mutex::new(core)),
            generation: self.generation + 1,
            counters: self.counters,
            last_fault: self.last_fault.take(),
            ..Device::new(self.config)
        };
    }

    /// A bus read at byte `offset` of the core's window.
    pub fn mmio_read(&self, offset: u32) -> u32 {
        const VERSION: u32 = pc::VERSION.offset as u32;
        const OPERATION_ENABLE: u32 = pc::OPERATION_ENABLE.offset as u32;
        const BASE_ADDRESS: u32 = pc::BASE_ADDRESS.offset as u32;
        const REGISTER_AMOUNTS: u32 = pc::REGISTER_AMOUNTS.offset as u32;
        const INTERRUPT_MASK: u32 = pc::INTERRUPT_MASK.offset as u32;
        const INTERRUPT_STATUS: u32 = pc::INTERRUPT_STATUS.offset as u32;
        const INTERRUPT_RAW_STATUS: u32 = pc::INTERRUPT_RAW_STATUS.offset as u32;
        const TASK_CON: u32 = pc::TASK_CON.offset as u32;
        const TASK_DMA_BASE_ADDR: u32 = pc::TASK_DMA_BASE_ADDR.offset as u32;
        const TASK_STATUS: u32 = pc::TASK_STATUS.offset as u32;
        const CNA_S_POINTER: u32 = cna::S_POINTER.offset as u32;
        const CORE_S_POINTER: u32 = core_block::S_POINTER.offset as u32;
        match offset {
            VERSION => VERSION_FIRE,
            OPERATION_ENABLE => u32::from(self.op_enable),
            BASE_ADDRESS => self.base_address,
            REGISTER_AMOUNTS => self.amounts,
            INTERRUPT_MASK => self.mask,
            INTERRUPT_STATUS => self.raw & self.mask,
            INTERRUPT_RAW_STATUS => self.raw,
            TASK_CON => self.task_con,
            TASK_DMA_BASE_ADDR => self.dma_base,
            TASK_STATUS => self.signals.ended.load(Ordering::Relaxed) & 0xfff,
            CNA_S_POINTER => self.s_pointers[0],
            CORE_S_POINTER => self.s_pointers[1],
            _ => 0,
        }
    }

    /// A bus write at byte `offset` of the core's window. The start edge returns the job.
    pub fn mmio_write(&mut self, offset: u32, value: u32) -> Option<Kick> {
        let register = u16::try_from(offset)
            .ok()
            .and_then(|o| Block::from_offset(o)?.register(o));
        let Some(register) = register else {
            self.note(format!(
                "bus write of {value:#x} to unknown offset {offset:#x}"
            ));
            return None;
        };
        if register.block != Block::Pc {
            if register.offset == cna::S_POINTER.offset {
                self.s_pointers[0] = value;
            } else if register.offset == core_block::S_POINTER.offset {
                self.s_pointers[1] = value;
            }
            self.bus_writes.push((*register, value));
            return None;
        }
        match *register {
            pc::OPERATION_ENABLE => {
                let rising = value & 1 != 0 && !self.op_enable;
                self.op_enable = value & 1 != 0;
                if rising {
                    return self.kick();
                }
            }
            pc::BASE_ADDRESS => self.base_address = value,
            pc::REGISTER_AMOUNTS => self.amounts = value,
            pc::INTERRUPT_MASK => self.mask = value & interrupt::ALL,
            pc::INTERRUPT_CLEAR => self.raw &= !value,
            pc::TASK_CON => {
                self.task_con = value;
                if pc::task_con::TASK_COUNT_CLEAR.get(value) != 0 {
                    self.signals.ended.store(0, Ordering::Relaxed);
                }
            }
            pc::TASK_DMA_BASE_ADDR => self.dma_base = value,
            _ => self.note(format!(
                "bus write of {value:#x} to read-only {}",
                register.name
            )),
        }
        None
    }

    fn kick(&mut self) -> Option<Kick> {
        if self.running {
            self.note("started while a job runs".to_owned());
            return None;
        }
        if pc::base_address::PC_SEL.get(self.base_address) != 0 {
            self.note("started in slave mode".to_owned());
            return None;
        }
        self.running = true;
        Some(Kick {
            core: Arc::clone(&self.core),
            start: Start {
                base: self.base_address,
                amount: self.amounts,
                task_con: self.task_con,
                dma_base: self.dma_base,
            },
            bus_writes: std::mem::take(&mut self.bus_writes),
            generation: self.generation,
        })
    }

    /// Takes note of a finished job: raises its interrupt bits unless the core was reset since.
    /// A job that faulted hangs: the core stays busy until reset.
    pub fn complete(&mut self, finished: Finished) {
        self.counters += finished.outcome.counters;
        if finished.generation != self.generation {
            return;
        }
        self.raw |= finished.outcome.raw;
        match finished.outcome.fault {
            None => self.running = false,
            Some(fault) => {
                if let FaultKind::Memory { fault: access, .. } = &fault.kind
                    && access.why == crate::memory::Refusal::Bus
                {
                    self.raw |= if access.write {
                        interrupt::DMA_WRITE_ERROR
                    } else {
                        interrupt::DMA_READ_ERROR
                    };
                }
                self.note(fault.to_string());
            }
        }
    }

    fn note(&mut self, text: String) {
        log::warn!("NPU model: {text}");
        self.last_fault = Some(text);
    }

    /// Level of the interrupt output (without the IOMMU, which shares the line).
    pub fn irq_level(&self) -> bool {
        self.raw & self.mask != 0
    }

    /// Whether a job runs or hangs.
    pub fn busy(&self) -> bool {
        self.running
    }

    /// Counts of all finished jobs; they survive resets.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Takes the explanation of the last fault or misuse.
    pub fn take_fault(&mut self) -> Option<String> {
        self.last_fault.take()
    }
}
