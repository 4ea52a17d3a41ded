//! A job of the NN or a TP unit, from its start to its end.

use super::config::Config;
use super::counters::Counters;
use super::fault::{FaultKind, Unit};
use super::{nn, tp};
use crate::memory::Memory;
use ferrite_hw::vivante::disasm::{self, Kind};
use ferrite_hw::vivante::field::{self, DESCRIPTOR_BYTES};

/// A job that the front end has started.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Job {
    /// The unit.
    pub kind: Kind,
    /// Address of its descriptor.
    pub descriptor: u32,
    /// Synchronisation id it was started with.
    pub id: u8,
}

/// What a job ended with.
#[derive(Clone, Debug, PartialEq)]
pub struct Done {
    /// The job.
    pub job: Job,
    /// Its counts; nothing if it did not finish.
    pub counters: Counters,
    /// Why it did not finish.
    pub fault: Option<FaultKind>,
}

impl Job {
    /// Runs the job to its end.
    pub fn run(self, memory: &dyn Memory, config: &Config) -> Done {
        self.run_again(memory, config, &nn::Known::default())
    }

    /// As [`Job::run`], with what earlier jobs left to use again.
    pub(crate) fn run_again(self, memory: &dyn Memory, config: &Config, known: &nn::Known) -> Done {
        let (counters, fault) = match self.try_run(memory, config, known) {
            Ok(counters) => (counters, None),
            Err(fault) => (Counters::default(), Some(fault)),
        };
        Done {
            job: self,
            counters,
            fault,
        }
    }

    fn try_run(
        self,
        memory: &dyn Memory,
        config: &Config,
        known: &nn::Known,
    ) -> Result<Counters, FaultKind> {
        let mut bytes = [0; DESCRIPTOR_BYTES];
        memory
            .read(self.descriptor.into(), &mut bytes)
            .map_err(FaultKind::memory(Unit::Descriptor))?;
        let words = field::from_bytes(&bytes);
        let result = match self.kind {
            Kind::Nn => nn::run(memory, &words, config, known),
            Kind::Tp => tp::run(memory, &words, config),
        };
        // What the board's journal shows is all there is to find the cause with.
        let mut counters = result.inspect_err(|fault| {
            log::warn!("{fault}\n{}", disasm::descriptor(self.kind, &words));
        })?;
        counters.descriptor_bytes += DESCRIPTOR_BYTES as u64;
        Ok(counters)
    }
}
