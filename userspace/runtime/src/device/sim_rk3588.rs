//! The RK3588 simulator in this process, fed as our driver feeds the chip: the tasks of a job are a
//! chain, which one start runs on one core.

use super::sim::{Loaded, evidence};
use super::{Counters, Device, DeviceError, DeviceSpec, JobError, Program, check, schedule};
use ferrite_compiler::executable::{Executable, Job, Region, Target};
use ferrite_compiler::passes::makespan::makespan;
use ferrite_hw::rk3588::{Parameters, parameters::RK3588};
use ferrite_hw::timing;
use ferrite_sim::rk3588::{self, Config, Core, Start};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Most tasks of a chain: TASK_NUMBER has 12 bits.
const MAX_CHAIN: usize = 4095;

/// The simulator. It is strict: a model may use only what the lowerings of its executable say that
/// they rest on.
#[derive(Debug)]
pub struct SimRk3588 {
    clock_mhz: Option<NonZeroU32>,
    chip: &'static Parameters,
    programs: Arc<Programs>,
}

impl Default for SimRk3588 {
    /// The RK3588 itself.
    fn default() -> SimRk3588 {
        SimRk3588 {
            clock_mhz: None,
            chip: &RK3588,
            programs: Arc::default(),
        }
    }
}

impl SimRk3588 {
    /// A simulator of three cores.
    pub fn new() -> SimRk3588 {
        SimRk3588::default()
    }

    /// The same with another clock.
    pub fn at(clock_mhz: Option<NonZeroU32>) -> SimRk3588 {
        SimRk3588 {
            clock_mhz,
            ..SimRk3588::default()
        }
    }

    /// A related chip.
    pub fn of(chip: &'static Parameters) -> SimRk3588 {
        SimRk3588 {
            chip,
            ..SimRk3588::default()
        }
    }
}

/// The programs on a simulator.
#[derive(Debug, Default)]
struct Programs {
    /// How many there are.
    loaded: AtomicUsize,
    /// How many there have been.
    ever: AtomicUsize,
}

impl Device for SimRk3588 {
    fn name(&self) -> String {
        DeviceSpec::Sim(Target::Rk3588, self.clock_mhz).to_string()
    }

    fn clock_mhz(&self) -> Option<NonZeroU32> {
        self.clock_mhz
    }

    fn target(&self) -> Target {
        Target::Rk3588
    }

    fn cores(&self) -> usize {
        self.chip.cores
    }

    fn load(&self, executable: &Executable) -> Result<Box<dyn Program>, DeviceError> {
        check(executable, Target::Rk3588)?;
        let config = Config {
            evidence: evidence(executable),
            timing: timing::RK3588.at(self.clock_mhz),
            chip: self.chip,
            ..Config::default()
        };
        let loaded = Loaded::new(executable)?;
        self.programs.loaded.fetch_add(1, Ordering::Relaxed);
        Ok(Box::new(SimProgram {
            loaded,
            cores: (0..self.chip.cores).map(|_| Core::new(config)).collect(),
            home: self.programs.ever.fetch_add(1, Ordering::Relaxed) % self.chip.cores,
            programs: Arc::clone(&self.programs),
            estimated_ns: 0,
        }))
    }
}

struct SimProgram {
    loaded: Loaded,
    cores: Vec<Core>,
    /// The core that single jobs run on: programs side by side have one each.
    home: usize,
    programs: Arc<Programs>,
    /// Of all submissions.
    estimated_ns: u64,
}

