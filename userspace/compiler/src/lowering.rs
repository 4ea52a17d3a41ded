//! A graph's operators as a family's layers, whatever the family.

use std::fmt;

use ferrite_ir::{OpId, PrimaryMap, TensorId};

use crate::error::CompileError;
use crate::executable::{Executable, Placement};
use crate::index::Index;
use crate::lowered::{Event, Layer, Legal, LegalWork};
use crate::options::Options;
use crate::passes::plan_segments::{Schedule, reads};
use crate::pipeline;
use crate::target::{Builder, Family};

/// What there is to do with a lowered graph.
pub trait Plannable: fmt::Debug + Send + Sync {
    /// Where each operator would run.
    fn placements(&self, index: &Index) -> PrimaryMap<OpId, Placement>;
    /// Keeps the steps of the operators for which `kept` has a new number, in a graph with the same
    /// tensors. False if these need anything that the part does not have; `self` is of no use then.
    fn part(&mut self, index: &Index, kept: &dyn Fn(OpId) -> Option<OpId>) -> bool;
    /// Maps, and layers in the order of their submissions, as text.
    fn print(self: Box<Self>, index: &Index, options: &Options) -> Result<String, CompileError>;
    /// Writes constants and commands.
    fn write(self: Box<Self>, index: &Index, options: &Options)
    -> Result<Executable, CompileError>;
    /// A copy.
    fn boxed_clone(&self) -> Box<dyn Plannable>;
}

/// A graph's operators as layers.
#[derive(Debug)]
pub struct Lowering<F: Family> {
    maps: F::Maps,
    steps: Vec<Legal<F::Layer>>,
    /// Of these steps; made anew for a part of them.
    schedule: Option<Schedule>,
}

impl<F: Family> Clone for Lowering<F> {
    fn clone(&self) -> Self {
        Lowering {
            maps: self.maps.clone(),
            steps: self.steps.clone(),
            schedule: self.schedule.clone(),
        }
    }
}

impl<F: Family> Lowering<F> {
    /// Lowers a graph.
    pub fn boxed(index: &Index, options: &Options) -> Result<Box<dyn Plannable>, CompileError> {
        let form = pipeline::form(index, &F::RULES, options);
        let mut builder = F::Builder::new(index.clone(), options, F::Maps::default());
        let (steps, schedule) = pipeline::layers::<F>(&form, &mut builder)?;
        Ok(Box::new(Lowering::<F> {
            maps: builder.into_maps(),
            steps,
            schedule: Some(schedule),
        }))
    }

    /// Layers in their order, and where the operators run.
    fn order<'g>(
        mut self,
        index: &Index<'g>,
        options: &'g Options,
    ) -> Result<Ordered<'g, F>, CompileError> {
        let mut builder = F::Builder::new(index.clone(), options, self.maps);
        let schedule = match self.schedule {
            Some(schedule) => schedule,
            None => pipeline::schedule::<F>(&builder, &self.steps)?,
        };
        let placements = schedule.placements(index, &self.steps);
        let events = pipeline::events::<F>(&mut builder, schedule, &mut self.steps);
        Ok(Ordered {
            builder,
            events,
            placements,
        })
    }
}

struct Ordered<'g, F: Family> {
    builder: F::Builder<'g>,
    events: Vec<Event<F::Layer>>,
    placements: PrimaryMap<OpId, Placement>,
}

impl<F: Family> Plannable for Lowering<F> {
    fn placements(&self, index: &Index) -> PrimaryMap<OpId, Placement> {
        let schedule = self.schedule.as_ref();
        schedule.map_or_else(PrimaryMap::new, |schedule| {
            schedule.placements(index, &self.steps)
        })
    }

    fn part(&mut self, index: &Index, kept: &dyn Fn(OpId) -> Option<OpId>) -> bool {
        self.schedule = None;
        let there = |tensor: TensorId| {
            let made = index
                .producer(tensor)
                .is_none_or(|(op, _)| kept(op).is_some());
            made || index.uses(tensor).iter().any(|&op| kept(op).is_some())
        };
        let mut inside = true;
        self.steps.retain_mut(|step| {
            let Some(new) = kept(step.op) else {
                return false;
            };
            inside &= reads(index, step).all(there);
            step.op = new;
            if let LegalWork::Npu { layers, .. } = &mut step.work {
                for op in layers.iter_mut().map(Layer::op_mut) {
                    match kept(*op) {
                        Some(new) => *op = new,
                        None => inside = false,
                    }
                }
            }
            true
        });
        inside
    }

    fn print(self: Box<Self>, index: &Index, options: &Options) -> Result<String, CompileError> {
        let Ordered {
            builder, events, ..
        } = self.order(index, options)?;
        let mut text = String::new();
        builder.print_maps(&mut text);
        for event in &events {
            print_event::<F>(&mut text, &builder, event);
        }
        Ok(text)
    }

    fn write(
        self: Box<Self>,
        index: &Index,
        options: &Options,
    ) -> Result<Executable, CompileError> {
        let Ordered {
            builder,
            events,
            placements,
        } = self.order(index, options)?;
        builder.encode(events, placements)
    }

    fn boxed_clone(&self) -> Box<dyn Plannable> {
        Box::new(self.clone())
    }
}

/// Appends a step, with what the family notes about a layer behind it.
fn print_event<F: Family>(text: &mut String, builder: &F::Builder<'_>, event: &Event<F::Layer>) {
    use fmt::Write;
    // Writing to a string cannot fail.
    let _ = match event {
        Event::Cpu(op) => writeln!(text, "cpu {} {}", op.as_u32(), builder.graph.op_name(*op)),
        Event::Enter(map, tensor) => writeln!(text, "enter {map} = t{}", tensor.as_u32()),
        Event::Leave(map, tensor) => writeln!(text, "leave t{} = {map}", tensor.as_u32()),
        Event::Requantise(map, tensor, _) => {
            writeln!(text, "requantise t{} = {map}", tensor.as_u32())
        }
        Event::Submit(layers) => {
            let mut layers = layers.iter();
            let header = writeln!(text, "submit");
            header.and(layers.try_for_each(|layer| {
                let note = builder.note(layer);
                writeln!(text, "  {layer}{note}")
            }))
        }
    };
}
