//! Runs graphs operator by operator.

use super::context::Context;
use super::dispatch::{self, Plan};
use super::{CpuError, KernelError, Value};
use ferrite_ir::{Graph, OpId, PrimaryMap, SecondaryMap, TensorId};
use std::sync::{Arc, OnceLock};

/// A graph ready to run: constants are decoded and filters are packed when an operator first needs
/// them, each once.
pub struct Interpreter {
    graph: Arc<Graph>,
    constants: PrimaryMap<TensorId, OnceLock<Option<Value>>>,
    /// For each operator, made on its first run.
    plans: PrimaryMap<OpId, OnceLock<Plan>>,
    /// For each tensor, the operator after which nobody needs it.
    last_use: SecondaryMap<TensorId, Option<OpId>>,
}

impl Interpreter {
    /// Checks that all ids are of the graph, and that the constants fit their shapes.
    ///
    /// # Errors
    /// [`CpuError::NoSuchTensor`] and [`CpuError::Constant`].
    pub fn new(graph: impl Into<Arc<Graph>>) -> Result<Interpreter, CpuError> {
        let graph = graph.into();
        let operands = |op: OpId| {
            let node = graph.node(op);
            node.inputs.iter().flatten().chain(&node.outputs)
        };
        for &tensor in graph
            .inputs
            .iter()
            .chain(&graph.outputs)
            .chain(graph.op_ids().flat_map(operands))
        {
            if !graph.tensors.is_valid(tensor) {
                return Err(CpuError::NoSuchTensor {
                    tensor,
                    tensors: graph.tensors.len(),
                });
            }
        }
        for (id, tensor) in &graph.tensors {
            let bytes = tensor.data.as_ref().map(|data| data.len());
            let fits = bytes.map(|bytes| Value::check(tensor.dtype, &tensor.shape, bytes));
            fits.transpose()
                .map_err(|source| CpuError::Constant { tensor: id, source })?;
        }
        let constants = graph.tensors.keys().map(|_| OnceLock::new()).collect();
        let plans = (0..graph.op_bound()).map(|_| OnceLock::new()).collect();
        let mut last_use = SecondaryMap::with_capacity(graph.tensors.len());
        for op in graph.op_ids() {
            for &id in operands(op) {
                last_use[id] = Some(op);
            }
        }
        for &id in &graph.outputs {
            last_use[id] = None;
        }
        Ok(Interpreter {
            graph,
            constants,
            plans,
            last_use,
        })
    }

    /// The graph.
    pub fn graph(&self) -> &Arc<Graph> {
        &self.graph
    }

    /// The value of a constant tensor.
    pub fn constant(&self, id: TensorId) -> Option<&Value> {
        let slot = self.constants.get(id)?;
        // It fits its shape: `new` has checked that.
        slot.get_or_init(|| constant(&self.graph, id).ok().flatten())
            .as_ref()
    }

    /// Runs one operator. An operand that is `None` or missing from `inputs` is taken from the
    /// graph's constants.
    ///
    /// # Errors
    /// [`CpuError::Op`] with the reason, [`CpuError::NoSuchOp`].
    pub fn run_op(&self, op: OpId, inputs: &[Option<&Value>]) -> Result<Vec<Value>, CpuError> {
        self.run_op_again(op, inputs, None)
    }

    /// As [`Interpreter::run_op`]; `spare` is an earlier value of the first result, whose memory may be
    /// used again.
    ///
    /// # Errors
    /// As [`Interpreter::run_op`].
    pub fn run_op_again(
        &self,
        op: OpId,
        inputs: &[Option<&Value>],
        spare: Option<Value>,
    ) -> Result<Vec<Value>, CpuError> {
        let node = self.graph.get_node(op);
        let node = node.ok_or(CpuError::NoSuchOp {
            op,
            nodes: self.graph.op_count(),
        })?;
        let given = |i: usize| inputs.get(i).copied().flatten();
        let operands: Vec<Option<&Value>> = node
            .inputs
            .iter()
            .enumerate()
            .map(|(i, id)| given(i).or_else(|| self.constant((*id)?)))
            .collect();
        Context::new(&self.graph, node, &operands)
            .and_then(|ctx| {
                let spare = spare.into();
                self.run_kernel(op, &Context { spare, ..ctx })
            })
            .map_err(|source| CpuError::Op {
                op,
                kind: self.graph.op_name(op).to_owned(),
                source,
            })
    }

    fn run_kernel(&self, op: OpId, ctx: &Context<'_>) -> Result<Vec<Value>, KernelError> {
        // A plan may be kept where all operands but the data are the graph's own constants and the
        // data has the graph's shape.
        let data = dispatch::data_operand(&ctx.node.kind);
        let fixed = ctx
            .node
            .inputs
            .iter()
            .zip(ctx.inputs)
            .enumerate()
            .filter(|&(i, _)| i != data)
            .all(|(_, (id, value))| {
                let own = id.and_then(|id| self.constant(id));
                value.is_none_or(|v| own.is_some_and(|c| std::ptr::eq(c, v)))
            });
        let usual = match (ctx.inputs.get(data), ctx.input_tensor(data)) {
            (Some(Some(x)), Ok(tensor)) => x.shape() == &tensor.shape[..],
            _ => false,
        };
        if !(fixed && usual) {
            return dispatch::run(ctx, &dispatch::plan(ctx)?);
        }
        let slot = &self.plans[op];
        if slot.get().is_none() {
            // Another thread may have been faster; its plan is the same.
            let _ = slot.set(dispatch::plan(ctx)?);
        }
        match slot.get() {
            Some(plan) => dispatch::run(ctx, plan),
            None => dispatch::run(ctx, &dispatch::plan(ctx)?),
        }
    }

