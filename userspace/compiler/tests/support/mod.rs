//! Runs executables on the RK3588 model, step by step, with plain loops for the conversions.

use std::collections::HashMap;
use std::sync::Arc;

use ferrite_compiler::executable::{
    BufferId, Executable, HostRequant, Job, Layout, Patches, Port, RelocationKind, Step,
};
use ferrite_hw::Grade;
use ferrite_ir::{DType, Graph, PrimaryMap, TensorId};
use ferrite_runtime::cpu::{Interpreter, Value};
use ferrite_sim::FlatMemory;
use ferrite_sim::rk3588::{Config, Core, Start};

/// Runs the executable; returns the value of every tensor that the host saw.
pub fn run(
    graph: &Graph,
    executable: &Executable,
    evidence: Grade,
    inputs: &[Value],
) -> Result<HashMap<TensorId, Value>, String> {
    let memory = FlatMemory::new();
    let mut buffers: PrimaryMap<BufferId, _> = PrimaryMap::new();
    for buffer in executable.buffers.values() {
        let (address, device) = memory.alloc(buffer.size).ok_or("out of address space")?;
        let init = &buffer.init;
        device.with_mut(0..init.len(), |bytes| init.write(bytes));
        buffers.push((address, device));
    }
    for relocation in &executable.relocations {
        let address = buffers[relocation.target].0 as u32 + relocation.addend;
        let at = relocation.offset;
        buffers[relocation.buffer].1.with_mut(at..at + 8, |bytes| {
            assert_eq!(relocation.kind, RelocationKind::Rk3588Value);
            bytes[2..6].copy_from_slice(&address.to_le_bytes());
        });
    }
    let cpu = Interpreter::new(Arc::new(graph.clone())).map_err(|e| e.to_string())?;
    let mut values: HashMap<TensorId, Value> = graph
        .inputs
        .iter()
        .copied()
        .zip(inputs.iter().cloned())
        .collect();
    let mut core = Core::new(Config {
        evidence,
        ..Config::default()
    });
    for (number, step) in executable.steps.iter().enumerate() {
        match step {
            Step::Cpu(op) => {
                let node = graph.node(*op);
                let operands: Vec<Option<&Value>> = node
                    .inputs
                    .iter()
                    .map(|id| id.and_then(|id| values.get(&id)))
                    .collect();
                let results = cpu.run_op(*op, &operands).map_err(|e| e.to_string())?;
                for (&id, value) in node.outputs.iter().zip(results) {
                    values.insert(id, value);
                }
            }
            Step::Enter(port) => {
                let value = values
                    .get(&port.tensor)
                    .ok_or("a tensor enters before it exists")?;
                let device = &buffers[port.region.buffer].1;
                let range = port.region.offset..port.region.offset + port.region.len;
                device.with_mut(range, |bytes| enter(port, value.bytes(), bytes));
            }
            Step::Submit(jobs) => {
                for job in latest_first(jobs) {
                    for task in &job.tasks {
                        let base = buffers[task.commands.buffer].0;
                        let start =
                            Start::task((base + task.commands.offset as u64) as u32, task.words);
                        let outcome = core.run(&memory, start);
                        if let Some(fault) = outcome.fault {
                            return Err(format!("step {number}, ops {:?}: {fault}", job.ops));
                        }
                    }
                }
            }
            Step::Leave(port) | Step::Requantise { port, .. } => {
                let tensor = graph.tensor(port.tensor);
                let device = &buffers[port.region.buffer].1;
                let bytes = device.with(|bytes| {
                    let bytes = &bytes[port.region.offset..][..port.region.len];
                    match step {
                        Step::Requantise { requant, .. } => requantise(port, bytes, requant),
                        _ => leave(port, bytes),
                    }
                });
                let value = Value::from_bytes(tensor.dtype, tensor.shape.to_vec(), &bytes)
                    .map_err(|e| e.to_string())?;
                values.insert(port.tensor, value);
            }
        }
    }
    Ok(values)
}

