//! Runs a trace again on the models, without a guest: what studying another driver's streams and
//! changing the model need.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use ferrite_hw::rk3588::pc;
use ferrite_hw::vivante::Words;
use ferrite_hw::vivante::disasm::Kind;
use ferrite_hw::vivante::field::{self, DESCRIPTOR_BYTES};

use super::{Event, Job, Kick, PAGE, Run};
use crate::memory::{Memory, MemoryFault, Refusal};
use crate::rk3588::{Config, Counters, Device, Start};
use crate::vivante;

/// The pages that a kick touched, as they were before it.
pub struct TracedMemory(Mutex<BTreeMap<u64, [u8; PAGE]>>);

impl TracedMemory {
    /// Memory before `kick`.
    pub fn before(kick: &Kick) -> Self {
        Self(Mutex::new(
            kick.before
                .iter()
                .map(|page| (page.address, *page.bytes))
                .collect(),
        ))
    }

    fn pages(&self) -> MutexGuard<'_, BTreeMap<u64, [u8; PAGE]>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Calls `f` with each page of an access, where it starts in that page, and its bytes.
    fn access(
        &self,
        address: u64,
        length: usize,
        write: bool,
        mut f: impl FnMut(&mut [u8], std::ops::Range<usize>),
    ) -> Result<(), MemoryFault> {
        let mut pages = self.pages();
        let mut done = 0;
        while done < length {
            let at = address.wrapping_add(done as u64);
            let offset = (at % PAGE as u64) as usize;
            let step = (PAGE - offset).min(length - done);
            let why = Refusal::Unmapped;
            let fault = MemoryFault {
                address: at,
                len: length,
                write,
                why,
            };
            let page = pages.get_mut(&(at - offset as u64)).ok_or(fault)?;
            f(&mut page[offset..offset + step], done..done + step);
            done += step;
        }
        Ok(())
    }
}

impl Memory for TracedMemory {
    fn read(&self, address: u64, out: &mut [u8]) -> Result<(), MemoryFault> {
        self.access(address, out.len(), false, |page, range| {
            out[range].copy_from_slice(page)
        })
    }

    fn write(&self, address: u64, data: &[u8]) -> Result<(), MemoryFault> {
        self.access(address, data.len(), true, |page, range| {
            page.copy_from_slice(&data[range])
        })
    }
}

/// How a kick or job of the trace went this time.
#[derive(Debug)]
pub struct Replayed {
    /// The core.
    pub core: u8,
    /// What it was.
    pub work: Work,
    /// The first byte that is not as it was recorded, with the byte of now and the recorded one.
    pub difference: Option<(u64, u8, u8)>,
    /// Why it did not complete this time: empty when it did.
    pub fault: String,
    /// Why it did not complete when it was recorded.
    pub recorded_fault: String,
}

impl Replayed {
    /// Whether it went as recorded.
    pub fn agrees(&self) -> bool {
        self.difference.is_none() && self.fault.is_empty() == self.recorded_fault.is_empty()
    }
}

/// What a core or unit was told to do, and its counts.
#[derive(Debug)]
pub enum Work {
    /// A kick of a core of the RK3588.
    Kick {
        /// What the PC was started with.
        start: Start,
        /// The first segment's command words.
        commands: Vec<u64>,
        /// Counts.
        counters: Box<Counters>,
    },
    /// A job of the A311D's NPU.
    Job {
        /// The unit.
        kind: Kind,
        /// Its descriptor; nothing if the trace does not have it.
        descriptor: Option<Words>,
        /// Counts.
        counters: Box<vivante::Counters>,
    },
}

/// The order of a trace makes no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("core {core} has worked without having been started")]
pub struct NotStarted {
    /// The core.
    pub core: u8,
}

/// Cores that events are fed to.
#[derive(Default)]
pub struct Replayer {
    cores: BTreeMap<u8, Traced>,
}

struct Traced {
    device: Device,
    started: Option<crate::rk3588::Kick>,
}

