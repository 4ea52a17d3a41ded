//! Several cores for use in process.

use super::config::Config;
use super::core::{Core, Outcome, Start};
use super::counters::Counters;
use crate::memory::Memory;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// The NPU of a chip: independent cores. Threads that run jobs at the same time get different
/// cores as long as there are free ones, and wait otherwise.
pub struct Simulator {
    free: Mutex<Vec<Core>>,
    freed: Condvar,
    cores: usize,
    counters: Mutex<Counters>,
}

impl Simulator {
    /// `cores` cores (3 on the chip) of the same configuration.
    pub fn new(cores: usize, config: Config) -> Self {
        Simulator {
            free: Mutex::new((0..cores.max(1)).map(|_| Core::new(config)).collect()),
            freed: Condvar::new(),
            cores: cores.max(1),
            counters: Mutex::default(),
        }
    }

    /// Number of cores.
    pub fn cores(&self) -> usize {
        self.cores
    }

    /// Runs the kicks of a job in order on one core; stops after the first that faults.
    /// A core that faulted is reset, as a driver would.
    pub fn run(&self, memory: &dyn Memory, kicks: &[Start]) -> Vec<Outcome> {
        let mut lease = self.take();
        let mut outcomes = Vec::with_capacity(kicks.len());
        for &start in kicks {
            let outcome = lease.core.run(memory, start);
            let faulted = outcome.fault.is_some();
            *lock(&self.counters) += outcome.counters;
            outcomes.push(outcome);
            if faulted {
                lease.core.reset();
                break;
            }
        }
        outcomes
    }

    /// Counts of all cores.
    pub fn counters(&self) -> Counters {
        *lock(&self.counters)
    }

    fn take(&self) -> Lease<'_> {
        let mut free = lock(&self.free);
        loop {
            match free.pop() {
                Some(core) => {
                    return Lease {
                        simulator: self,
                        core,
                    };
                }
                None => {
                    free = self
                        .freed
                        .wait(free)
                        .unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }
}

/// A core in use. Goes back to the free ones however its job ends.
struct Lease<'a> {
    simulator: &'a Simulator,
    core: Core,
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        let mut core = Core::new(Config::default());
        std::mem::swap(&mut core, &mut self.core);
        if std::thread::panicking() {
            core.reset();
        }
        lock(&self.simulator.free).push(core);
        self.simulator.freed.notify_one();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
