//! Compiling in two steps: deciding how operators are done, and writing that out.

use std::borrow::Borrow;
use std::sync::Arc;

use ferrite_ir::{Graph, OpId, PrimaryMap, SecondaryMap, TensorId, Uses};

use crate::error::CompileError;
use crate::executable::{Executable, Placement};
use crate::index::Index;
use crate::lowering::Plannable;
use crate::options::Options;
use crate::registry;

/// A graph, and how each of its operators is done.
#[derive(Debug)]
pub struct Plan<G> {
    graph: G,
    uses: Arc<Uses>,
    options: Options,
    lowered: Box<dyn Plannable>,
    /// Where each operator would run: [`Executable::placements`].
    pub placements: PrimaryMap<OpId, Placement>,
}

impl<G: Clone> Clone for Plan<G> {
    fn clone(&self) -> Self {
        Plan {
            graph: self.graph.clone(),
            uses: Arc::clone(&self.uses),
            options: self.options,
            lowered: self.lowered.boxed_clone(),
            placements: self.placements.clone(),
        }
    }
}

impl<G: Borrow<Graph>> Plan<G> {
    /// Decides for all operators.
    pub fn new(graph: G, options: &Options) -> Result<Plan<G>, CompileError> {
        let uses = Arc::new(graph.borrow().uses());
        let index = Index::new(graph.borrow(), Arc::clone(&uses));
        let lowered = registry::lower(&index, options)?;
        let placements = lowered.placements(&index);
        Ok(Plan {
            graph,
            uses,
            options: *options,
            lowered,
            placements,
        })
    }

    /// The graph.
    pub fn graph(&self) -> &G {
        &self.graph
    }

    /// Which operators make and read the tensors of the graph.
    pub fn uses(&self) -> &Uses {
        &self.uses
    }

    /// Maps on the device, and layers in the order of their submissions, as text.
    pub fn print(self) -> Result<String, CompileError> {
        let index = Index::new(self.graph.borrow(), self.uses);
        self.lowered.print(&index, &self.options)
    }

    /// Writes constants and commands.
    pub fn compile(self) -> Result<Executable, CompileError> {
        let index = Index::new(self.graph.borrow(), self.uses);
        self.lowered.write(&index, &self.options)
    }
}

impl Plan<Graph> {
    /// The plan for a part of the graph: the operators `ops`, in ascending order, of which `outputs`
    /// are wanted. Tensors keep their ids, operators are numbered anew.
    ///
    /// None if the operators are done in a way that does not allow that: if one needs a tensor that
    /// the part does not have, as one that does the work of the operator before it does, or if an
    /// output seemed to be needed by none but one of the operators.
    pub fn part(mut self, ops: &[OpId], outputs: Vec<TensorId>) -> Option<Plan<Arc<Graph>>> {
        let mut new_ids: SecondaryMap<OpId, Option<OpId>> = SecondaryMap::new();
        for (&op, new) in ops.iter().zip((0..).map(OpId::from_u32)) {
            self.graph.get_node(op)?;
            new_ids[op] = Some(new);
        }
        let kept = |op: OpId| new_ids[op];
        let index = Index::new(&self.graph, Arc::clone(&self.uses));
        let seen = |output: &TensorId| {
            let left = |&op: &OpId| kept(op).is_none();
            index.is_output(*output) || index.uses(*output).iter().any(left)
        };
        if !outputs.iter().all(seen) || !self.lowered.part(&index, &kept) {
            return None;
        }
        let placements = self.placements.into_iter();
        let placements = placements.filter(|(op, _)| kept(*op).is_some());
        let placements = placements.map(|(_, placement)| placement).collect();
        self.graph.keep_ops(ops);
        self.graph.inputs = self.graph.free_tensors();
        self.graph.outputs = outputs;
        Some(Plan {
            uses: Arc::new(self.graph.uses()),
            graph: Arc::new(self.graph),
            options: self.options,
            lowered: self.lowered,
            placements,
        })
    }
}
