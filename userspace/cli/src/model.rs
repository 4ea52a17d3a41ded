//! Models: read, compiled, put on a device.

use crate::args::{DeviceArgs, ModelArgs};
use crate::error::CliError;
use crate::situation::Situations;
use ferrite_compiler::Options;
use ferrite_compiler::executable::{Executable, Placement, Step, Target};
use ferrite_ir::tflite::ReadError;
use ferrite_ir::{Graph, text};
use ferrite_runtime::cpu::Value;
use ferrite_runtime::device::{Device, DeviceSpec};
use ferrite_runtime::selftest::proven;
use ferrite_runtime::session::{Session, cpu_only};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Cores to compile for when there is no device to ask: those of the RK3588.
const CORES: usize = 3;

/// Reads a TFLite model, or a graph as text.
pub fn read(path: &Path) -> Result<Graph, CliError> {
    let bytes = std::fs::read(path).map_err(CliError::io(path))?;
    if ferrite_compiler::file::is_executable(&bytes) {
        return Err(CliError::wrong(
            path,
            "this is a compiled model; give the .tflite model it was made from",
        ));
    }
    match std::str::from_utf8(&bytes) {
        Ok(text) if text::is_graph(text) || path.extension().is_some_and(|e| e == "txt") => {
            let graph = text::parse(text).map_err(|e| CliError::wrong(path, e))?;
            match ferrite_ir::verify(&graph) {
                Ok(()) => Ok(graph),
                Err(errors) => Err(CliError::wrong(path, &errors[0])),
            }
        }
        _ => ferrite_ir::tflite::read(&bytes).map_err(|e| CliError::wrong(path, with_remedy(&e))),
    }
}

/// What is wrong with a model, and what its owner can do about it, if anything.
fn with_remedy(error: &ReadError) -> String {
    match error.remedy() {
        Some(remedy) => format!("{error}: {remedy}"),
        None => error.to_string(),
    }
}

/// What to compile a model for before any device is asked.
pub fn options(args: &ModelArgs, target: Target) -> Options {
    Options {
        evidence: args.evidence.unwrap_or_default().into(),
        exact: args.exact,
        cores: CORES,
        ..Options::new(target)
    }
}

/// Compiles a graph that was read from `path`.
pub fn compile(path: &Path, graph: &Graph, options: &Options) -> Result<Executable, CliError> {
    ferrite_compiler::compile(graph, options).map_err(CliError::compile(path))
}

/// A model on a device, and how long it took to get there.
pub struct Prepared {
    /// Ready to run.
    pub session: Session,
    /// Further sessions, to run at the same time.
    pub others: Vec<Session>,
    /// From graph to executable.
    pub compile: Duration,
    /// From executable to buffers on the device.
    pub load: Duration,
}

/// Reads, compiles and loads a model.
pub fn prepare(args: &ModelArgs, spec: &DeviceArgs) -> Result<Prepared, CliError> {
    prepare_several(args, spec, 1)
}

/// Reads and compiles a model, and loads it `count` times.
pub fn prepare_several(
    args: &ModelArgs,
    spec: &DeviceArgs,
    count: usize,
) -> Result<Prepared, CliError> {
    let graph = Arc::new(read(&args.model)?);
    if let Some(refusal) = Situations::of(&graph).refusal() {
        return Err(CliError::wrong(&args.model, refusal));
    }
    prepare_graph(args, graph, spec, count)
}

/// Compiles for a device, which `count` sessions share; `None` stands for the CPU.
pub fn compile_for(
    args: &ModelArgs,
    graph: &Graph,
    device: Option<&dyn Device>,
    count: usize,
) -> Result<Executable, CliError> {
    let Some(device) = device else {
        return Ok(cpu_only(graph));
    };
    let evidence = match args.evidence {
        Some(evidence) => evidence.into(),
        None => proven::evidence(device),
    };
    log::info!("compiling with lowerings of evidence {evidence:?} or better");
    // Those that run at the same time have the cores among them.
    let options = Options {
        evidence,
        exact: args.exact,
        cores: (device.cores() / count).max(1),
        clock_mhz: device.clock_mhz(),
        ..Options::new(device.target())
    };
    compile(&args.model, graph, &options)
}

/// Compiles a graph of the model that `args` name, and loads it `count` times, which is at least one.
pub fn prepare_graph(
    args: &ModelArgs,
    graph: Arc<Graph>,
    spec: &DeviceArgs,
    count: usize,
) -> Result<Prepared, CliError> {
    let device = spec.open()?;
    let start = Instant::now();
    let executable = compile_for(args, &graph, device.as_deref(), count)?;
    let compile = start.elapsed();
    let start = Instant::now();
    let executable = Arc::new(executable);
    let session = |device: Option<&dyn Device>| {
        Session::new(Arc::clone(&graph), Arc::clone(&executable), device)
    };
    let first = session(device.as_deref())?;
    let load = start.elapsed();
    let mut others = Vec::with_capacity(count - 1);
    for _ in 1..count {
        let own = device
            .as_deref()
            .map(|device| another(device, spec))
            .transpose()?
            .flatten();
        others.push(session(own.as_deref().or(device.as_deref()))?);
    }
    Ok(Prepared {
        session: first,
        others,
        compile,
        load,
    })
}

