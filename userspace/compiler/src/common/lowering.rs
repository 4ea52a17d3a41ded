//! From a graph's operators to layers in the order of their submissions, whatever the target.

use std::ops::Deref;
use std::sync::Arc;

use ferrite_ir::{Graph, OpId, TensorId, Uses};

use super::plan_segments::{self, Event};
use super::{Choice, Index, Maps, Work, choice, fold_activation};
use crate::executable::{Executable, Placement};
use crate::{CompileError, Options};

/// A target's view of a graph, while it makes layers of the operators.
pub trait Lower<'g>: Deref<Target = Index<'g>> + Maps + Sized {
    /// A layer.
    type Layer: Work;
    /// What it has found out, to be kept beyond the graph's borrow.
    type Findings;

    /// A view of a graph.
    fn new(index: Index<'g>, options: &'g Options) -> Self;
    /// Goes on where another view of the graph, or of one with the same tensors, has ended.
    fn resume(index: Index<'g>, options: &'g Options, findings: Self::Findings) -> Self;
    /// What was found out.
    fn into_findings(self) -> Self::Findings;
    /// Has whoever makes `tensor` keep to a range, which is in signed form.
    fn clamp(&mut self, tensor: TensorId, range: (i32, i32));
    /// Decides how an operator is done.
    fn choose(&mut self, op: OpId) -> Choice<Self::Layer>;
    /// Decides anew, when all operators are known.
    fn reconsider(&self, _choices: &mut [Choice<Self::Layer>]) {}
    /// Divides layers, when their order is known.
    fn divide(&self, _events: &mut [Event<Self::Layer>]) {}
    /// Writes constants and commands.
    fn assemble(
        &self,
        events: Vec<Event<Self::Layer>>,
        placements: Vec<Placement>,
    ) -> Result<Executable, CompileError>;
}

/// How a graph's operators are done: in which layers on the NPU, if there.
#[derive(Clone, Debug)]
pub struct Lowering<F, L> {
    /// Who makes and who reads the graph's tensors.
    pub uses: Arc<Uses>,
    findings: F,
    /// By operator.
    pub choices: Vec<Choice<L>>,
}

/// How the operators are done, and where each of them would run.
pub type Placed<F, L> = (Lowering<F, L>, Vec<Placement>);

/// Layers in the order of their submissions.
pub struct Scheduled<C, L> {
    /// The view that they refer to.
    pub ctx: C,
    /// The steps.
    pub events: Vec<Event<L>>,
    /// Where each operator runs.
    pub placements: Vec<Placement>,
}

/// Lowers the operators of a graph.
pub fn lower<'g, C: Lower<'g>>(
    graph: &'g Graph,
    options: &'g Options,
) -> Result<Placed<C::Findings, C::Layer>, CompileError> {
    let uses = Arc::new(graph.uses());
    let mut ctx = C::new(Index::new(graph, Arc::clone(&uses)), options);
    for (tensor, activation) in fold_activation::folded(&ctx) {
        if let Ok(stored) = ctx.stored(tensor) {
            ctx.clamp(tensor, stored.range(activation));
        }
    }
    let ops = graph.op_ids();
    let mut choices: Vec<_> = ops.map(|op| ctx.choose(op)).collect();
    ctx.reconsider(&mut choices);
    let schedule = plan_segments::schedule(&ctx, &ctx, &choices)?;
    let placements = choice::placements(graph, &choices, &schedule);
    let lowering = Lowering {
        uses,
        findings: ctx.into_findings(),
        choices,
    };
    Ok((lowering, placements))
}

impl<F, L: Work> Lowering<F, L> {
    /// Schedules the layers.
    pub fn schedule<'g, C: Lower<'g, Layer = L, Findings = F>>(
        mut self,
        graph: &'g Graph,
        options: &'g Options,
    ) -> Result<Scheduled<C, L>, CompileError> {
        let ctx = C::resume(Index::new(graph, self.uses), options, self.findings);
        let schedule = plan_segments::schedule(&ctx, &ctx, &self.choices)?;
        let placements = choice::placements(graph, &self.choices, &schedule);
        let mut events = schedule.with_layers(&mut self.choices);
        ctx.divide(&mut events);
        Ok(Scheduled {
            ctx,
            events,
            placements,
        })
    }

    /// Schedules the layers and writes everything out.
    pub fn write<'g, C: Lower<'g, Layer = L, Findings = F>>(
        self,
        graph: &'g Graph,
        options: &'g Options,
    ) -> Result<Executable, CompileError> {
        let scheduled: Scheduled<C, L> = self.schedule(graph, options)?;
        scheduled
            .ctx
            .assemble(scheduled.events, scheduled.placements)
    }
}