/// The jobs in an order as far from theirs as their dependencies allow.
fn latest_first(jobs: &[Job]) -> Vec<&Job> {
    let mut done = vec![false; jobs.len()];
    let mut order = Vec::new();
    while let Some(next) = (0..jobs.len())
        .rev()
        .find(|&i| !done[i] && jobs[i].after.iter().all(|&before| done[before]))
    {
        done[next] = true;
        order.push(&jobs[next]);
    }
    assert_eq!(order.len(), jobs.len(), "jobs wait for each other");
    order
}

/// Byte offset of an element of a cube.
fn at(port: &Port, y: usize, x: usize, c: usize) -> usize {
    let Layout::Cube {
        atom_bytes,
        line_pitch,
        surface_pitch,
    } = port.layout
    else {
        panic!("not a cube");
    };
    let size = port.dtype.size();
    let per_atom = atom_bytes as usize / size;
    let atom = c / per_atom * surface_pitch as usize + y * line_pitch as usize + x;
    atom_bytes as usize * atom + c % per_atom * size
}

fn elements(port: &Port) -> impl Iterator<Item = (usize, usize)> {
    let [h, w, c] = port.shape;
    (0..h * w * c).map(move |i| (i, at(port, i / (w * c), i / c % w, i % c)))
}

fn enter(port: &Port, host: &[u8], device: &mut [u8]) {
    device.fill(port.pad_value);
    for (i, at) in elements(port) {
        let from = match &port.patches {
            None => Some(i),
            Some(patches) => tap(port, patches, i),
        };
        if let Some(from) = from {
            device[at] = host[from].wrapping_add(port.bias);
        }
    }
}

/// The element of the host tensor that an element of a window is; None beyond the edge.
fn tap(port: &Port, patches: &Patches, element: usize) -> Option<usize> {
    let [rows, columns, channels] = port.shape;
    let [h, w, c] = patches.image;
    let (pixel, tap) = (element / channels, element % channels / c);
    let (row, x) = (pixel / columns, pixel % columns);
    let height = rows / patches.images;
    let (image, y) = (row / height, row % height);
    let along = |axis: usize, output: usize, tap: usize, size: usize| {
        let at = output * patches.stride[axis] + tap * patches.dilation[axis];
        at.checked_sub(patches.pad[axis]).filter(|&at| at < size)
    };
    let y = along(0, y, tap / patches.kernel[1], h)?;
    let x = along(1, x, tap % patches.kernel[1], w)?;
    Some(((image * h + y) * w + x) * c + element % channels % c)
}

fn leave(port: &Port, device: &[u8]) -> Vec<u8> {
    assert_eq!(port.dtype, DType::I8);
    elements(port)
        .map(|(_, at)| device[at].wrapping_sub(port.bias))
        .collect()
}

fn requantise(port: &Port, device: &[u8], requant: &HostRequant) -> Vec<u8> {
    assert_eq!(port.dtype, DType::I32);
    let channels = port.shape[2];
    elements(port)
        .map(|(i, at)| {
            let c = i % channels;
            let word = device[at..at + 4].try_into().unwrap();
            let acc = i64::from(i32::from_le_bytes(word)) + i64::from(requant.bias[c]);
            let shift = requant.shift[c];
            // TFLite: doubling high multiplication, then a rounding shift.
            let left = acc << shift.max(0);
            let product = left * i64::from(requant.multiplier[c]);
            let nudge = if product >= 0 { 1 << 30 } else { 1 - (1 << 30) };
            let high = (product + nudge) / (1 << 31);
            let right = (-shift).max(0);
            let mask = (1i64 << right) - 1;
            let threshold = (mask >> 1) + i64::from(high < 0);
            let rounded = (high >> right) + i64::from((high & mask) > threshold);
            let out = rounded + i64::from(requant.zero_point);
            out.clamp(i64::from(requant.min), i64::from(requant.max)) as u8
        })
        .collect()
}