/// A node opened once more: mainline's drivers run the jobs of one opening one after the other.
fn another(device: &dyn Device, args: &DeviceArgs) -> Result<Option<Box<dyn Device>>, CliError> {
    match device.name().parse() {
        Ok(device @ (DeviceSpec::Accel(_) | DeviceSpec::Render(_))) => {
            Ok(DeviceArgs { device, ..*args }.open()?)
        }
        _ => Ok(None),
    }
}

/// Where the operators of a model ended up.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Coverage {
    /// Operators on the NPU.
    pub npu_ops: usize,
    /// Operators of these with other weights than the model's.
    pub approximate_ops: usize,
    /// Operators on the CPU.
    pub cpu_ops: usize,
    /// Multiply-accumulates on the NPU.
    pub npu_macs: u64,
    /// All multiply-accumulates.
    pub macs: u64,
    /// Submissions to the NPU in an inference.
    pub segments: usize,
    /// Steps of the host: operators, and sums of the NPU that it requantises.
    pub host_steps: usize,
    /// Weakest evidence that anything on the NPU rests on, if there is anything.
    pub evidence: Option<ferrite_compiler::Evidence>,
}

impl Coverage {
    /// Of an executable.
    pub fn of(executable: &Executable) -> Coverage {
        let mut coverage = Coverage::default();
        for step in &executable.steps {
            match step {
                Step::Submit(_) => coverage.segments += 1,
                Step::Cpu(_) | Step::Requantise { .. } => coverage.host_steps += 1,
                Step::Enter(_) | Step::Leave(_) => {}
            }
        }
        for (placement, &macs) in executable.placements.values().zip(executable.macs.values()) {
            coverage.macs += macs;
            match placement {
                Placement::Npu { evidence, .. } | Placement::Approximate { evidence, .. } => {
                    coverage.approximate_ops += usize::from(placement.error().is_some());
                    coverage.evidence = coverage.evidence.max(Some(*evidence));
                    coverage.npu_ops += 1;
                    coverage.npu_macs += macs;
                }
                Placement::Cpu { .. } => coverage.cpu_ops += 1,
                Placement::Folded => {}
            }
        }
        coverage
    }

    /// Fraction of the multiply-accumulates on the NPU. A model without any counts as covered when
    /// nothing of it is left on the CPU.
    pub fn npu_mac_fraction(&self) -> f64 {
        match self.macs {
            0 => f64::from(u8::from(self.npu_ops > 0 && self.cpu_ops == 0)),
            macs => self.npu_macs as f64 / macs as f64,
        }
    }
}

/// Reads input tensors from `.npy` files in the graph's order.
pub fn inputs(graph: &Graph, files: &[PathBuf]) -> Result<Vec<Value>, CliError> {
    if files.len() != graph.inputs.len() {
        let names: Vec<&str> = graph
            .inputs
            .iter()
            .map(|&id| graph.tensor(id).name.as_str())
            .collect();
        return Err(CliError::Misuse(format!(
            "the model has {} inputs ({}), but {} files are given",
            names.len(),
            names.join(", "),
            files.len()
        )));
    }
    let read = |(path, &id): (&PathBuf, _)| {
        let array = crate::arrays::read(path)?;
        crate::arrays::to_value(&array, graph.tensor(id)).map_err(|e| CliError::wrong(path, e))
    };
    files.iter().zip(&graph.inputs).map(read).collect()
}

/// The same noise for the same shapes, each time.
pub fn noise(graph: &Graph) -> Result<Vec<Value>, CliError> {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut byte = move || {
        // xorshift64*
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        (state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 56) as u8
    };
    let value = |&id| {
        let tensor = graph.tensor(id);
        let bytes: Vec<u8> = match tensor.dtype {
            ferrite_ir::DType::F32 => (0..tensor.elements())
                .flat_map(|_| (f32::from(byte()) / 255.0).to_le_bytes())
                .collect(),
            _ => (0..tensor.bytes()).map(|_| byte()).collect(),
        };
        Value::from_bytes(tensor.dtype, tensor.shape.to_vec(), &bytes)
            .map_err(|e| CliError::Misuse(format!("input `{}`: {e}", tensor.name)))
    };
    graph.inputs.iter().map(value).collect()
}