impl Drop for SimProgram {
    fn drop(&mut self) {
        self.programs.loaded.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Program for SimProgram {
    fn write(
        &mut self,
        region: Region,
        fill: &mut dyn FnMut(&mut [u8]),
    ) -> Result<(), DeviceError> {
        self.loaded.write(region, fill);
        Ok(())
    }

    fn read(&mut self, region: Region, take: &mut dyn FnMut(&[u8])) -> Result<(), DeviceError> {
        self.loaded.read(region, take);
        Ok(())
    }

    fn submit(&mut self, jobs: &[Job]) -> Result<(), JobError> {
        let loaded = &self.loaded;
        let costs: Vec<Cost> = jobs.iter().map(|_| Cost::default()).collect();
        let after = |job: usize| jobs[job].after.clone();
        let run = |core: &mut Core, index: usize, job: usize| {
            let mut done = 0;
            for chain in jobs[job].tasks.chunks(MAX_CHAIN) {
                // The memory hands out addresses below 4 GiB only.
                let commands = loaded.address(chain[0].commands) as u32;
                let start = Start::chain(commands, chain[0].words, chain.len() as u32);
                let outcome = core.run(&loaded.memory, start);
                costs[job].add(&outcome.counters);
                if let Some(fault) = outcome.fault {
                    // As a driver would: the next job finds a working core.
                    core.reset();
                    return Err(JobError::Fault {
                        job,
                        task: done + fault.task as usize,
                        core: index,
                        cause: fault.kind.to_string(),
                    });
                }
                done += chain.len();
            }
            Ok(())
        };
        match jobs.len() {
            1 => run(&mut self.cores[self.home], self.home, 0)?,
            count => schedule::run(&mut self.cores, count, after, run)?,
        }
        let programs = self.programs.loaded.load(Ordering::Relaxed);
        self.estimated_ns += estimate(jobs, &costs, programs, self.cores.len());
        Ok(())
    }

    fn counters(&self) -> Option<Counters> {
        let cores = self.cores.iter().map(|core| named(core.counters()));
        Some(Counters {
            cores: cores.collect(),
            estimated_ns: self.estimated_ns,
        })
    }
}

/// Time and traffic of a job.
#[derive(Default)]
struct Cost {
    nanoseconds: AtomicU64,
    bytes: AtomicU64,
}

impl Cost {
    fn add(&self, counters: &rk3588::Counters) {
        self.nanoseconds
            .fetch_add(counters.estimated_ns, Ordering::Relaxed);
        self.bytes.fetch_add(counters.bytes(), Ordering::Relaxed);
    }
}

/// Estimated nanoseconds of the device that a submission takes: until its last job ends, and at least
/// what all cores together need for its bytes. Of `programs` that submit the like at the same time it is
/// the share of one.
fn estimate(jobs: &[Job], costs: &[Cost], programs: usize, cores: usize) -> u64 {
    let load = |value: &AtomicU64| value.load(Ordering::Relaxed);
    let alone: Vec<u64> = costs.iter().map(|cost| load(&cost.nanoseconds)).collect();
    let bytes: u64 = costs.iter().map(|cost| load(&cost.bytes)).sum();
    let shared = bytes as f64 / timing::RK3588.shared_bandwidth * 1e9;
    let count = jobs.len();
    let durations = alone.repeat(programs);
    let after: Vec<Vec<usize>> = (0..durations.len())
        .map(|job| {
            let first = job / count * count;
            let after = jobs[job % count].after.iter();
            after.map(|before| first + before).collect()
        })
        .collect();
    let end = makespan(&durations, |job| &after[job][..], cores);
    (end / programs as u64).max(shared as u64)
}

fn named(counters: &rk3588::Counters) -> std::collections::BTreeMap<String, u64> {
    [
        ("command_bytes", counters.command_bytes),
        ("feature_bytes", counters.feature_bytes),
        ("weight_bytes", counters.weight_bytes),
        ("bias_bytes", counters.bias_bytes),
        ("operand_bytes", counters.operand_bytes),
        ("pool_bytes", counters.pool_bytes),
        ("output_bytes", counters.output_bytes),
        ("macs", counters.macs),
        ("mac_cycles", counters.mac_cycles),
        ("atoms", counters.atoms),
        ("kicks", counters.kicks),
        ("tasks", counters.tasks),
        ("interrupts", counters.interrupts),
        ("faults", counters.faults),
        ("estimated_ns", counters.estimated_ns),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect()
}
