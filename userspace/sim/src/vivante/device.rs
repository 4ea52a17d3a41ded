//! The bus side: identity, clock and reset, MMU set-up, the front end and its ring, interrupts.
//!
//! The kernel driver keeps the front end in a ring of WAIT and LINK that it rewrites to start
//! work; there is no doorbell. [`Device::next`] runs the front end up to a point where something
//! has to happen outside: some time to pass, or a job to be executed (on any thread, without the
//! device) and handed to [`Device::complete`].

use super::config::Config;
use super::counters::Counters;
use super::fault::{Check, FaultKind, Unit};
use super::frontend::{Effect, FrontEnd};
use super::job::{Done, Job};
use super::mmu::Mmu;
use crate::memory::{Memory, MemoryFault};
use crate::trace::{self, Recorder, Touched};
use ferrite_hw::vivante::chip::{A311D, A311D_FEATURE, A311D_MINOR_FEATURES};
use ferrite_hw::vivante::{Command, mmu, register};
use std::collections::VecDeque;

/// Commands that [`Device::next`] executes at most before it returns.
const BUDGET: usize = 1024;

/// What has to happen next.
#[derive(Debug)]
pub enum Next {
    /// Nothing until a register write starts the front end.
    Idle,
    /// The front end waits for this many cycles of the core clock.
    Wait(u16),
    /// Call again at once.
    Continue,
    /// A job: execute it.
    Job(Started),
}

/// How addresses are translated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Translation {
    enabled: bool,
    array: u64,
    context: u32,
}

/// What memory looks like through a [`Translation`].
enum View<'a> {
    Physical(&'a dyn Memory),
    Virtual(Mmu<'a>),
}

impl Translation {
    fn view(self, physical: &dyn Memory) -> Result<View<'_>, MemoryFault> {
        if !self.enabled {
            return Ok(View::Physical(physical));
        }
        Ok(View::Virtual(Mmu::new(physical, self.array, self.context)?))
    }
}

impl View<'_> {
    fn memory(&self) -> &dyn Memory {
        match self {
            View::Physical(memory) => *memory,
            View::Virtual(mmu) => mmu,
        }
    }

    fn fault(&self) -> Option<(u32, mmu::Fault)> {
        match self {
            View::Physical(_) => None,
            View::Virtual(mmu) => mmu.fault(),
        }
    }
}

/// A job that the front end waits for.
#[derive(Debug)]
pub struct Started {
    job: Job,
    config: Config,
    translation: Translation,
    generation: u64,
}

/// A job that was executed.
#[derive(Debug)]
pub struct Finished {
    done: Done,
    mmu_fault: Option<(u32, mmu::Fault)>,
    generation: u64,
}

impl Started {
    /// Executes the job on physical memory.
    pub fn execute(self, physical: &dyn Memory) -> Finished {
        self.execute_on(physical, |memory, job, config| job.run(memory, config))
    }

    /// The same, with a record of what it did; `started` is the guest's time in nanoseconds.
    pub fn execute_traced(self, physical: &dyn Memory, started: u64) -> (Finished, trace::Job) {
        let Job {
            kind,
            descriptor,
            id,
        } = self.job;
        let mut touched = Touched::default();
        let finished = self.execute_on(physical, |memory, job, config| {
            let recorder = Recorder::new(memory);
            let done = job.run(&recorder, config);
            touched = recorder.finish();
            done
        });
        let fault = finished.done.fault.as_ref();
        let did = trace::Kick {
            core: 0,
            started,
            before: touched.before,
            written: touched.written,
            fault: fault.map(ToString::to_string).unwrap_or_default(),
        };
        let traced = trace::Job {
            kind,
            descriptor,
            id,
            did,
        };
        (finished, traced)
    }

    fn execute_on(
        self,
        physical: &dyn Memory,
        run: impl FnOnce(&dyn Memory, Job, &Config) -> Done,
    ) -> Finished {
        let (done, mmu_fault) = match self.translation.view(physical) {
            Ok(view) => (run(view.memory(), self.job, &self.config), view.fault()),
            Err(fault) => {
                let unit = Unit::Descriptor;
                let done = Done {
                    job: self.job,
                    counters: Counters::default(),
                    fault: Some(FaultKind::Memory { unit, fault }),
                };
                (done, None)
            }
        };
        Finished {
            done,
            mmu_fault,
            generation: self.generation,
        }
    }
}

