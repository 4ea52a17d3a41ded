//! Jobs as text: what they wait for, and where the data of their tasks lie.

use std::fmt::Write;

use ferrite_hw::rk3588::command::Command;
use ferrite_ir::{Graph, OpId};

use super::listing::DESCRIPTOR;
use super::places::{Place, Relocations, role, step};
use crate::executable::{BufferId, Executable, Layout, Port, Step, Target, Task};

/// The buffers, then the steps with their jobs and tasks.
pub fn jobs(graph: &Graph, executable: &Executable) -> String {
    let relocations = Relocations::of(executable);
    let mut text = String::new();
    // Writing to a string cannot fail.
    for buffer in executable.buffers.values() {
        let (name, size, given) = (role(buffer.role), buffer.size, buffer.init.len());
        let _ = writeln!(text, "buffer {name}: {size} bytes, {given} given");
    }
    for each in &executable.steps {
        let _ = match each {
            Step::Cpu(op) => writeln!(text, "cpu: {}", operator(graph, *op)),
            Step::Enter(port) | Step::Leave(port) | Step::Requantise { port, .. } => {
                writeln!(text, "{}, {}", step(executable, each), layout(port))
            }
            Step::Submit(jobs) => {
                let _ = writeln!(text, "submit");
                for (number, job) in jobs.iter().enumerate() {
                    let _ = write!(text, "  job {number}");
                    if !job.after.is_empty() {
                        let _ = write!(text, " after {}", list(&job.after));
                    }
                    let ops = job.ops.iter().map(|&op| operator(graph, op));
                    let _ = writeln!(text, ": {}", ops.collect::<Vec<_>>().join(", "));
                    for task in &job.tasks {
                        self::task(&mut text, executable, &relocations, task);
                    }
                }
                Ok(())
            }
        };
    }
    text
}

fn list(numbers: &[usize]) -> String {
    let numbers: Vec<String> = numbers.iter().map(usize::to_string).collect();
    numbers.join(", ")
}

fn operator(graph: &Graph, op: OpId) -> String {
    format!("{} {}", op.as_u32(), graph.op_name(op))
}

fn layout(port: &Port) -> String {
    let [h, w, c] = port.shape;
    let layout = match port.layout {
        Layout::Cube {
            line_pitch,
            surface_pitch,
            ..
        } => format!("lines of {line_pitch} and surfaces of {surface_pitch} atoms"),
        Layout::Linear => "linear".to_owned(),
        Layout::Planar => "planes".to_owned(),
    };
    let mut text = format!("{h}x{w}x{c} {} in {layout}", port.dtype);
    if let Some(patches) = &port.patches {
        text += &format!(", {patches}");
    }
    if port.bias != 0 {
        text += &format!(", {} added", port.bias);
    }
    if port.pad_value != 0 {
        text += &format!(", padded with {}", port.pad_value as i8);
    }
    text
}

fn task(text: &mut String, executable: &Executable, relocations: &Relocations, task: &Task) {
    let region = task.commands;
    let place = Place::start(executable, region);
    let _ = write!(text, "    task {place}, {} words:", task.words);
    let Some(buffer) = executable.buffers.get(region.buffer) else {
        let _ = writeln!(text, " in no buffer");
        return;
    };
    let commands = buffer.init.bytes();
    for relocation in relocations.within(region.buffer, region.offset, 8 * task.words) {
        let to = Place::target(executable, relocation);
        match executable.target {
            Target::Rk3588 => {
                let word = commands
                    .get(relocation.offset..)
                    .and_then(|b| b.first_chunk());
                let register =
                    word.and_then(|&w| Command::decode(u64::from_le_bytes(w)).register());
                let name = register.map_or("unknown", |register| register.name);
                let _ = write!(text, " {name}={to}");
            }
            Target::A311d => {
                let (buffer, first) = (relocation.target, relocation.addend as usize);
                let _ = write!(text, "\n      {to}");
                descriptor(text, executable, relocations, buffer, first);
            }
        }
    }
    text.push('\n');
}

/// The addresses that a descriptor of the A311D holds.
fn descriptor(
    text: &mut String,
    executable: &Executable,
    relocations: &Relocations,
    buffer: BufferId,
    first: usize,
) {
    for relocation in relocations.within(buffer, first, DESCRIPTOR) {
        let name = super::listing::field(relocation.offset - first);
        let _ = write!(text, " {name}={}", Place::target(executable, relocation));
    }
}
