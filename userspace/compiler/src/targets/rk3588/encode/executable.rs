//! Writes a scheduled program out as an executable.

use ferrite_hw::rk3588::Parameters;
use ferrite_hw::rk3588::codes::enable;
use ferrite_hw::rk3588::command::{Link, TAIL_WORDS, tail};
use ferrite_hw::rk3588::table::Block;
use ferrite_ir::{DType, OpId, PrimaryMap, SecondaryMap, TensorId};

use super::constants::{Constants, Operands};
use super::plan_jobs;
use super::registers::Registers;
use super::table;
use super::task::Emitter;
use crate::content::{Content, Source};
use crate::error::CompileError;
use crate::executable::{
    Buffer, BufferId, Executable, Job, Layout, Placement, Port, Region, Relocation, RelocationKind,
    Role, Step, Target, Task,
};
use crate::lowered::Event;
use crate::npu::Stored;
use crate::passes::plan_memory::{self, Life, Memory};
use crate::targets::rk3588::context::Context;
use crate::targets::rk3588::program::{CubeId, Layer, Mode, Stage};

const CONSTANTS: BufferId = BufferId(0);
const ACTIVATIONS: BufferId = BufferId(1);
const COMMANDS: BufferId = BufferId(2);

/// Blocks that a convolution task enables.
const BLOCKS: [Block; 4] = [Block::Cna, Block::Core, Block::Dpu, Block::DpuRdma];
/// Blocks that a task without convolution enables.
const FLYING: [Block; 2] = [Block::Dpu, Block::DpuRdma];

/// Kinds of command lists, each of one length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum List {
    /// A convolution.
    Convolution,
    /// A task without one.
    Flying,
    /// A task that loads the tables of the next one.
    Load,
}

impl List {
    /// The first list of a task: tables are loaded ahead of a layer that uses them, and stay for its next
    /// tile.
    fn first(layers: &[Layer], plan: &[(usize, usize)], at: usize) -> List {
        let layer = plan[at].0;
        match layers[layer].stage {
            Stage::Table(_) if at == 0 || plan[at - 1].0 != layer => List::Load,
            _ => List::of(&layers[layer]),
        }
    }

    /// The list of a layer's tile itself.
    fn of(layer: &Layer) -> List {
        match layer.mode {
            Mode::Direct | Mode::Depthwise => List::Convolution,
            Mode::Flying => List::Flying,
        }
    }
}

/// Command words and their relocations.
struct Commands {
    words: Vec<u64>,
    relocations: Vec<Relocation>,
    /// Words that lists are aligned to.
    align: usize,
    /// Of the convolution that is being written.
    registers: Registers,
    /// Of the task without convolution that is being written, from the first one on.
    flying: Option<Registers>,
}

/// Addresses in the commands of most tasks.
const ADDRESSES: usize = 5;

impl Commands {
    /// With room for so many tasks.
    fn new(chip: &Parameters, tasks: usize) -> Self {
        let registers = Registers::of(&BLOCKS);
        let align = chip.segment_align / 8;
        let words = registers.count() + TAIL_WORDS + align;
        Commands {
            words: Vec::with_capacity(tasks * words),
            relocations: Vec::with_capacity(tasks * ADDRESSES),
            align,
            registers,
            flying: None,
        }
    }
}

