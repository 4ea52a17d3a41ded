//! Orders the work into as few and as large NPU submissions as possible.
//!
//! Host operators run as soon as they can; then everything the NPU can do without another result of
//! the host becomes one submission. Tensors cross between host and device only where the other side
//! needs them, once.

use std::collections::HashSet;

use ferrite_ir::{OpId, TensorId};

use super::choice::{Choice, Work};
use super::{Index, MapId, Maps};
use crate::CompileError;
use crate::executable::HostRequant;

/// One step of the inference.
#[derive(Clone, Debug)]
pub enum Event<L> {
    /// A host operator.
    Cpu(OpId),
    /// Host tensor into a map.
    Enter(MapId, TensorId),
    /// Layers on the NPU.
    Submit(Vec<L>),
    /// Map into a host tensor.
    Leave(MapId, TensorId),
    /// Accumulators into a host tensor.
    Requantise(MapId, TensorId, HostRequant),
}

/// The plan under construction.
struct Planner<'a, 'g, L> {
    ctx: &'a Index<'g>,
    maps: &'a dyn Maps,
    choices: &'a [Choice<L>],
    events: Vec<Event<L>>,
    host: HashSet<TensorId>,
    device: HashSet<MapId>,
    ready: HashSet<TensorId>,
    done: Vec<bool>,
}

/// Tensors that a node reads, given how it is done.
fn reads<L>(ctx: &Index, op: OpId, choice: &Choice<L>) -> Vec<TensorId> {
    match choice {
        Choice::Npu { reads, .. } => reads.clone(),
        Choice::View(source) => vec![*source],
        Choice::Cpu(_) => ctx
            .graph
            .node(op)
            .inputs
            .iter()
            .flatten()
            .copied()
            .collect(),
    }
}

/// Which nodes anything depends on: what a lowering looked through may need nobody.
pub fn required<L>(ctx: &Index, choices: &[Choice<L>]) -> Vec<bool> {
    let mut wanted: HashSet<TensorId> = ctx.graph.outputs.iter().copied().collect();
    let mut required = vec![false; choices.len()];
    for op in ctx.graph.op_ids().collect::<Vec<_>>().into_iter().rev() {
        let index = op.0 as usize;
        if ctx
            .graph
            .node(op)
            .outputs
            .iter()
            .any(|t| wanted.contains(t))
        {
            required[index] = true;
            wanted.extend(reads(ctx, op, &choices[index]));
        }
    }
    required
}

/// Plans the order of everything required.
pub fn plan<L: Work + Clone>(
    ctx: &Index,
    maps: &dyn Maps,
    choices: &[Choice<L>],
    required: &[bool],
) -> Result<Vec<Event<L>>, CompileError> {
    let mut planner = Planner {
        ctx,
        maps,
        choices,
        events: Vec::new(),
        host: HashSet::new(),
        device: HashSet::new(),
        ready: HashSet::new(),
        done: required.iter().map(|r| !r).collect(),
    };
    for (index, tensor) in ctx.graph.tensors.iter().enumerate() {
        let id = TensorId(index as u32);
        // What no node makes is there from the start: inputs, constants, variables.
        if tensor.is_constant() || ctx.producer(id).is_none() {
            planner.host.insert(id);
            planner.ready.insert(id);
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
    Ok(planner.events)
}

impl<L: Work + Clone> Planner<'_, '_, L> {
    fn is_ready(&self, op: OpId) -> bool {
        reads(self.ctx, op, &self.choices[op.0 as usize])
            .iter()
            .all(|t| self.ready.contains(t))
    }

    fn finish(&mut self, op: OpId) {
        self.done[op.0 as usize] = true;
        self.ready.extend(&self.ctx.graph.node(op).outputs);
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
        self.host.extend(&node.outputs);
    }

    fn device_phase(&mut self) -> bool {
        let mut layers = Vec::new();
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
                        layers.push(layer.clone());
                        self.device.insert(layer.writes());
                    }
                    if lowered.layers.is_empty() {
                        // Its operands were made where its results are.
                        let outputs = &self.ctx.graph.node(op).outputs;
                        let maps = outputs.iter().filter_map(|&t| self.maps.known_map(t));
                        self.device.extend(maps);
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
        if layers.is_empty() {
            return any;
        }
        self.events.push(Event::Submit(layers));
        for (op, cube, requant) in raw {
            let tensor = self.ctx.graph.node(op).outputs[0];
            self.events.push(Event::Requantise(cube, tensor, requant));
            self.host.insert(tensor);
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
        if self.host.contains(&tensor) {
            return;
        }
        let cube = self.maps.known_map(tensor);
        if let Some(cube) = cube.filter(|cube| self.device.contains(cube)) {
            self.events.push(Event::Leave(cube, tensor));
            self.host.insert(tensor);
        } else if let Some((op, _)) = self.source(tensor) {
            self.run_on_host(op);
        }
    }

    /// Sees to it that the device has a tensor. Only called before the layers that read it.
    fn bring_to_device(&mut self, tensor: TensorId) {
        let Some(cube) = self.maps.known_map(tensor) else {
            return;
        };
        if !self.device.insert(cube) {
            return;
        }
        // A view has the bytes of what it views, wherever in the chain the host has them.
        let mut at = tensor;
        while !self.host.contains(&at) {
            match self.source(at) {
                Some((_, source)) => at = source,
                None => break,
            }
        }
        self.events.push(Event::Enter(cube, at));
    }
}