impl Started {
    /// Ends the job as the MMU does when the page at `address` is not there.
    pub fn without_page(self, address: u32) -> Finished {
        let why = mmu::Fault::PageNotPresent;
        let done = Done {
            job: self.job,
            counters: Counters::default(),
            fault: Some(FaultKind::Mmu { address, why }),
        };
        Finished {
            done,
            mmu_fault: Some((address, why)),
            generation: self.generation,
        }
    }
}

impl Finished {
    /// Estimated time of the job in nanoseconds.
    pub fn estimated_ns(&self) -> u64 {
        self.done.counters.estimated_ns
    }
}

/// The NPU's register window and interrupt output.
pub struct Device {
    config: Config,
    /// Registers that keep what was written and have no effect, by offset.
    plain: [(u32, u32); 11],
    clock: u32,
    enable: u32,
    pending: u32,
    ahb: u32,
    translation: Translation,
    array_enabled: bool,
    mmu_status: u32,
    mmu_address: u32,
    start_address: u32,
    front_end: FrontEnd,
    /// Where commands are fetched, while it runs.
    at: Option<u32>,
    /// 64-bit words that may still be fetched before a LINK.
    prefetched: u32,
    /// Writes of a LOAD_STATE that are still to be made.
    loads: VecDeque<(u32, u32)>,
    last_command: [u32; 2],
    running: bool,
    /// The job that runs is stuck.
    stuck: bool,
    halted: bool,
    progress: u32,
    generation: u64,
    counters: Counters,
    last_fault: Option<FaultKind>,
}

impl Device {
    /// An NPU after power-up.
    pub fn new(config: Config) -> Self {
        use register as r;
        Device {
            config,
            plain: [
                r::HI_AXI_CONFIG,
                r::PM_POWER_CONTROLS,
                r::PM_MODULE_CONTROLS,
                r::PM_PULSE_EATER,
                r::MMUV2_NONSEC_SAFE_ADDR_LOW,
                r::MMUV2_SEC_SAFE_ADDR_LOW,
                r::MMUV2_SAFE_ADDRESS_CONFIG,
                r::MC_PROFILE_CONFIG0,
                r::FE_COMMAND_CONTROL,
                r::FE_DMA_STATUS,
                r::FE_DMA_DEBUG_STATE,
            ]
            .map(|offset| (offset, 0)),
            clock: 0,
            enable: 0,
            pending: 0,
            ahb: 0,
            translation: Translation {
                enabled: false,
                array: 0,
                context: 0,
            },
            array_enabled: false,
            mmu_status: 0,
            mmu_address: 0,
            start_address: 0,
            front_end: FrontEnd::default(),
            at: None,
            prefetched: 0,
            loads: VecDeque::new(),
            last_command: [0; 2],
            running: false,
            stuck: false,
            halted: false,
            progress: 0,
            generation: 0,
            counters: Counters::default(),
            last_fault: None,
        }
    }

    /// The reset line, or a reset by register: all state is lost but the counts.
    pub fn reset(&mut self) {
        *self = Device {
            generation: self.generation + 1,
            counters: self.counters,
            last_fault: self.last_fault.take(),
            clock: self.clock,
            ..Device::new(self.config)
        };
    }

    /// Level of the interrupt line.
    pub fn interrupt(&self) -> bool {
        self.pending & self.enable != 0
    }

    /// Number of the last reset: jobs that were started before it are dropped.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Counts of all jobs.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Takes the last fault, for the journal.
    pub fn take_fault(&mut self) -> Option<FaultKind> {
        self.last_fault.take()
    }

