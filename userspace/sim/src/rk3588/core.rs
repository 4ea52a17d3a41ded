//! One NPU core: state that survives from job to job, and running a kick.

use super::config::Config;
use super::conv::Retained;
use super::counters::Counters;
use super::fault::{Fault, FaultKind};
use super::state::State;
use crate::memory::Memory;
use ferrite_hw::rk3588::table::Register;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// What the PC registers hold when a core is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Start {
    /// Address of the first segment (BASE_ADDRESS).
    pub base: u32,
    /// REGISTER_AMOUNTS: 128-bit fetches of the first segment minus one.
    pub amount: u32,
    /// TASK_CON: bits 11 to 0, number of segments to run.
    pub task_con: u32,
    /// TASK_DMA_BASE_ADDR; anything but 0 hangs.
    pub dma_base: u32,
}

impl Start {
    /// What mainline's driver programs for one task of `words` commands, tail included.
    pub fn task(base: u32, words: usize) -> Self {
        Start::chain(base, words, 1)
    }

    /// A chain of `tasks` segments of which the first has `words` commands.
    pub fn chain(base: u32, words: usize, tasks: u32) -> Self {
        Start {
            base,
            amount: ferrite_hw::rk3588::command::segment_amount(words),
            task_con: 0x7000 | tasks,
            dma_base: 0,
        }
    }
}

/// What a kick ended with.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// Bits to raise in INTERRUPT_RAW_STATUS.
    pub raw: u32,
    /// Tasks finished.
    pub tasks: u32,
    /// Why the kick did not finish. The chip would hang, so no completion bits are set.
    pub fault: Option<Fault>,
    /// Counts of this kick.
    pub counters: Counters,
}

/// What the bus side sees and says while a kick runs.
#[derive(Default)]
pub(super) struct Signals {
    /// Ends the kick at the next task.
    pub(super) abort: AtomicBool,
    /// Tasks that have ended, counted as each ends: who learns of a page fault while the kick still
    /// runs reads how far it has come.
    pub(super) ended: AtomicU32,
}

/// One core.
pub struct Core {
    pub(super) config: Config,
    pub(super) state: State,
    pub(super) counters: Counters,
    pub(super) retained: Retained,
    signals: Arc<Signals>,
}

impl Core {
    /// A core after reset.
    pub fn new(config: Config) -> Self {
        Core {
            config,
            state: State::new(),
            counters: Counters::default(),
            retained: Retained::default(),
            signals: Arc::default(),
        }
    }

    /// The reset input: registers, tables and, unless they are to outlive it, contents of the buffer
    /// are lost, counts stay.
    pub fn reset(&mut self) {
        *self = self.after_reset();
    }

    /// A core as this one is after a reset.
    pub(super) fn after_reset(&mut self) -> Core {
        let retained = std::mem::take(&mut self.retained);
        Core {
            counters: self.counters,
            retained: match self.config.buffer_outlives_reset {
                true => retained,
                false => Retained::default(),
            },
            ..Core::new(self.config)
        }
    }

    /// What it shares with the bus side.
    pub(super) fn signals(&self) -> Arc<Signals> {
        Arc::clone(&self.signals)
    }

    /// A register write over the bus (slave mode).
    pub fn bus_write(&mut self, register: &Register, value: u32) -> Result<(), FaultKind> {
        self.state.write(register, value, true)
    }

    /// Counts of all kicks.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Runs a kick to its end.
    pub fn run(&mut self, memory: &dyn Memory, start: Start) -> Outcome {
        let mut outcome = Outcome {
            raw: 0,
            tasks: 0,
            fault: None,
            counters: Counters {
                kicks: 1,
                estimated_ns: (self.config.timing.kick * 1e9) as u64,
                ..Counters::default()
            },
        };
        match self.run_segments(memory, start, &mut outcome) {
            Ok(raw) => {
                outcome.raw = raw;
                outcome.counters.interrupts = 1;
            }
            Err(kind) => {
                outcome.counters.faults = 1;
                outcome.fault = Some(Fault {
                    task: outcome.tasks,
                    kind,
                });
            }
        }
        self.counters += outcome.counters;
        outcome
    }

    pub(super) fn check_abort(&self) -> Result<(), FaultKind> {
        if self.signals.abort.load(Ordering::Relaxed) {
            return Err(FaultKind::Reset);
        }
        Ok(())
    }

    pub(super) fn task_ended(&self) {
        self.signals.ended.fetch_add(1, Ordering::Relaxed);
    }
}
