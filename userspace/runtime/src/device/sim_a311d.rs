//! The A311D simulator in this process, given command streams as etnaviv's user space submits them.

use super::sim::{Loaded, evidence};
use super::{Counters, Device, DeviceError, DeviceSpec, JobError, Program, check};
use ferrite_compiler::executable::{Executable, Job, Region, Target};
use ferrite_hw::timing;
use ferrite_sim::vivante::{self, Config, Npu};
use std::num::NonZeroU32;

/// The simulator. It is strict: a model may use only what the lowerings of its executable say that
/// they rest on.
#[derive(Debug, Default)]
pub struct SimA311d {
    clock_mhz: Option<NonZeroU32>,
}

impl SimA311d {
    /// A simulator of the chip's one NPU.
    pub fn new() -> SimA311d {
        SimA311d::default()
    }

    /// The same with another clock.
    pub fn at(clock_mhz: Option<NonZeroU32>) -> SimA311d {
        SimA311d { clock_mhz }
    }
}

impl Device for SimA311d {
    fn name(&self) -> String {
        DeviceSpec::Sim(Target::A311d, self.clock_mhz).to_string()
    }

    fn clock_mhz(&self) -> Option<NonZeroU32> {
        self.clock_mhz
    }

    fn target(&self) -> Target {
        Target::A311d
    }

    fn cores(&self) -> usize {
        // The eight NN cores share the kernels of every job; jobs come one after the other.
        1
    }

    fn load(&self, executable: &Executable) -> Result<Box<dyn Program>, DeviceError> {
        check(executable, Target::A311d)?;
        let config = Config {
            evidence: evidence(executable),
            timing: timing::A311D.at(self.clock_mhz),
            ..Config::default()
        };
        Ok(Box::new(SimProgram {
            loaded: Loaded::new(executable)?,
            npu: Npu::new(config),
        }))
    }
}

struct SimProgram {
    loaded: Loaded,
    npu: Npu,
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
        for (number, job) in jobs.iter().enumerate() {
            for (index, task) in job.tasks.iter().enumerate() {
                let address = self.loaded.address(task.commands);
                // A stream is counted in pairs of words.
                let outcome = self
                    .npu
                    .run_at(&self.loaded.memory, address, 2 * task.words);
                if let Some(fault) = outcome.fault {
                    return Err(JobError::Fault {
                        job: number,
                        task: index,
                        core: 0,
                        cause: fault.to_string(),
                    });
                }
            }
        }
        Ok(())
    }

    fn counters(&self) -> Option<Counters> {
        let counters = self.npu.counters();
        Some(Counters {
            estimated_ns: counters.estimated_ns,
            cores: vec![named(&counters)],
        })
    }
}

fn named(counters: &vivante::Counters) -> std::collections::BTreeMap<String, u64> {
    [
        ("command_bytes", counters.command_bytes),
        ("descriptor_bytes", counters.descriptor_bytes),
        ("coefficient_bytes", counters.coefficient_bytes),
        ("image_bytes", counters.image_bytes),
        ("output_bytes", counters.output_bytes),
        ("tp_read_bytes", counters.tp_read_bytes),
        ("tp_write_bytes", counters.tp_write_bytes),
        ("macs", counters.macs),
        ("mac_cycles", counters.mac_cycles),
        ("symbols", counters.symbols),
        ("dropped_kernels", counters.dropped_kernels),
        ("nn_jobs", counters.nn_jobs),
        ("tp_jobs", counters.tp_jobs),
        ("submissions", counters.submissions),
        ("faults", counters.faults),
        ("estimated_ns", counters.estimated_ns),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect()
}
