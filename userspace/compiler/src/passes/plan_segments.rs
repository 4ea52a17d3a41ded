//! Orders the work into as few and as large NPU submissions as possible.
//!
//! Host steps run as soon as they can; then everything the NPU can do without another result of the
//! host becomes one submission. Tensors cross between host and device only where the other side needs
//! them, once.

use ferrite_ir::{EntitySet, OpId, PrimaryMap, SecondaryMap, TensorId};

use crate::error::CompileError;
use crate::executable::Placement;
use crate::index::Index;
use crate::lowered::{Event, Layer, Legal, LegalWork, Maps};
use crate::npu::MapId;

/// Index of a step in the list that was scheduled.
type StepIndex = usize;

/// What is done, and when.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// Which steps anything depends on: what was folded into a neighbour may be needed by none.
    pub required: Vec<bool>,
    /// The inference, with the steps that the NPU works for.
    pub events: Vec<Event<StepIndex>>,
}

impl Schedule {
    /// The inference with the layers of the steps, which are taken out of them.
    pub fn with_layers<L>(self, steps: &mut [Legal<L>]) -> Vec<Event<L>> {
        let mut layers = |indices: Vec<StepIndex>| {
            let mut all = Vec::with_capacity(indices.len());
            for index in indices {
                if let LegalWork::Npu { layers, .. } = &mut steps[index].work {
                    all.append(layers);
                }
            }
            all
        };
        let with_layers = |event| match event {
            Event::Cpu(op) => Event::Cpu(op),
            Event::Enter(map, tensor) => Event::Enter(map, tensor),
            Event::Submit(indices) => Event::Submit(layers(indices)),
            Event::Leave(map, tensor) => Event::Leave(map, tensor),
            Event::Requantise(map, tensor, requant) => Event::Requantise(map, tensor, requant),
        };
        self.events.into_iter().map(with_layers).collect()
    }

    /// Placements as reported: one for each operator.
    pub fn placements<L>(&self, index: &Index, steps: &[Legal<L>]) -> PrimaryMap<OpId, Placement> {
        let mut on_host = EntitySet::with_capacity(index.graph.op_bound());
        for event in &self.events {
            if let Event::Cpu(op) = event {
                on_host.insert(*op);
            }
        }
        let mut placements = PrimaryMap::with_capacity(index.graph.op_count());
        for (step, &required) in steps.iter().zip(&self.required) {
            placements.push(match &step.work {
                LegalWork::Requantise(..) => continue,
                _ if !required => Placement::Folded,
                LegalWork::Npu {
                    name,
                    evidence,
                    error: None,
                    ..
                } => Placement::Npu {
                    lowering: name.clone(),
                    evidence: *evidence,
                },
                LegalWork::Npu {
                    name,
                    evidence,
                    error: Some(error),
                    ..
                } => Placement::Approximate {
                    lowering: name.clone(),
                    evidence: *evidence,
                    error: *error,
                },
                LegalWork::View(_) if !on_host.contains(step.op) => Placement::Folded,
                LegalWork::View(_) => Placement::Cpu {
                    reason: "its operand and result are on the host".to_string(),
                    remedy: None,
                },
                LegalWork::Host(why) => Placement::Cpu {
                    reason: why.reason.clone(),
                    remedy: why.remedy.clone(),
                },
            });
        }
        placements
    }
}

/// The plan under construction. What has been made or done is marked by tensor, map or step.
struct Planner<'a, 'g, L> {
    index: &'a Index<'g>,
    maps: &'a dyn Maps,
    steps: &'a [Legal<L>],
    events: Vec<Event<StepIndex>>,
    host: SecondaryMap<TensorId, bool>,
    device: SecondaryMap<MapId, bool>,
    ready: SecondaryMap<TensorId, bool>,
    done: Vec<bool>,
}

/// Tensors that a step reads.
pub fn reads<'a, L>(
    index: &Index<'a>,
    step: &'a Legal<L>,
) -> impl Iterator<Item = TensorId> + use<'a, L> {
    let (listed, operands): (&[TensorId], &[Option<TensorId>]) = match &step.work {
        LegalWork::Npu { reads, .. } => (reads, &[]),
        LegalWork::View(source) => (std::slice::from_ref(source), &[]),
        LegalWork::Host(_) => (&[], &index.graph.node(step.op).inputs),
        LegalWork::Requantise(..) => (&[], &[]),
    };
    let operands = operands.iter().flatten();
    listed.iter().chain(operands).copied()
}

/// Tensors that a step makes: the results of its operator, unless the next step makes them.
fn makes<'a, L>(index: &Index<'a>, step: &Legal<L>) -> &'a [TensorId] {
    match step.work {
        LegalWork::Npu {
            accumulates: true, ..
        } => &[],
        _ => &index.graph.node(step.op).outputs,
    }
}

fn required<L>(index: &Index, steps: &[Legal<L>]) -> Vec<bool> {
    let mut wanted = SecondaryMap::new();
    wanted.resize(index.graph.tensors.len());
    for &output in &index.graph.outputs {
        wanted[output] = true;
    }
    let mut required = vec![false; steps.len()];
    let mut next_requantises = false;
    for (at, step) in steps.iter().enumerate().rev() {
        let made = makes(index, step);
        if next_requantises || made.iter().any(|&t| wanted[t]) {
            required[at] = true;
            for read in reads(index, step) {
                wanted[read] = true;
            }
        }
        next_requantises = required[at] && matches!(step.work, LegalWork::Requantise(..));
    }
    required
}