    /// Runs the graph.
    ///
    /// # Errors
    /// [`CpuError`] for inputs that do not match the graph and for operators that fail.
    pub fn run(&self, inputs: &[Value]) -> Result<Vec<Value>, CpuError> {
        let mut values = self.place_inputs(inputs)?;
        for op in self.graph.op_ids() {
            self.step(op, &mut values)?;
            let node = self.graph.node(op);
            for &id in node.inputs.iter().flatten().chain(&node.outputs) {
                if self.last_use[id] == Some(op) {
                    values[id] = None;
                }
            }
        }
        self.graph
            .outputs
            .iter()
            .map(|&id| {
                let value = values[id].as_ref().or(self.constant(id));
                let value = value.ok_or(CpuError::OutputNotComputed { tensor: id })?;
                copy(id, value)
            })
            .collect()
    }

    /// Runs the graph and returns the value of every tensor that is not a constant: `None` for
    /// constants and for tensors nobody computes.
    ///
    /// # Errors
    /// As [`Interpreter::run`].
    pub fn run_keeping_all(
        &self,
        inputs: &[Value],
    ) -> Result<SecondaryMap<TensorId, Option<Value>>, CpuError> {
        let mut values = self.place_inputs(inputs)?;
        for op in self.graph.op_ids() {
            self.step(op, &mut values)?;
        }
        Ok(values)
    }

    fn step(
        &self,
        op: OpId,
        values: &mut SecondaryMap<TensorId, Option<Value>>,
    ) -> Result<(), CpuError> {
        let node = self.graph.node(op);
        let operands: Vec<Option<&Value>> = node
            .inputs
            .iter()
            .map(|id| values[(*id)?].as_ref())
            .collect();
        let results = self.run_op(op, &operands)?;
        for (&id, value) in node.outputs.iter().zip(results) {
            values[id] = Some(value);
        }
        Ok(())
    }

    fn place_inputs(
        &self,
        inputs: &[Value],
    ) -> Result<SecondaryMap<TensorId, Option<Value>>, CpuError> {
        let ids = &self.graph.inputs;
        if inputs.len() != ids.len() {
            return Err(CpuError::InputCount {
                found: inputs.len(),
                expected: ids.len(),
            });
        }
        let mut values = SecondaryMap::with_capacity(self.graph.tensors.len());
        for (index, (&id, value)) in ids.iter().zip(inputs).enumerate() {
            let tensor = self.graph.tensor(id);
            if value.dtype() != tensor.dtype || value.shape() != &tensor.shape[..] {
                return Err(CpuError::Input {
                    index,
                    found: value.dtype(),
                    found_shape: value.shape().to_vec(),
                    expected: tensor.dtype,
                    expected_shape: tensor.shape.to_vec(),
                });
            }
            values[id] = Some(copy(id, value)?);
        }
        Ok(values)
    }
}

/// The same value again, for another holder.
pub fn copy(tensor: TensorId, value: &Value) -> Result<Value, CpuError> {
    let copied = value.try_clone();
    copied.map_err(|source| CpuError::Constant { tensor, source })
}

fn constant(graph: &Graph, id: TensorId) -> Result<Option<Value>, CpuError> {
    let tensor = graph.tensor(id);
    let Some(data) = &tensor.data else {
        return Ok(None);
    };
    Value::from_bytes(tensor.dtype, tensor.shape.to_vec(), data)
        .map(Some)
        .map_err(|source| CpuError::Constant { tensor: id, source })
}

/// Runs one operator of a graph. Operands that are `None` or missing are taken from the graph's
/// constants. To run an operator more than once, keep an [`Interpreter`].
///
/// # Errors
/// [`CpuError::Op`] with the reason, and [`CpuError::NoSuchOp`], [`CpuError::NoSuchTensor`] and
/// [`CpuError::Constant`] for a graph that does not hold together.
pub fn run_op(graph: &Graph, op: OpId, inputs: &[Option<&Value>]) -> Result<Vec<Value>, CpuError> {
    let node = graph.get_node(op);
    let node = node.ok_or(CpuError::NoSuchOp {
        op,
        nodes: graph.op_count(),
    })?;
    let mut constants = Vec::new();
    for (i, id) in node.inputs.iter().enumerate() {
        constants.push(match (inputs.get(i).copied().flatten(), id) {
            (None, &Some(id)) if graph.tensors.is_valid(id) => constant(graph, id)?,
            _ => None,
        });
    }
    let operands: Vec<Option<&Value>> = constants
        .iter()
        .enumerate()
        .map(|(i, own)| inputs.get(i).copied().flatten().or(own.as_ref()))
        .collect();
    Context::new(graph, node, &operands)
        .and_then(|ctx| dispatch::run(&ctx, &dispatch::plan(&ctx)?))
        .map_err(|source| CpuError::Op {
            op,
            kind: graph.op_name(op).to_owned(),
            source,
        })
}

/// Runs a graph once. To run it more than once, keep an [`Interpreter`].
///
/// # Errors
/// As [`Interpreter::new`] and [`Interpreter::run`].
pub fn run_graph(graph: &Graph, inputs: &[Value]) -> Result<Vec<Value>, CpuError> {
    Interpreter::new(graph.clone())?.run(inputs)
}