/// Writes constants, commands and steps.
pub fn encode(
    ctx: &Context,
    mut events: Vec<Event<Layer>>,
    placements: PrimaryMap<OpId, Placement>,
) -> Result<Executable, CompileError> {
    let memory = plan_memory::plan(&lives(ctx, &events));
    let emitter = Emitter {
        program: ctx.program(),
        memory: &memory,
        activations: ACTIVATIONS,
        constants: CONSTANTS,
    };
    let mut constants = Constants::new(ctx.chip());
    let layers = events.iter().flat_map(|event| match event {
        Event::Submit(layers) => &layers[..],
        _ => &[],
    });
    let mut commands = Commands::new(ctx.chip(), layers.map(|layer| layer.tiles.len()).sum());
    let mut steps = Vec::with_capacity(events.len());
    for event in &mut events {
        steps.push(match event {
            Event::Cpu(op) => Step::Cpu(*op),
            Event::Enter(cube, tensor) => {
                let mut port = port(ctx, &memory, *cube, *tensor);
                // Readers may touch more surfaces than the channels fill.
                let program = ctx.program();
                let pitch = program.cube(program.root(*cube).0).surface_pitch;
                port.region.len = ctx.chip().atom_bytes * pitch * program.cube(*cube).surfaces;
                Step::Enter(port)
            }
            Event::Leave(cube, tensor) => Step::Leave(port(ctx, &memory, *cube, *tensor)),
            Event::Requantise(cube, tensor, requant) => Step::Requantise {
                port: port(ctx, &memory, *cube, *tensor),
                requant: requant.clone(),
            },
            Event::Submit(layers) => {
                let mut operands = Vec::with_capacity(layers.len());
                for layer in layers.iter_mut() {
                    let added = constants.add(ctx, layer);
                    operands.push(added.map_err(|why| CompileError::Constants(why.to_string()))?);
                }
                let jobs = plan_jobs::plan(
                    ctx.program(),
                    &memory,
                    layers,
                    ctx.options.cores,
                    &ctx.cost(),
                );
                let mut out = Vec::with_capacity(jobs.len());
                for job in jobs {
                    out.push(commands.job(&emitter, layers, &operands, job)?);
                }
                Step::Submit(out)
            }
        });
    }
    let buffer = |role, init: Content, size: usize| Buffer { role, size, init };
    let (constants, words) = (Content::new(constants), Content::new(Words(commands.words)));
    // Weight bursts may run past the end.
    let constants_size = (constants.len() + 256).next_multiple_of(64);
    let commands_size = words.len().next_multiple_of(64).max(64);
    Ok(Executable {
        target: Target::Rk3588,
        buffers: PrimaryMap::from(vec![
            buffer(Role::Constants, constants, constants_size),
            buffer(Role::Activations, Vec::new().into(), memory.size.max(64)),
            buffer(Role::Commands, words, commands_size),
        ]),
        relocations: commands.relocations,
        steps,
        placements,
        macs: ctx.graph.op_ids().map(|op| ctx.graph.macs(op)).collect(),
    })
}

/// Command words in the order of bytes that the NPU reads.
struct Words(Vec<u64>);

impl Source for Words {
    fn size(&self) -> usize {
        8 * self.0.len()
    }

    fn write(&self, memory: &mut [u8]) {
        for (bytes, word) in memory.as_chunks_mut().0.iter_mut().zip(&self.0) {
            *bytes = word.to_le_bytes();
        }
    }
}

impl Commands {
    /// Writes the tasks of a job, linked one to the next.
    fn job(
        &mut self,
        emitter: &Emitter,
        layers: &[Layer],
        operands: &[Operands],
        plan: plan_jobs::JobPlan,
    ) -> Result<Job, CompileError> {
        let mut job = Job {
            after: plan.after,
            reads: vec![CONSTANTS, ACTIVATIONS],
            writes: vec![ACTIVATIONS],
            ..Job::default()
        };
        let mut before = None;
        for (i, &(layer, tile)) in plan.tasks.iter().enumerate() {
            // Weights stay in the CBUF of the core that runs this job.
            let mut piece = layers[layer].tiles[tile];
            piece.reuse_weights &= tile > 0 && before == Some((layer, tile - 1));
            before = Some((layer, tile));
            let made = &layers[layer];
            let failed = |why| CompileError::Register {
                op: Some(made.op),
                why,
            };
            let list = List::of(made);
            if List::first(layers, &plan.tasks, i) == List::Load
                && let Stage::Table(values) = &made.stage
            {
                let registers = self.registers(List::Load);
                let set = emitter.load(registers, made, &piece, &operands[layer]);
                set.map_err(failed)?;
                job.tasks
                    .push(self.task(List::Load, Some(list), Some(values)));
            }
            let registers = self.registers(list);
            let set = emitter.task(registers, made, &piece, &operands[layer]);
            set.map_err(failed)?;
            let next = (i + 1 < plan.tasks.len()).then(|| List::first(layers, &plan.tasks, i + 1));
            job.tasks.push(self.task(list, next, None));
            if !job.ops.contains(&layers[layer].op) {
                job.ops.push(layers[layer].op);
            }
        }
        Ok(job)
    }

    /// Registers of the blocks that a list is for.
    fn registers(&mut self, list: List) -> &mut Registers {
        match list {
            List::Convolution => &mut self.registers,
            List::Flying | List::Load => self.flying.get_or_insert_with(|| Registers::of(&FLYING)),
        }
    }

    /// Commands of a list.
    fn count(&mut self, list: List) -> usize {
        let loads = if list == List::Load { table::LOADS } else { 0 };
        self.registers(list).count() + loads + TAIL_WORDS
    }

