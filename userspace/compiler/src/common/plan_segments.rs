//! Orders the work into as few and as large NPU submissions as possible.
//!
//! Host operators run as soon as they can; then everything the NPU can do without another result of
//! the host becomes one submission. Tensors cross between host and device only where the other side
//! needs them, once.

use ferrite_ir::{OpId, TensorId};

use super::choice::{Choice, Work};
use super::{Index, MapId, Maps};
use crate::CompileError;
use crate::executable::HostRequant;

/// One step of the inference, with `W` for work on the NPU.
#[derive(Clone, Debug)]
pub enum Event<W> {
    /// A host operator.
    Cpu(OpId),
    /// Host tensor into a map.
    Enter(MapId, TensorId),
    /// Work on the NPU.
    Submit(Vec<W>),
    /// Map into a host tensor.
    Leave(MapId, TensorId),
    /// Accumulators into a host tensor.
    Requantise(MapId, TensorId, HostRequant),
}

/// What of a graph is done, and when.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// Which operators anything depends on: what a lowering looked through may need nobody.
    pub required: Vec<bool>,
    /// The steps, with the operators that the NPU works for.
    pub events: Vec<Event<OpId>>,
}

impl Schedule {
    /// The steps with the layers of the operators, which are taken out of `choices`.
    pub fn with_layers<L>(self, choices: &mut [Choice<L>]) -> Vec<Event<L>> {
        let mut layers = |ops: Vec<OpId>| {
            let mut all = Vec::with_capacity(ops.len());
            for op in ops {
                if let Choice::Npu { lowered, .. } = &mut choices[op.0 as usize] {
                    all.append(&mut lowered.layers);
                }
            }
            all
        };
        let with_layers = |event| match event {
            Event::Cpu(op) => Event::Cpu(op),
            Event::Enter(map, tensor) => Event::Enter(map, tensor),
            Event::Submit(ops) => Event::Submit(layers(ops)),
            Event::Leave(map, tensor) => Event::Leave(map, tensor),
            Event::Requantise(map, tensor, requant) => Event::Requantise(map, tensor, requant),
        };
        self.events.into_iter().map(with_layers).collect()
    }
}

/// The plan under construction. What has been made or done is marked by tensor, map or operator.
struct Planner<'a, 'g, L> {
    ctx: &'a Index<'g>,
    maps: &'a dyn Maps,
    choices: &'a [Choice<L>],
    events: Vec<Event<OpId>>,
    host: Vec<bool>,
    device: Vec<bool>,
    ready: Vec<bool>,
    done: Vec<bool>,
}

/// Tensors that a node reads, given how it is done.
pub fn reads<'a, L>(
    ctx: &Index<'a>,
    op: OpId,
    choice: &'a Choice<L>,
) -> impl Iterator<Item = TensorId> + use<'a, L> {
    let (listed, operands): (&[TensorId], &[Option<TensorId>]) = match choice {
        Choice::Npu { reads, .. } => (reads, &[]),
        Choice::View(source) => (std::slice::from_ref(source), &[]),
        Choice::Cpu(_) => (&[], &ctx.graph.node(op).inputs),
    };
    let operands = operands.iter().flatten();
    listed.iter().chain(operands).copied()
}

fn required<L>(ctx: &Index, choices: &[Choice<L>]) -> Vec<bool> {
    let mut wanted = vec![false; ctx.graph.tensors.len()];
    for &output in &ctx.graph.outputs {
        wanted[output.0 as usize] = true;
    }
    let mut required = vec![false; choices.len()];
    for (index, choice) in choices.iter().enumerate().rev() {
        let op = OpId(index as u32);
        let outputs = &ctx.graph.node(op).outputs;
        if outputs.iter().any(|t| wanted[t.0 as usize]) {
            required[index] = true;
            for tensor in reads(ctx, op, choice) {
                wanted[tensor.0 as usize] = true;
            }
        }
    }
    required
}

/// Plans the order of everything required.
pub fn schedule<L: Work>(
    ctx: &Index,
    maps: &dyn Maps,
    choices: &[Choice<L>],
) -> Result<Schedule, CompileError> {
    let required = required(ctx, choices);
    let mut planner = Planner {
        ctx,
        maps,
        choices,
        events: Vec::new(),
        host: vec![false; ctx.graph.tensors.len()],
        device: vec![false; maps.count()],
        ready: vec![false; ctx.graph.tensors.len()],
        done: required.iter().map(|r| !r).collect(),
    };
    for (index, tensor) in ctx.graph.tensors.iter().enumerate() {
        let id = TensorId(index as u32);
        // What no node makes is there from the start: inputs, constants, variables.
        if tensor.is_constant() || ctx.producer(id).is_none() {
            planner.host[index] = true;
            planner.ready[index] = true;
        }
    }
    while planner.host_phase() | planner.device_phase() {}
    if let Some(index) = planner.done.iter().position(|done| !done) {
        return Err(CompileError::Order {
            op: OpId(index as u32),
        });
    }
    for &output in &ctx.graph.outputs {
        planner.bring_to_host(output);
    }
    Ok(Schedule {
        events: planner.events,
        required,
    })
}

