//! The NPU for use in process: streams as user space submits them.

use super::config::Config;
use super::counters::Counters;
use super::fault::{Check, Fault, FaultKind, Unit};
use super::frontend::{Effect, FrontEnd};
use super::nn;
use crate::memory::Memory;
use ferrite_hw::vivante::{Command, state};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What a stream ended with.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// Jobs finished.
    pub jobs: u32,
    /// Why the stream did not finish.
    pub fault: Option<Fault>,
    /// Counts of this stream.
    pub counters: Counters,
}

/// An NPU. It has one front end: streams of several threads run one after the other.
pub struct Npu {
    config: Config,
    counters: Mutex<Counters>,
    known: nn::Known,
}

impl Npu {
    /// An idle NPU.
    pub fn new(config: Config) -> Self {
        Npu {
            config,
            counters: Mutex::default(),
            known: nn::Known::default(),
        }
    }

    /// Runs a stream from memory at the address given (4-byte words, a whole number of commands).
    pub fn run_at(&self, memory: &dyn Memory, address: u64, words: usize) -> Outcome {
        let mut bytes = vec![0; words * 4];
        match memory.read(address, &mut bytes) {
            Ok(()) => {
                let words = bytes.as_chunks::<4>().0;
                let words: Vec<u32> = words.iter().map(|b| u32::from_le_bytes(*b)).collect();
                self.run(memory, &words)
            }
            Err(fault) => {
                let unit = Unit::FrontEnd;
                self.end(
                    0,
                    Counters::default(),
                    Err(FaultKind::Memory { unit, fault }),
                )
            }
        }
    }

    /// Runs a stream as it is handed to GEM_SUBMIT. Addresses in it and in descriptors are those
    /// of `memory`. All results are in memory when it returns, or it is a fault.
    pub fn run(&self, memory: &dyn Memory, stream: &[u32]) -> Outcome {
        let mut counters = Counters {
            command_bytes: size_of_val(stream) as u64,
            submissions: 1,
            ..Counters::default()
        };
        let mut jobs = 0;
        let result = self.execute(memory, stream, &mut jobs, &mut counters);
        self.end(jobs, counters, result)
    }

    /// Counts of all streams.
    pub fn counters(&self) -> Counters {
        *lock(&self.counters)
    }

    fn end(&self, jobs: u32, mut counters: Counters, result: Check) -> Outcome {
        let fault = result.err().map(|kind| Fault { job: jobs, kind });
        counters.faults = u64::from(fault.is_some());
        *lock(&self.counters) += counters;
        Outcome {
            jobs,
            fault,
            counters,
        }
    }

    fn execute(
        &self,
        memory: &dyn Memory,
        stream: &[u32],
        jobs: &mut u32,
        counters: &mut Counters,
    ) -> Check {
        let mut front_end = FrontEnd::default();
        let mut at = 0;
        while at < stream.len() {
            let fault = |why| FaultKind::Command {
                at: 4 * at as u64,
                word: stream[at],
                why,
            };
            let (command, len) = Command::decode(&stream[at..])
                .map_err(|_| fault("the stream ends within the command"))?;
            match command {
                Command::Empty | Command::Nop => {}
                Command::Stall { token } => front_end.stall(token)?,
                Command::LoadState { state, data } => {
                    for (address, value) in (state..).step_by(4).zip(data) {
                        if privileged(address) {
                            return Err(FaultKind::State {
                                state: address,
                                value,
                                why: "belongs to the kernel driver",
                            });
                        }
                        let effect = front_end.load(&self.config, address, value)?;
                        let Effect::Run(job) = effect else { continue };
                        let done = job.run_again(memory, &self.config, &self.known);
                        front_end.done(&done);
                        *counters += done.counters;
                        match done.fault {
                            None => *jobs += 1,
                            Some(fault) => return Err(fault),
                        }
                    }
                }
                Command::End | Command::Wait { .. } | Command::Link { .. } => {
                    return Err(fault("would break the kernel driver's ring"));
                }
                Command::Unknown { .. } => return Err(fault("not a command of NPU streams")),
            }
            at += len;
        }
        front_end.check_flushed()
    }
}

/// States that only the kernel driver may load.
fn privileged(state: u32) -> bool {
    matches!(
        state,
        state::MMUV2_CONFIGURATION
            | state::MMUV2_PTA_CONFIG
            | state::GL_PIPE_SELECT
            | state::GL_EVENT
    )
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
