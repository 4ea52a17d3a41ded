//! A graph on a simulator against the CPU kernels.

use ferrite_compiler::{Executable, Options, Placement, Target, compile};
use ferrite_ir::text::random_elements;
use ferrite_ir::{DType, Graph, Tensor};
use ferrite_runtime::Session;
use ferrite_runtime::cpu::{Interpreter, Value};
use ferrite_runtime::device::Device;
use ferrite_runtime::device::sim_a311d::SimA311d;
use ferrite_runtime::device::sim_rk3588::SimRk3588;
use std::fmt::Write;
use std::sync::Arc;

/// Says how many operators the NPU ran, and how near its results are.
///
/// # Errors
/// If the graph cannot run, or a result is more than `steps` off.
pub fn run(graph: &Graph, options: &Options, seed: u64, steps: u64) -> Result<String, String> {
    let graph = Arc::new(graph.clone());
    let executable = Arc::new(compile(&graph, options).map_err(|e| e.to_string())?);
    let mut text = format!("{}\n", operators(&executable));

    let inputs: Result<Vec<Value>, String> = (seed..)
        .zip(&graph.inputs)
        .map(|(seed, &id)| random(graph.tensor(id), seed))
        .collect();
    let inputs = inputs?;
    let device: Box<dyn Device> = match options.target {
        Target::Rk3588 => Box::new(SimRk3588::of(options.rk3588)),
        Target::A311d => Box::new(SimA311d::new()),
    };
    let mut session =
        Session::new(Arc::clone(&graph), executable, Some(&*device)).map_err(|e| e.to_string())?;
    let found = session.run(&inputs).map_err(|e| e.to_string())?;
    let reference = Interpreter::new(Arc::clone(&graph))
        .and_then(|interpreter| interpreter.run(&inputs))
        .map_err(|e| e.to_string())?;

    let mut worst = 0;
    for ((id, found), expected) in graph.outputs.iter().zip(&found).zip(&reference) {
        let (equal, largest) = compare(found, expected)?;
        let all = expected.elements();
        let _ = writeln!(text, "{id}: {equal} of {all} exact, largest step {largest}");
        worst = worst.max(largest);
    }
    if worst > steps {
        return Err(format!("{worst} steps off, not {steps} at most\n{text}"));
    }
    Ok(text)
}

fn operators(executable: &Executable) -> String {
    let [mut npu, mut cpu, mut folded] = [0; 3];
    for placement in executable.placements.values() {
        *match placement {
            Placement::Npu { .. } | Placement::Approximate { .. } => &mut npu,
            Placement::Cpu { .. } => &mut cpu,
            Placement::Folded => &mut folded,
        } += 1;
    }
    format!("{npu} on the NPU, {cpu} on the CPU, {folded} folded")
}

/// Integers of the whole range; multiples of 1/32 between -4 and 4.
fn random(tensor: &Tensor, seed: u64) -> Result<Value, String> {
    let elements = tensor.elements();
    let bytes = match (tensor.dtype, tensor.dtype.range()) {
        (DType::F32, _) => random_elements(DType::I8, elements, seed, -128..=127)
            .iter()
            .flat_map(|&b| (f32::from(b as i8) / 32.0).to_le_bytes())
            .collect(),
        (dtype, Some((low, high))) => random_elements(dtype, elements, seed, low..=high),
        (dtype, None) => return Err(format!("an input of type {dtype}")),
    };
    Value::from_bytes(tensor.dtype, tensor.shape.to_vec(), &bytes).map_err(|e| e.to_string())
}

/// How many elements are equal, and the largest difference, for floats in units of the last place.
fn compare(found: &Value, expected: &Value) -> Result<(usize, u64), String> {
    let types = [found.dtype(), expected.dtype()];
    let (found, expected) = (integers(found), integers(expected));
    if types[0] != types[1] || found.len() != expected.len() {
        return Err("outputs of another type or size".to_owned());
    }
    let differences = found.iter().zip(&expected).map(|(a, b)| a.abs_diff(*b));
    let equal = differences.clone().filter(|&d| d == 0).count();
    Ok((equal, differences.max().unwrap_or(0)))
}

/// The elements, or the bits of floats.
fn integers(value: &Value) -> Vec<i64> {
    let size = value.dtype().size();
    let unsigned = matches!(value.dtype(), DType::U8 | DType::Bool);
    let element = |bytes: &[u8]| {
        let mut wide = [0; 8];
        wide[8 - size..].copy_from_slice(bytes);
        let shift = 64 - 8 * size as u32;
        match unsigned {
            true => (u64::from_le_bytes(wide) >> shift) as i64,
            false => i64::from_le_bytes(wide) >> shift,
        }
    };
    value.bytes().chunks_exact(size).map(element).collect()
}
