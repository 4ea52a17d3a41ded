//! What becomes of a file: on the CPU, and on the models of both NPUs.

use ferrite_compiler::{Evidence, Options, Placement};
use ferrite_ir::{DType, Graph};
use ferrite_runtime::Session;
use ferrite_runtime::cpu::Value;
use ferrite_runtime::device::{self, Device, DeviceSpec};
use ferrite_runtime::session::cpu_only;
use std::sync::Arc;

/// Most steps that an operator on an NPU may be off.
const STEPS: i32 = 1;
/// Inputs of more bytes are not run, nor models of more multiply-accumulates: they take too long.
const MOST_BYTES: usize = 1 << 20;
const MOST_MACS: u64 = 50_000_000;

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The reader refused it.
    Refused,
    /// It was compiled, but not run: too large, or for inputs that are no bytes.
    Compiled,
    /// It failed on the CPU, and so it did wherever it was tried.
    Failed,
    /// It ran everywhere, on an NPU at least in part.
    OnNpu,
    /// It ran everywhere, on the CPU.
    OnCpu,
}

/// Reads, compiles and runs a file.
///
/// # Errors
/// Words about what is wrong: devices that disagree about what they can do, or about the result of a
/// single operator.
pub fn try_out(file: &[u8]) -> Result<Outcome, String> {
    let Ok(graph) = ferrite_ir::tflite::read(file) else {
        return Ok(Outcome::Refused);
    };
    let graph = Arc::new(graph);
    let inputs = inputs(&graph);
    // What no output depends on is run by none of them.
    let reference = inputs
        .as_ref()
        .map(|inputs| run(&graph, cpu_only(&graph), None, inputs));
    let mut on_npu = false;
    for name in ["sim:rk3588", "sim:a311d"] {
        let spec: DeviceSpec = name.parse().map_err(|e| format!("{name}: {e}"))?;
        let device = device::open(&spec).map_err(|e| format!("{name}: {e}"))?;
        let device = device.ok_or("no device")?;
        let options = Options {
            evidence: Evidence::Inferred,
            cores: device.cores(),
            ..Options::new(device.target())
        };
        let executable = ferrite_compiler::compile(&graph, &options);
        let executable = executable.map_err(|e| format!("{name}: compiling: {e}"))?;
        on_npu |= !executable.buffers.is_empty();
        let error = executable.placements.values().find_map(Placement::error);
        let (Some(inputs), Some(reference)) = (&inputs, &reference) else {
            continue;
        };
        let found = run(&graph, executable, Some(device.as_ref()), inputs);
        match (reference, found) {
            (Ok(expected), Ok(found)) => {
                if graph.nodes().len() == 1 {
                    compare(&found, expected, steps(error))
                        .map_err(|what| format!("{name}: {what}"))?;
                }
            }
            (Err(_), Err(_)) => {}
            (Ok(_), Err(error)) => return Err(format!("{name} fails, not the CPU: {error}")),
            (Err(error), Ok(_)) => return Err(format!("the CPU fails, not {name}: {error}")),
        }
    }
    Ok(match reference {
        None => Outcome::Compiled,
        Some(Err(_)) => Outcome::Failed,
        Some(Ok(_)) if on_npu => Outcome::OnNpu,
        Some(Ok(_)) => Outcome::OnCpu,
    })
}

fn run(
    graph: &Arc<Graph>,
    executable: ferrite_compiler::Executable,
    device: Option<&dyn Device>,
    inputs: &[Value],
) -> Result<Vec<Value>, String> {
    let session = Session::new(Arc::clone(graph), Arc::new(executable), device);
    let result = session.and_then(|mut session| session.run(inputs));
    result.map_err(|error| error.to_string())
}

/// Noise for all inputs; `None` if they are too large, or not of bytes.
fn inputs(graph: &Graph) -> Option<Vec<Value>> {
    let bytes: usize = graph.tensors.values().map(|tensor| tensor.bytes()).sum();
    if bytes > MOST_BYTES || graph.total_macs() > MOST_MACS {
        return None;
    }
    let mut rng = fastrand::Rng::with_seed(7);
    let value = |id: &ferrite_ir::TensorId| {
        let tensor = graph.tensor(*id);
        let of_bytes = matches!(tensor.dtype, DType::U8 | DType::I8);
        let bytes: Vec<u8> = (0..tensor.bytes()).map(|_| rng.u8(..)).collect();
        let value = Value::from_bytes(tensor.dtype, tensor.shape.to_vec(), &bytes);
        value.ok().filter(|_| of_bytes)
    };
    graph.inputs.iter().map(value).collect()
}

/// Steps by which results may be off, of an operator whose weights are not the model's with the error
/// that these are said to cause: its root mean square, of which no value is many times as far.
fn steps(error: Option<f32>) -> i32 {
    STEPS + error.map_or(0, |error| (8.0 * error).ceil() as i32)
}

fn compare(found: &[Value], expected: &[Value], steps: i32) -> Result<(), String> {
    if found.len() != expected.len() {
        return Err(format!("{} outputs, not {}", found.len(), expected.len()));
    }
    for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
        if found.dtype() != expected.dtype() || found.shape() != expected.shape() {
            return Err(format!("output {index} is {found:?}, not {expected:?}"));
        }
        let number = |byte: u8| match expected.dtype() {
            DType::I8 => i32::from(byte as i8),
            _ => i32::from(byte),
        };
        if !matches!(expected.dtype(), DType::I8 | DType::U8) {
            continue;
        }
        let pairs = found.bytes().iter().zip(expected.bytes());
        let most = pairs.map(|(&a, &b)| (number(a) - number(b)).abs()).max();
        if most > Some(steps) {
            return Err(format!("output {index} is {} steps off", most.unwrap_or(0)));
        }
    }
    Ok(())
}
