//! Compiling in two steps: deciding how operators are done, and writing that out.

use std::borrow::Borrow;
use std::sync::Arc;

use ferrite_ir::{Graph, OpId, TensorId, Uses};

use crate::common::Index;
use crate::common::choice::{Choice, Work};
use crate::common::lowering::lower;
use crate::common::plan_segments::reads;
use crate::executable::{Executable, Placement, Target};
use crate::{CompileError, Options, rk3588, vivante};

/// A graph, and how each of its operators is done.
#[derive(Clone, Debug)]
pub struct Plan<G> {
    graph: G,
    options: Options,
    lowered: Lowered,
    /// Where each operator would run: [`Executable::placements`].
    pub placements: Vec<Placement>,
}

#[derive(Clone, Debug)]
enum Lowered {
    Rk3588(rk3588::Lowering),
    A311d(vivante::Lowering),
}

impl<G: Borrow<Graph>> Plan<G> {
    /// Decides for all operators.
    pub fn new(graph: G, options: &Options) -> Result<Plan<G>, CompileError> {
        let whole: &Graph = graph.borrow();
        let (lowered, placements) = match options.target {
            Target::Rk3588 => {
                let (lowered, placements) = lower::<rk3588::Context>(whole, options)?;
                (Lowered::Rk3588(lowered), placements)
            }
            Target::A311d => {
                let (lowered, placements) = lower::<vivante::Context>(whole, options)?;
                (Lowered::A311d(lowered), placements)
            }
        };
        Ok(Plan {
            graph,
            options: *options,
            lowered,
            placements,
        })
    }

    /// The graph.
    pub fn graph(&self) -> &G {
        &self.graph
    }

    /// Who makes and who reads the tensors of the graph.
    pub fn uses(&self) -> &Arc<Uses> {
        match &self.lowered {
            Lowered::Rk3588(lowered) => &lowered.uses,
            Lowered::A311d(lowered) => &lowered.uses,
        }
    }

    /// Writes constants and commands.
    pub fn compile(self) -> Result<Executable, CompileError> {
        let graph = self.graph.borrow();
        match self.lowered {
            Lowered::Rk3588(lowered) => lowered.write::<rk3588::Context>(graph, &self.options),
            Lowered::A311d(lowered) => lowered.write::<vivante::Context>(graph, &self.options),
        }
    }
}

impl Plan<Graph> {
    /// The plan for a part of the graph: the operators `ops`, in ascending order, of which `outputs`
    /// are wanted. Tensors keep their ids, operators are numbered anew.
    ///
    /// None if the operators are done in a way that does not allow that: if one needs a tensor which
    /// the part does not have, as one that does the work of the operator before it does, or if an
    /// output seemed to be needed by nobody but one of the operators.
    pub fn part(mut self, ops: &[OpId], outputs: Vec<TensorId>) -> Option<Plan<Arc<Graph>>> {
        let mut new_ids = vec![None; self.graph.nodes.len()];
        for (op, new) in ops.iter().zip((0..).map(OpId)) {
            *new_ids.get_mut(op.0 as usize)? = Some(new);
        }
        let kept = |op: usize| new_ids[op];
        let index = Index::new(&self.graph, Arc::clone(self.uses()));
        let seen = |output: &TensorId| {
            let left = |op: &OpId| kept(op.0 as usize).is_none();
            index.is_output(*output) || index.uses(*output).iter().any(left)
        };
        if !outputs.iter().all(seen) {
            return None;
        }
        let inside = match &mut self.lowered {
            Lowered::Rk3588(lowered) => part(&index, &mut lowered.choices, kept),
            Lowered::A311d(lowered) => part(&index, &mut lowered.choices, kept),
        };
        if !inside {
            return None;
        }
        let mut op = 0..;
        let mut keep = move || op.next().and_then(kept).is_some();
        self.graph.nodes.retain(|_| keep());
        let mut op = 0..;
        let mut keep = move || op.next().and_then(kept).is_some();
        self.placements.retain(|_| keep());
        self.graph.inputs = self.graph.free_tensors();
        self.graph.outputs = outputs;
        let uses = Arc::new(self.graph.uses());
        match &mut self.lowered {
            Lowered::Rk3588(lowered) => lowered.uses = uses,
            Lowered::A311d(lowered) => lowered.uses = uses,
        }
        Some(Plan {
            graph: Arc::new(self.graph),
            options: self.options,
            lowered: self.lowered,
            placements: self.placements,
        })
    }
}

/// Leaves the choices of the operators that `kept` has a new number for. Whether these read nothing
/// but what they make or what also the graph's operators that are kept read.
fn part<L: Work>(
    index: &Index,
    choices: &mut Vec<Choice<L>>,
    kept: impl Fn(usize) -> Option<OpId>,
) -> bool {
    let is_kept = |op: OpId| kept(op.0 as usize).is_some();
    let there = |tensor: TensorId| {
        let made = index.producer(tensor).is_none_or(|(op, _)| is_kept(op));
        made || index.uses(tensor).iter().any(|&op| is_kept(op))
    };
    let mut choices_of_all = std::mem::take(choices).into_iter().enumerate();
    choices_of_all.all(|(op, mut choice)| {
        let Some(_) = kept(op) else { return true };
        if !reads(index, OpId(op as u32), &choice).all(there) {
            return false;
        }
        if let Choice::Npu { lowered, .. } = &mut choice {
            for op in lowered.layers.iter_mut().map(Work::op_mut) {
                match kept(op.0 as usize) {
                    Some(new) => *op = new,
                    None => return false,
                }
            }
        }
        choices.push(choice);
        true
    })
}