impl Default for Traced {
    fn default() -> Self {
        Self {
            device: Device::new(Config::default()),
            started: None,
        }
    }
}

impl Replayer {
    /// Cores after reset.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes one event; a kick is done again and compared.
    pub fn event(&mut self, event: &Event) -> Result<Option<Replayed>, NotStarted> {
        match event {
            Event::Write {
                core,
                offset,
                value,
            } => {
                let traced = self.cores.entry(*core).or_default();
                if let Some(kick) = traced.device.mmio_write(*offset, *value) {
                    traced.started = Some(kick);
                }
                Ok(None)
            }
            Event::Reset { core } => {
                self.cores.entry(*core).or_default().device.reset();
                Ok(None)
            }
            Event::Kick(recorded) => {
                let core = recorded.core;
                let traced = self.cores.entry(core).or_default();
                let kick = traced.started.take().ok_or(NotStarted { core })?;
                let start = kick.start();
                let memory = TracedMemory::before(recorded);
                let commands = commands(&memory, start);
                let finished = kick.execute(&memory);
                let replayed = Replayed {
                    core,
                    work: Work::Kick {
                        start,
                        commands,
                        counters: Box::new(finished.outcome.counters),
                    },
                    difference: difference(recorded, &memory),
                    fault: explanation(finished.outcome.fault.as_ref()),
                    recorded_fault: recorded.fault.clone(),
                };
                traced.device.complete(finished);
                Ok(Some(replayed))
            }
            Event::Job(job) => Ok(Some(replay_job(job))),
        }
    }
}

/// Runs a job again. It depends on nothing but its descriptor and memory.
fn replay_job(job: &Job) -> Replayed {
    let memory = TracedMemory::before(&job.did);
    let mut bytes = [0; DESCRIPTOR_BYTES];
    let read = memory.read(job.descriptor.into(), &mut bytes);
    let again = vivante::Job {
        kind: job.kind,
        descriptor: job.descriptor,
        id: job.id,
    };
    let done = again.run(&memory, &vivante::Config::default());
    Replayed {
        core: job.did.core,
        work: Work::Job {
            kind: job.kind,
            descriptor: read.is_ok().then(|| field::from_bytes(&bytes)),
            counters: Box::new(done.counters),
        },
        difference: difference(&job.did, &memory),
        fault: explanation(done.fault.as_ref()),
        recorded_fault: job.did.fault.clone(),
    }
}

fn explanation(fault: Option<&impl ToString>) -> String {
    fault.map(ToString::to_string).unwrap_or_default()
}

/// The words of the segment that a core starts with, as far as the trace has them.
fn commands(memory: &TracedMemory, start: Start) -> Vec<u64> {
    let fetches = u64::from(pc::register_amounts::PC_DATA_AMOUNT.get(start.amount)) + 1;
    let mut words = Vec::new();
    for index in 0..fetches * 2 {
        let mut bytes = [0; 8];
        if memory
            .read(u64::from(start.base) + index * 8, &mut bytes)
            .is_err()
        {
            break;
        }
        words.push(u64::from_le_bytes(bytes));
    }
    words
}

/// Compares memory with what a kick left when it was recorded, written or not.
fn difference(recorded: &Kick, memory: &TracedMemory) -> Option<(u64, u8, u8)> {
    let mut after: BTreeMap<u64, [u8; PAGE]> = recorded
        .before
        .iter()
        .map(|page| (page.address, *page.bytes))
        .collect();
    for Run { address, bytes } in &recorded.written {
        for (offset, byte) in bytes.iter().enumerate() {
            let at = address + offset as u64;
            let within = (at % PAGE as u64) as usize;
            if let Some(page) = after.get_mut(&(at - within as u64)) {
                page[within] = *byte;
            }
        }
    }
    for (address, now) in memory.pages().iter() {
        let then = after.get(address)?;
        if let Some(offset) = (0..PAGE).find(|offset| now[*offset] != then[*offset]) {
            return Some((address + offset as u64, now[offset], then[offset]));
        }
    }
    None
}
