//! What the kernels of one delegate share: the device, the options, the cache.

use crate::cache::{self, Cache};
use crate::options::{OnError, Options};
use ferrite_compiler::{CompileError, Executable, Plan};
use ferrite_ir::Graph;
use ferrite_process::{Process, opened_before_fork};
use ferrite_runtime::Session;
use ferrite_runtime::device::{self, Device, DeviceError, DeviceSpec};
use ferrite_runtime::selftest::proven;
use ferrite_runtime::session::{RunError, cpu_only};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// Why a delegate cannot be made, or a partition not be prepared.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The device cannot be opened.
    #[error("device `{device}`: {source}")]
    Device {
        /// Its name.
        device: String,
        /// What is wrong with it.
        source: DeviceError,
    },
    /// There is no NPU.
    #[error(
        "no NPU can be used here: {}; give option device=sim:rk3588 for the simulator",
        .0.join("; ")
    )]
    NoHardware(Vec<String>),
    /// A parent of this process opened the device.
    #[error("{}", opened_before_fork("the delegate", *.0))]
    Forked(Process),
    /// The compiler gave up.
    #[error("compiling: {0}")]
    Compile(#[from] CompileError),
    /// The device did not take the compiled graph.
    #[error("loading: {0}")]
    Load(#[from] RunError),
}

/// An NPU and how to compile for it.
struct Npu {
    device: Mutex<Box<dyn Device>>,
    options: ferrite_compiler::Options,
}

/// See the module.
pub struct Engine {
    /// `None` if everything is to stay on the CPU.
    npu: Option<Npu>,
    cache: Option<Cache>,
    on_error: OnError,
    process: Process,
}

impl Engine {
    /// Opens the device that the options name.
    pub fn open(options: &Options) -> Result<Engine, EngineError> {
        let wrong = |source| EngineError::Device {
            device: options.device.to_string(),
            source,
        };
        let Some(mut device) = open(&options.device)? else {
            options.priority.expect_normal("the CPU").map_err(wrong)?;
            return Ok(Engine::without_npu(options));
        };
        device.set_priority(options.priority).map_err(wrong)?;
        Ok(Engine::with_npu(device, options))
    }

    /// An engine for an NPU that is open already.
    pub fn with_npu(device: Box<dyn Device>, options: &Options) -> Engine {
        let evidence = options
            .evidence
            .unwrap_or_else(|| proven::evidence(&*device));
        log::info!("compiling with lowerings of evidence {evidence:?} or better");
        Engine {
            npu: Some(Npu {
                options: ferrite_compiler::Options {
                    evidence,
                    exact: options.exact,
                    cores: device.cores(),
                    clock_mhz: device.clock_mhz(),
                    ..ferrite_compiler::Options::new(device.target())
                },
                device: Mutex::new(device),
            }),
            ..Engine::without_npu(options)
        }
    }

    /// An engine that leaves everything to the host.
    pub fn without_npu(options: &Options) -> Engine {
        Engine {
            npu: None,
            cache: options.cache_dir.as_deref().map(Cache::new),
            on_error: options.on_error,
            process: Process::current(),
        }
    }

    /// What to do when the device fails.
    pub fn on_error(&self) -> OnError {
        self.on_error
    }

    /// The process that made the engine.
    pub fn process(&self) -> Process {
        self.process
    }

    /// How to compile; `None` if everything stays on the CPU.
    pub fn compile_options(&self) -> Option<&ferrite_compiler::Options> {
        self.npu.as_ref().map(|npu| &npu.options)
    }

    /// Puts a graph on the device, or without one on the CPU. `plan` is for the same graph, where it
    /// is known how the operators are done.
    pub fn session(
        &self,
        graph: Arc<Graph>,
        plan: Option<Plan<Arc<Graph>>>,
    ) -> Result<Session, EngineError> {
        let Some(npu) = &self.npu else {
            return Ok(on_cpu(graph)?);
        };
        // Before anything is locked: a thread that only the parent has may hold the lock.
        if !self.process.is_current() {
            return Err(EngineError::Forked(self.process));
        }
        let executable = self.compile(&graph, plan, &npu.options)?;
        let device = npu.device.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(Session::new(
            graph,
            Arc::new(executable),
            Some(device.as_ref()),
        )?)
    }

    fn compile(
        &self,
        graph: &Arc<Graph>,
        plan: Option<Plan<Arc<Graph>>>,
        options: &ferrite_compiler::Options,
    ) -> Result<Executable, EngineError> {
        let start = Instant::now();
        let kept = self
            .cache
            .as_ref()
            .map(|cache| (cache, cache::key(graph, options)));
        let found = kept.as_ref().and_then(|(cache, key)| cache.load(key));
        let how = if found.is_some() {
            "read from the cache"
        } else {
            "compiled"
        };
        let executable = match found {
            Some(executable) => executable,
            None => {
                let plan = match plan {
                    Some(plan) => plan,
                    None => Plan::new(Arc::clone(graph), options)?,
                };
                let executable = plan.compile()?;
                if let Some((cache, key)) = &kept {
                    cache.store(key, &executable);
                }
                executable
            }
        };
        log::info!("{how} in {:.1} ms", start.elapsed().as_secs_f64() * 1e3);
        Ok(executable)
    }
}

/// A graph on the CPU kernels.
pub fn on_cpu(graph: Arc<Graph>) -> Result<Session, RunError> {
    let executable = Arc::new(cpu_only(&graph));
    Session::new(graph, executable, None)
}

/// Opens a device; `None` stands for the CPU.
fn open(spec: &DeviceSpec) -> Result<Option<Box<dyn Device>>, EngineError> {
    let named = |spec: &DeviceSpec| {
        device::open(spec).map_err(|source| EngineError::Device {
            device: spec.to_string(),
            source,
        })
    };
    let DeviceSpec::Auto = spec else {
        return named(spec);
    };
    // Of what can run here, only hardware is taken without being asked for.
    let mut obstacles = Vec::new();
    for candidate in device::survey() {
        if !candidate.device.starts_with("/dev/") {
            continue;
        }
        match (candidate.obstacle, candidate.device.parse()) {
            (None, Ok(spec)) => return named(&spec),
            (Some(obstacle), _) => obstacles.push(obstacle),
            (None, Err(unknown)) => obstacles.push(unknown.to_string()),
        }
    }
    Err(EngineError::NoHardware(obstacles))
}