/// Plans the order of everything required.
pub fn schedule<L: Layer>(
    index: &Index,
    maps: &dyn Maps,
    steps: &[Legal<L>],
) -> Result<Schedule, CompileError> {
    let required = required(index, steps);
    let (mut ready, mut device) = (SecondaryMap::new(), SecondaryMap::new());
    ready.resize(index.graph.tensors.len());
    for (id, tensor) in &index.graph.tensors {
        // What no node makes is there from the start: inputs, constants, variables.
        ready[id] = tensor.is_constant() || index.producer(id).is_none();
    }
    device.resize(maps.count());
    let mut planner = Planner {
        index,
        maps,
        steps,
        events: Vec::new(),
        host: ready.clone(),
        device,
        ready,
        done: required.iter().map(|r| !r).collect(),
    };
    while planner.host_phase() | planner.device_phase() {}
    if let Some(at) = planner.done.iter().position(|done| !done) {
        return Err(CompileError::Order { op: steps[at].op });
    }
    for &output in &index.graph.outputs {
        planner.bring_to_host(output);
    }
    Ok(Schedule {
        events: planner.events,
        required,
    })
}

impl<L: Layer> Planner<'_, '_, L> {
    fn is_ready(&self, step: &Legal<L>) -> bool {
        reads(self.index, step).all(|t| self.ready[t])
    }

    fn finish(&mut self, at: StepIndex) {
        self.done[at] = true;
        for &made in makes(self.index, &self.steps[at]) {
            self.ready[made] = true;
        }
    }

    fn host_phase(&mut self) -> bool {
        let mut any = false;
        for (at, step) in self.steps.iter().enumerate() {
            if self.done[at] || !self.is_ready(step) {
                continue;
            }
            match &step.work {
                LegalWork::View(_) => self.finish(at),
                LegalWork::Host(_) => {
                    self.run_on_host(step.op);
                    self.finish(at);
                }
                LegalWork::Npu { .. } | LegalWork::Requantise(..) => continue,
            }
            any = true;
        }
        any
    }

    fn run_on_host(&mut self, op: OpId) {
        let node = self.index.graph.node(op);
        for input in node.inputs.iter().flatten() {
            self.bring_to_host(*input);
        }
        self.events.push(Event::Cpu(op));
        for &made in &node.outputs {
            self.host[made] = true;
        }
    }

    fn device_phase(&mut self) -> bool {
        let mut work = Vec::new();
        let mut accumulated = Vec::new();
        let mut any = false;
        for (at, step) in self.steps.iter().enumerate() {
            if self.done[at] || !self.is_ready(step) {
                continue;
            }
            match &step.work {
                LegalWork::View(_) => self.finish(at),
                LegalWork::Host(_) | LegalWork::Requantise(..) => {}
                LegalWork::Npu {
                    reads,
                    layers,
                    accumulates,
                    ..
                } => {
                    for &tensor in reads {
                        self.bring_to_device(tensor);
                    }
                    for layer in layers {
                        self.device[layer.writes()] = true;
                    }
                    if !layers.is_empty() {
                        work.push(at);
                    }
                    // What no layer makes was made where its operands are.
                    let outputs = makes(self.index, step);
                    for map in outputs.iter().filter_map(|&t| self.maps.known_map(t)) {
                        self.device[map] = true;
                    }
                    any = true;
                    self.finish(at);
                    if *accumulates {
                        accumulated.push(at + 1);
                    }
                }
            }
        }
        if work.is_empty() {
            return any;
        }
        self.events.push(Event::Submit(work));
        for at in accumulated {
            let step = &self.steps[at];
            if let LegalWork::Requantise(map, requant) = &step.work {
                let tensor = self.index.result(step.op);
                let event = Event::Requantise(*map, tensor, requant.clone());
                self.events.push(event);
                self.host[tensor] = true;
            }
            self.finish(at);
        }
        true
    }

    fn source(&self, tensor: TensorId) -> Option<(OpId, TensorId)> {
        let (op, _) = self.index.producer(tensor)?;
        let at = self.steps.partition_point(|step| step.op < op);
        match self.steps.get(at)?.work {
            LegalWork::View(source) => Some((op, source)),
            _ => None,
        }
    }

    /// Sees to it that the host has a tensor.
    fn bring_to_host(&mut self, tensor: TensorId) {
        if self.host[tensor] {
            return;
        }
        let map = self.maps.known_map(tensor);
        if let Some(map) = map.filter(|&map| self.device[map]) {
            self.events.push(Event::Leave(map, tensor));
            self.host[tensor] = true;
        } else if let Some((op, _)) = self.source(tensor) {
            self.run_on_host(op);
        }
    }

    /// Sees to it that the device has a tensor. Only called before the layers that read it.
    fn bring_to_device(&mut self, tensor: TensorId) {
        let Some(map) = self.maps.known_map(tensor) else {
            return;
        };
        if std::mem::replace(&mut self.device[map], true) {
            return;
        }
        // A view has the bytes of what it views, wherever in the chain the host has them.
        let mut at = tensor;
        while !self.host[at] {
            match self.source(at) {
                Some((_, source)) => at = source,
                None => break,
            }
        }
        self.events.push(Event::Enter(map, at));
    }
}
