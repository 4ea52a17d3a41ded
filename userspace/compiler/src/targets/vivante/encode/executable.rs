//! Writes a scheduled program out as an executable: coefficient streams and descriptors, the
//! front end's command streams that start the jobs, and the ports of the host.

use ferrite_hw::vivante::field::to_bytes;
use ferrite_hw::vivante::{Command, state};
use ferrite_ir::{DType, OpId, PrimaryMap, SecondaryMap, TensorId};

use super::coefficients;
use super::descriptor;
use super::verify::verify;
use crate::error::CompileError;
use crate::executable::{
    Buffer, BufferId, Executable, Job, Layout, Placement, Port, Region, Relocation, RelocationKind,
    Role, Step, Target, Task,
};
use crate::index::map_shape;
use crate::lowered::Event;
use crate::npu::MapId;
use crate::passes::plan_memory::{self, Life, Memory};
use crate::targets::vivante::chip::ALIGN;
use crate::targets::vivante::context::Context;
use crate::targets::vivante::kernels::Placed;
use crate::targets::vivante::program::Layer;

const CONSTANTS: BufferId = BufferId(0);
const ACTIVATIONS: BufferId = BufferId(1);
const COMMANDS: BufferId = BufferId(2);

/// Jobs started by one command stream, which the kernel takes up to 128 KiB of.
const JOBS_PER_STREAM: usize = 3000;

/// Constants, commands and relocations so far.
struct Output<'a, 'g> {
    ctx: &'a Context<'g>,
    memory: Memory,
    constants: Vec<u8>,
    commands: Vec<u32>,
    relocations: Vec<Relocation>,
}

/// Writes coefficients, descriptors, commands and steps.
///
/// # Panics
/// In debug builds, if the jobs do not read back as the chip reads them: a mistake in here.
pub fn encode(
    ctx: &Context,
    events: &[Event<Layer>],
    placements: PrimaryMap<OpId, Placement>,
) -> Result<Executable, CompileError> {
    let mut out = Output {
        ctx,
        memory: plan_memory::plan(&lives(ctx, events)),
        constants: Vec::new(),
        commands: Vec::new(),
        relocations: Vec::new(),
    };
    let mut steps = Vec::with_capacity(events.len());
    for event in events {
        steps.push(match event {
            Event::Cpu(op) => Step::Cpu(*op),
            Event::Enter(map, tensor) => Step::Enter(out.port(*map, *tensor)),
            Event::Leave(map, tensor) => Step::Leave(out.port(*map, *tensor)),
            Event::Requantise(map, tensor, requant) => Step::Requantise {
                port: out.port(*map, *tensor),
                requant: requant.clone(),
            },
            Event::Submit(layers) => Step::Submit(vec![out.job(layers)?]),
        });
    }
    let commands: Vec<u8> = out.commands.iter().flat_map(|w| w.to_le_bytes()).collect();
    let buffer = |role, init: Vec<u8>, size: usize| Buffer {
        role,
        size: size.next_multiple_of(ALIGN).max(ALIGN),
        init: init.into(),
    };
    let (constants_size, commands_size) = (out.constants.len(), commands.len());
    let executable = Executable {
        target: Target::A311d,
        buffers: PrimaryMap::from(vec![
            buffer(Role::Constants, out.constants, constants_size),
            buffer(Role::Activations, Vec::new(), out.memory.size),
            buffer(Role::Commands, commands, commands_size),
        ]),
        relocations: out.relocations,
        steps,
        placements,
        macs: ctx.graph.op_ids().map(|op| ctx.graph.macs(op)).collect(),
    };
    if cfg!(debug_assertions) {
        let layers = events.iter().flat_map(|event| match event {
            Event::Submit(layers) => layers.as_slice(),
            _ => &[],
        });
        let wrong = verify(
            &executable,
            layers.map(|layer| layer.kernel.bias.as_slice()),
        );
        assert!(wrong.is_empty(), "unsound jobs: {wrong:#?}");
    }
    Ok(executable)
}

impl Output<'_, '_> {
    fn place(&self, map: MapId) -> usize {
        let (root, offset) = self.ctx.root(map);
        self.memory.offset(root) + offset
    }

    /// The job of a submission.
    fn job(&mut self, layers: &[Layer]) -> Result<Job, CompileError> {
        let mut job = Job {
            reads: vec![CONSTANTS, ACTIVATIONS],
            writes: vec![ACTIVATIONS],
            ..Job::default()
        };
        for part in layers.chunks(JOBS_PER_STREAM) {
            let mut descriptors = Vec::with_capacity(part.len());
            for layer in part {
                descriptors.push(self.descriptor(layer)?);
                if !job.ops.contains(&layer.op) {
                    job.ops.push(layer.op);
                }
            }
            job.tasks.push(self.stream(&descriptors));
        }
        Ok(job)
    }