    /// Writes one task, with a link to the next one, and the table that it loads.
    fn task(&mut self, list: List, next: Option<List>, values: Option<&[i8; 256]>) -> Task {
        let align = self.align;
        self.words
            .resize(self.words.len().next_multiple_of(align), 0);
        let start = self.words.len();
        let relocations = &mut self.relocations;
        let relocate = |word: usize, target, addend| {
            relocations.push(relocation(word, target, addend));
        };
        let (registers, blocks) = match (list, &self.flying) {
            (List::Flying | List::Load, Some(flying)) => (flying, enable::FLYING),
            _ => (&self.registers, enable::CONVOLUTION_RDMA),
        };
        registers.write(&mut self.words, relocate);
        self.words.extend(values.into_iter().flat_map(table::loads));
        let words = self.words.len() - start + TAIL_WORDS;
        let link = next.map(|next| Link {
            address: 0,
            // Lists of one kind are of one length.
            words: if next == list {
                words
            } else {
                self.count(next)
            },
        });
        if link.is_some() {
            let behind = (start + words).next_multiple_of(align);
            let link = relocation(self.words.len(), COMMANDS, 8 * behind as u32);
            self.relocations.push(link);
        }
        self.words
            .extend(tail(link, blocks).iter().map(|c| c.encode()));
        Task {
            commands: Region {
                buffer: COMMANDS,
                offset: 8 * start,
                len: 8 * words,
            },
            words,
        }
    }
}

/// Puts an address into a command word.
fn relocation(word: usize, target: BufferId, addend: u32) -> Relocation {
    Relocation {
        buffer: COMMANDS,
        offset: 8 * word,
        kind: RelocationKind::Rk3588Value,
        target,
        addend,
    }
}

fn port(ctx: &Context, memory: &Memory, cube: CubeId, tensor: TensorId) -> Port {
    let (root, surface) = ctx.program().root(cube);
    let (shape, dtype) = (
        ctx.program().cube(cube).shape,
        ctx.program().cube(cube).dtype,
    );
    let root_cube = ctx.program().cube(root);
    let chip = ctx.chip();
    let surfaces = shape[2].div_ceil(chip.atom_channels(dtype.size()));
    let stored = Stored::of(ctx.tensor(tensor));
    let raw = dtype == DType::I32;
    Port {
        tensor,
        region: Region {
            buffer: ACTIVATIONS,
            offset: memory.offset(root) + chip.atom_bytes * surface * root_cube.surface_pitch,
            len: chip.atom_bytes * surfaces * root_cube.surface_pitch,
        },
        layout: Layout::Cube {
            atom_bytes: chip.atom_bytes as u32,
            line_pitch: shape[1] as u32,
            surface_pitch: root_cube.surface_pitch as u32,
        },
        shape,
        patches: ctx.program().cube(cube).patches,
        dtype,
        bias: if raw {
            0
        } else {
            stored.map_or(0, |s| s.offset as u8)
        },
        pad_value: if raw {
            0
        } else {
            stored.map_or(0, |s| s.zero as u8)
        },
    }
}

/// First and last step of every cube; the layers of a submission are steps of their own.
fn lives(ctx: &Context, events: &[Event<Layer>]) -> Vec<Life> {
    let mut lives: SecondaryMap<CubeId, Option<Life>> = SecondaryMap::new();
    let mut touch = |cube: CubeId, step: usize| {
        let (root, _) = ctx.program().root(cube);
        let life = lives[root].get_or_insert(Life {
            map: root,
            bytes: ctx.program().cube(root).bytes(ctx.chip()),
            first: step,
            last: step,
        });
        life.last = life.last.max(step);
    };
    let mut step = 0;
    for event in events {
        match event {
            Event::Cpu(_) => {}
            Event::Enter(cube, _) | Event::Leave(cube, _) | Event::Requantise(cube, ..) => {
                touch(*cube, step);
            }
            Event::Submit(layers) => {
                for (index, layer) in layers.iter().enumerate() {
                    let mut touch = |step| {
                        touch(layer.input.cube, step);
                        touch(layer.output.cube, step);
                        if let Some(addend) = &layer.addend {
                            touch(addend.side.cube, step);
                        }
                    };
                    touch(step);
                    // No band may write where another still reads.
                    if let Some(band) = layer.band {
                        let same = |other: &Layer| other.band.is_some_and(|b| b.run == band.run);
                        let last = layers.iter().rposition(same).unwrap_or(index);
                        touch(step + last - index);
                    }
                    step += 1;
                }
            }
        }
        step += 1;
    }
    lives.values().copied().flatten().collect()
}