    /// A read of a register. Reading the pending events clears them.
    pub fn read(&mut self, offset: u32) -> u32 {
        use register as r;
        match offset {
            r::HI_CLOCK_CONTROL => self.clock | r::CLOCK_IDLE,
            r::HI_IDLE_STATE => self.idle_state(),
            r::HI_INTR_ACKNOWLEDGE => std::mem::take(&mut self.pending),
            r::HI_INTR_ENBL => self.enable,
            r::HI_CHIP_MODEL => A311D.model,
            r::HI_CHIP_REV => A311D.revision,
            r::HI_CHIP_CUSTOMER_ID => A311D.customer,
            r::HI_CHIP_PRODUCT_ID => A311D.product,
            r::HI_CHIP_ECO_ID => A311D.eco,
            r::HI_CHIP_FEATURE => A311D_FEATURE,
            r::HI_CHIP_MINOR_FEATURE_0 => A311D_MINOR_FEATURES[0],
            r::HI_CHIP_MINOR_FEATURE_1 => A311D_MINOR_FEATURES[1],
            r::HI_CHIP_MINOR_FEATURE_2 => A311D_MINOR_FEATURES[2],
            r::HI_CHIP_MINOR_FEATURE_3 => A311D_MINOR_FEATURES[3],
            r::HI_CHIP_MINOR_FEATURE_4 => A311D_MINOR_FEATURES[4],
            r::HI_CHIP_MINOR_FEATURE_5 => A311D_MINOR_FEATURES[5],
            r::MMUV2_SEC_EXCEPTION_ADDR => self.mmu_address,
            r::MMUV2_SEC_STATUS => self.mmu_status,
            r::MMUV2_SEC_CONTROL => self.translation.enabled.into(),
            r::MMUV2_AHB_CONTROL => self.ahb,
            r::MC_PROFILE_FE_READ => {
                // The driver's hang check: a job that runs makes progress.
                let moves = self.running && !self.stuck;
                self.progress = self.progress.wrapping_add(moves.into());
                self.progress
            }
            r::FE_DMA_ADDRESS => self.at.unwrap_or(self.start_address),
            r::FE_DMA_LOW => self.last_command[0],
            r::FE_DMA_HIGH => self.last_command[1],
            _ => match self.plain.iter().find(|(at, _)| *at == offset) {
                Some((_, value)) => *value,
                // What remains is read for dumps, or not at all.
                None => 0,
            },
        }
    }

    /// A write to a register. True if [`Device::next`] has something to do.
    pub fn write(&mut self, offset: u32, value: u32) -> bool {
        use register as r;
        match offset {
            r::HI_CLOCK_CONTROL => {
                if value & r::CLOCK_SOFT_RESET != 0 {
                    self.reset();
                }
                self.clock = value & !r::CLOCK_IDLE;
            }
            r::HI_INTR_ENBL => self.enable = value,
            r::MMUV2_SEC_CONTROL => {
                self.translation.enabled |= value & 1 != 0 && self.array_enabled
            }
            r::MMUV2_PTA_ADDRESS_LOW => {
                self.translation.array =
                    self.translation.array & !0xffff_ffff | u64::from(value & !0xfff);
            }
            r::MMUV2_PTA_ADDRESS_HIGH => {
                self.translation.array =
                    self.translation.array & 0xffff_ffff | u64::from(value & 0xff) << 32;
            }
            r::MMUV2_PTA_CONTROL => self.array_enabled = value & 1 != 0,
            r::MMUV2_AHB_CONTROL => {
                if value & r::AHB_RESET != 0 {
                    self.reset();
                }
                self.ahb = value & r::AHB_NONSEC_ACCESS;
            }
            r::FE_COMMAND_ADDRESS => self.start_address = value,
            // The driver writes FE_COMMAND_CONTROL before; in secure mode this one counts.
            r::MMUV2_SEC_COMMAND_CONTROL => {
                if value & r::COMMAND_ENABLE != 0 && !self.halted {
                    self.at = Some(self.start_address);
                    self.prefetched = value & 0xffff;
                    return true;
                }
            }
            _ => match self.plain.iter_mut().find(|(at, _)| *at == offset) {
                Some((_, plain)) => *plain = value,
                None => log::warn!("write of {value:#x} to register {offset:#x} without effect"),
            },
        }
        false
    }

    fn idle_state(&self) -> u32 {
        /// NN, TP and what sources disagree on.
        const ENGINES: u32 = 0xe_0000;
        let mut idle = register::ALL_IDLE;
        if self.at.is_some() {
            idle &= !register::IDLE_FE;
        }
        if self.running {
            idle &= !ENGINES;
        }
        idle
    }

    /// Runs the front end on physical memory.
    pub fn next(&mut self, physical: &dyn Memory) -> Next {
        if self.running || self.halted || self.at.is_none() {
            return Next::Idle;
        }
        let view = match self.translation.view(physical) {
            Ok(view) => view,
            Err(fault) => {
                let unit = Unit::FrontEnd;
                self.halt(FaultKind::Memory { unit, fault }, None);
                return Next::Idle;
            }
        };
        for _ in 0..BUDGET {
            match self.step(view.memory()) {
                Ok(Step::Next) => {}
                Ok(Step::Return(next)) => return next,
                Err(kind) => {
                    self.halt(kind, view.fault());
                    return Next::Idle;
                }
            }
        }
        Next::Continue
    }

    /// A job was executed: the front end goes on.
    pub fn complete(&mut self, finished: Finished) {
        if finished.generation != self.generation {
            return;
        }
        self.running = false;
        self.progress = self.progress.wrapping_add(1);
        self.counters += finished.done.counters;
        self.front_end.done(&finished.done);
        if let Some(kind) = finished.done.fault {
            self.halt(kind, finished.mmu_fault);
        }
    }