impl<L: Work> Planner<'_, '_, L> {
    fn is_ready(&self, op: OpId) -> bool {
        reads(self.ctx, op, &self.choices[op.0 as usize]).all(|t| self.ready[t.0 as usize])
    }

    fn finish(&mut self, op: OpId) {
        self.done[op.0 as usize] = true;
        for output in &self.ctx.graph.node(op).outputs {
            self.ready[output.0 as usize] = true;
        }
    }

    fn host_phase(&mut self) -> bool {
        let mut any = false;
        for op in self.ctx.graph.op_ids() {
            if self.done[op.0 as usize] || !self.is_ready(op) {
                continue;
            }
            match &self.choices[op.0 as usize] {
                Choice::View(_) => self.finish(op),
                Choice::Cpu(_) => {
                    self.run_on_host(op);
                    self.finish(op);
                }
                Choice::Npu { .. } => continue,
            }
            any = true;
        }
        any
    }

    fn run_on_host(&mut self, op: OpId) {
        let node = self.ctx.graph.node(op);
        for input in node.inputs.iter().flatten() {
            self.bring_to_host(*input);
        }
        self.events.push(Event::Cpu(op));
        for output in &node.outputs {
            self.host[output.0 as usize] = true;
        }
    }

    fn device_phase(&mut self) -> bool {
        let mut work = Vec::new();
        let mut raw = Vec::new();
        let mut any = false;
        for op in self.ctx.graph.op_ids() {
            if self.done[op.0 as usize] || !self.is_ready(op) {
                continue;
            }
            match &self.choices[op.0 as usize] {
                Choice::View(_) => self.finish(op),
                Choice::Cpu(_) => {}
                Choice::Npu { reads, lowered } => {
                    for &tensor in reads {
                        self.bring_to_device(tensor);
                    }
                    for layer in &lowered.layers {
                        self.device[layer.writes().0 as usize] = true;
                    }
                    if !lowered.layers.is_empty() {
                        work.push(op);
                    } else {
                        // Its operands were made where its results are.
                        let outputs = &self.ctx.graph.node(op).outputs;
                        for map in outputs.iter().filter_map(|&t| self.maps.known_map(t)) {
                            self.device[map.0 as usize] = true;
                        }
                    }
                    any = true;
                    match &lowered.raw {
                        None => self.finish(op),
                        Some((cube, requant)) => {
                            raw.push((op, *cube, requant.clone()));
                            self.done[op.0 as usize] = true;
                        }
                    }
                }
            }
        }
        if work.is_empty() {
            return any;
        }
        self.events.push(Event::Submit(work));
        for (op, cube, requant) in raw {
            let tensor = self.ctx.graph.node(op).outputs[0];
            self.events.push(Event::Requantise(cube, tensor, requant));
            self.host[tensor.0 as usize] = true;
            self.finish(op);
        }
        true
    }

    fn source(&self, tensor: TensorId) -> Option<(OpId, TensorId)> {
        let (op, _) = self.ctx.producer(tensor)?;
        match self.choices[op.0 as usize] {
            Choice::View(source) => Some((op, source)),
            _ => None,
        }
    }

    /// Sees to it that the host has a tensor.
    fn bring_to_host(&mut self, tensor: TensorId) {
        if self.host[tensor.0 as usize] {
            return;
        }
        let cube = self.maps.known_map(tensor);
        if let Some(cube) = cube.filter(|cube| self.device[cube.0 as usize]) {
            self.events.push(Event::Leave(cube, tensor));
            self.host[tensor.0 as usize] = true;
        } else if let Some((op, _)) = self.source(tensor) {
            self.run_on_host(op);
        }
    }

    /// Sees to it that the device has a tensor. Only called before the layers that read it.
    fn bring_to_device(&mut self, tensor: TensorId) {
        let Some(cube) = self.maps.known_map(tensor) else {
            return;
        };
        if std::mem::replace(&mut self.device[cube.0 as usize], true) {
            return;
        }
        // A view has the bytes of what it views, wherever in the chain the host has them.
        let mut at = tensor;
        while !self.host[at.0 as usize] {
            match self.source(at) {
                Some((_, source)) => at = source,
                None => break,
            }
        }
        self.events.push(Event::Enter(cube, at));
    }
}