    /// Writes coefficients and descriptor; returns the descriptor's place.
    fn descriptor(&mut self, layer: &Layer) -> Result<usize, CompileError> {
        let plan = descriptor::plan(layer);
        let placed = Placed {
            kernel: &layer.kernel,
            plane: layer.output.x * layer.output.y,
        };
        let stream = coefficients::encode(&placed, plan.superblocks, layer.relu_bit());
        let words = descriptor::descriptor(layer, &plan, &stream)
            .map_err(|why| CompileError::Descriptor { op: layer.op, why })?;
        let kernels = self.append(&stream.bytes);
        let at = self.append(&to_bytes(&words));
        let input = self.place(layer.input.map) + layer.input.offset;
        let output = self.place(layer.output.map) + layer.output.offset;
        for (word, kind, target, addend) in [
            (5, RelocationKind::Granules64, CONSTANTS, kernels),
            (6, RelocationKind::Word32, ACTIVATIONS, input),
            (7, RelocationKind::Word32, ACTIVATIONS, output),
        ] {
            self.relocations.push(Relocation {
                buffer: CONSTANTS,
                offset: at + 4 * word,
                kind,
                target,
                addend: addend as u32,
            });
        }
        Ok(at)
    }

    /// Appends to the constants.
    fn append(&mut self, bytes: &[u8]) -> usize {
        let at = self.constants.len().next_multiple_of(ALIGN);
        self.constants.resize(at, 0);
        self.constants.extend_from_slice(bytes);
        at
    }

    /// Writes the commands that run jobs one after the other, as Mesa does.
    fn stream(&mut self, descriptors: &[usize]) -> Task {
        let start = self.commands.len();
        let load = |out: &mut Vec<u32>, state, value| Command::load(state, value).encode(out);
        load(&mut self.commands, state::PA_SYSTEM_MODE, 0x11);
        load(&mut self.commands, state::GL_API_MODE, 2);
        for &descriptor in descriptors {
            load(&mut self.commands, state::GL_OCB_REMAP_START, 0);
            load(&mut self.commands, state::GL_OCB_REMAP_END, 0);
            load(&mut self.commands, state::GL_NN_CONFIG, state::NN_CONFIG);
            load(&mut self.commands, state::PS_NN_INST_ADDR, 0);
            self.relocations.push(Relocation {
                buffer: COMMANDS,
                offset: 4 * (self.commands.len() - 1),
                kind: RelocationKind::Word32,
                target: CONSTANTS,
                addend: descriptor as u32,
            });
            load(&mut self.commands, state::PS_SYNC_ID, 0);
        }
        for _ in 0..2 {
            load(
                &mut self.commands,
                state::GL_FLUSH_CACHE,
                state::FLUSH_RESULTS,
            );
        }
        let words = (self.commands.len() - start) / 2;
        Task {
            commands: Region {
                buffer: COMMANDS,
                offset: 4 * start,
                len: 8 * words,
            },
            words,
        }
    }

    fn port(&self, map: MapId, tensor: TensorId) -> Port {
        let t = self.ctx.tensor(tensor);
        let patches = self.ctx.at(map).patches;
        let shape = match patches {
            Some(_) => self.ctx.at(map).shape,
            None => map_shape(t).unwrap_or(self.ctx.at(map).shape),
        };
        Port {
            tensor,
            region: Region {
                buffer: ACTIVATIONS,
                offset: self.place(map),
                len: shape.iter().product(),
            },
            layout: Layout::Planar,
            shape,
            patches,
            dtype: DType::I8,
            // Bytes on the device are unsigned.
            bias: if t.dtype == DType::I8 { 128 } else { 0 },
            pad_value: match (patches, self.ctx.quantisation(tensor)) {
                (Some(_), Ok((zero, _))) => zero,
                // Every byte is an element.
                _ => 0,
            },
        }
    }
}

/// First and last step of every map; the layers of a submission are steps of their own.
fn lives(ctx: &Context, events: &[Event<Layer>]) -> Vec<Life> {
    let mut lives: SecondaryMap<MapId, Option<Life>> = SecondaryMap::new();
    let mut touch = |map: MapId, step: usize| {
        let (root, _) = ctx.root(map);
        let life = lives[root].get_or_insert(Life {
            map: root,
            bytes: ctx.at(root).bytes,
            first: step,
            last: step,
        });
        life.last = step;
    };
    let mut step = 0;
    for event in events {
        match event {
            Event::Cpu(_) => {}
            Event::Enter(map, _) | Event::Leave(map, _) | Event::Requantise(map, ..) => {
                touch(*map, step);
            }
            Event::Submit(layers) => {
                for layer in layers {
                    touch(layer.input.map, step);
                    touch(layer.output.map, step);
                    step += 1;
                }
            }
        }
        step += 1;
    }
    lives.values().copied().flatten().collect()
}