    /// The job that runs goes no further, until a reset.
    pub fn hang(&mut self) {
        self.stuck = true;
    }

    /// Stops until a reset; a translation that failed raises its interrupt.
    fn halt(&mut self, kind: FaultKind, mmu_fault: Option<(u32, mmu::Fault)>) {
        log::warn!("NPU stops: {kind}");
        self.halted = true;
        self.counters.faults += 1;
        if let Some((address, why)) = mmu_fault {
            self.mmu_address = address;
            self.mmu_status = why as u32;
            self.pending |= register::INTR_MMU;
        }
        self.last_fault = Some(kind);
    }

    /// One state write, or one command.
    fn step(&mut self, memory: &dyn Memory) -> Check<Step> {
        if let Some((state, value)) = self.loads.pop_front() {
            let effect = self.front_end.load(&self.config, state, value)?;
            return self.effect(effect);
        }
        let Some(at) = self.at else {
            return Ok(Step::Return(Next::Idle));
        };
        let (command, words) = self.fetch(memory, at)?;
        let fault = |why| FaultKind::Command {
            at: at.into(),
            word: words[0],
            why,
        };
        let qwords = words.len() as u32 / 2;
        if qwords > self.prefetched {
            return Err(fault("is beyond what was prefetched"));
        }
        self.prefetched -= qwords;
        self.last_command = [words[0], words[1]];
        self.counters.command_bytes += 4 * words.len() as u64;
        self.at = Some(at.wrapping_add(8 * qwords));
        match command {
            Command::Empty | Command::Nop => {}
            Command::End => self.at = None,
            Command::Wait { cycles } => return Ok(Step::Return(Next::Wait(cycles))),
            Command::Link { prefetch, address } => {
                if !address.is_multiple_of(8) {
                    return Err(fault("links to an address that is no multiple of 8"));
                }
                self.at = Some(address);
                self.prefetched = prefetch.into();
            }
            Command::Stall { token } => self.front_end.stall(token)?,
            Command::LoadState { state, data } => {
                self.loads.extend((state..).step_by(4).zip(data));
            }
            Command::Unknown { .. } => return Err(fault("not a command of NPU streams")),
        }
        Ok(Step::Next)
    }

    fn effect(&mut self, effect: Effect) -> Check<Step> {
        match effect {
            Effect::None => {}
            Effect::Event(id) => {
                self.front_end.check_flushed()?;
                self.pending |= 1 << id;
                self.counters.submissions += 1;
            }
            // Tables are read anew for each job and each run of the front end.
            Effect::FlushMmu => return Ok(Step::Return(Next::Continue)),
            Effect::Context(context) => {
                if context >= mmu::PTA_ENTRIES {
                    return Err(FaultKind::State {
                        state: ferrite_hw::vivante::state::MMUV2_PTA_CONFIG,
                        value: context,
                        why: "the page-table array has 512 entries",
                    });
                }
                self.translation.context = context;
                return Ok(Step::Return(Next::Continue));
            }
            Effect::Run(job) => {
                self.running = true;
                return Ok(Step::Return(Next::Job(Started {
                    job,
                    config: self.config,
                    translation: self.translation,
                    generation: self.generation,
                })));
            }
        }
        Ok(Step::Next)
    }

    /// The command at an address and its words.
    fn fetch(&self, memory: &dyn Memory, at: u32) -> Check<(Command, Vec<u32>)> {
        let read = |len: usize| -> Check<Vec<u32>> {
            let mut bytes = vec![0; 4 * len];
            memory
                .read(at.into(), &mut bytes)
                .map_err(FaultKind::memory(Unit::FrontEnd))?;
            let words = bytes.as_chunks::<4>().0;
            Ok(words.iter().map(|b| u32::from_le_bytes(*b)).collect())
        };
        let mut words = read(2)?;
        if !matches!(Command::decode(&words), Ok((Command::Wait { .. }, _))) {
            // The driver turns a WAIT into a LINK by its second word first: what was read in the
            // middle of that has the old address. Now both are there.
            words = read(Command::words(words[0]))?;
        }
        let (command, len) = Command::decode(&words).map_err(|truncated| FaultKind::Command {
            at: at.into(),
            word: truncated.header,
            why: "changed while it was fetched",
        })?;
        words.truncate(len);
        Ok((command, words))
    }
}

/// What a step of the front end leads to.
enum Step {
    Next,
    Return(Next),
}
