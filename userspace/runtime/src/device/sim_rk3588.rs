//! The RK3588 simulator in this process, fed as mainline's driver feeds the chip: one start for
//! each task, the tasks of a job in order on one core.

use super::sim::{Loaded, evidence};
use super::{Counters, Device, DeviceError, JobError, Program, check, schedule};
use ferrite_compiler::executable::{Executable, Job, Region, Target};
use ferrite_sim::rk3588::{self, Config, Core, Start};

/// Cores of the chip.
const CORES: usize = 3;

/// The simulator. It is strict: a model may use only what the lowerings of its executable say that
/// they rest on.
#[derive(Debug, Default)]
pub struct SimRk3588;

impl SimRk3588 {
    /// A simulator of three cores.
    pub fn new() -> SimRk3588 {
        SimRk3588
    }
}

impl Device for SimRk3588 {
    fn name(&self) -> String {
        "sim:rk3588".to_owned()
    }

    fn target(&self) -> Target {
        Target::Rk3588
    }

    fn cores(&self) -> usize {
        CORES
    }

    fn load(&self, executable: &Executable) -> Result<Box<dyn Program>, DeviceError> {
        check(executable, Target::Rk3588)?;
        let config = Config {
            evidence: evidence(executable),
            ..Config::default()
        };
        Ok(Box::new(SimProgram {
            loaded: Loaded::new(executable)?,
            cores: (0..CORES).map(|_| Core::new(config)).collect(),
        }))
    }
}

struct SimProgram {
    loaded: Loaded,
    cores: Vec<Core>,
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
        let after = |job: usize| jobs[job].after.clone();
        let run = |core: &mut Core, index: usize, job: usize| {
            for (number, task) in jobs[job].tasks.iter().enumerate() {
                // The memory hands out addresses below 4 GiB only.
                let commands = loaded.address(task.commands) as u32;
                let outcome = core.run(&loaded.memory, Start::task(commands, task.words));
                if let Some(fault) = outcome.fault {
                    // As a driver would: the next job finds a working core.
                    core.reset();
                    return Err(JobError::Fault {
                        job,
                        task: number,
                        core: index,
                        cause: fault.kind.to_string(),
                    });
                }
            }
            Ok(())
        };
        schedule::run(&mut self.cores, jobs.len(), after, run)
    }

    fn counters(&self) -> Option<Counters> {
        let cores = self.cores.iter().map(|core| named(core.counters()));
        Some(Counters {
            cores: cores.collect(),
        })
    }
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
