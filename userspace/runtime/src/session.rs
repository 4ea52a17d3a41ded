//! Runs an executable over and over: CPU operators, layout conversion, NPU submissions, in order.

use crate::cpu::{CpuError, Interpreter, Value, copy};
use crate::device::{Counters, Device, DeviceError, JobError, Program};
use crate::layout::{self, LayoutError};
use crate::requant::{self, RequantError};
use ferrite_compiler::executable::{Executable, HostRequant, Job, Placement, Port, Step, Target};
use ferrite_ir::{DType, EntitySet, Graph, OpId, PrimaryMap, SecondaryMap, Tensor, TensorId};
use ferrite_process::{Process, opened_before_fork};
use std::collections::HashSet;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// Why a run failed. The session can be used again.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Not as many inputs as the graph has.
    #[error("the model has {expected} inputs, but {found} are given")]
    InputCount {
        /// Inputs of the graph.
        expected: usize,
        /// Inputs given.
        found: usize,
    },
    /// An input that does not fit its tensor.
    #[error(
        "input {index} (`{name}`) is {expected:?} {expected_shape:?}, but {found:?} {found_shape:?} is given"
    )]
    Input {
        /// Position.
        index: usize,
        /// Name of the tensor.
        name: String,
        /// Element type of the tensor.
        expected: DType,
        /// Shape of the tensor.
        expected_shape: Vec<usize>,
        /// Element type given.
        found: DType,
        /// Shape given.
        found_shape: Vec<usize>,
    },
    /// A CPU operator failed.
    #[error(transparent)]
    Cpu(#[from] CpuError),
    /// A tensor could not be brought to or from the device's layout.
    #[error("tensor `{tensor}`: {source}")]
    Layout {
        /// Name of the tensor.
        tensor: String,
        /// What does not fit.
        source: LayoutError,
    },
    /// Accumulators could not be requantised.
    #[error("tensor `{tensor}`: {source}")]
    Requant {
        /// Name of the tensor.
        tensor: String,
        /// What does not fit.
        source: RequantError,
    },
    /// The device failed outside of jobs.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// A parent of this process made the session on a device.
    #[error("{}", opened_before_fork(&format!("the session on {device}"), *process))]
    Forked {
        /// The device.
        device: String,
        /// The process that made it.
        process: Process,
    },
    /// NPU jobs failed.
    #[error("on {device}, running {ops}: {source}")]
    Job {
        /// The device.
        device: String,
        /// The operators of the failed job, or of the submission if the job is not known.
        ops: String,
        /// What happened.
        source: JobError,
    },
    /// A step needs a tensor that no step before has made, or one that does not exist.
    #[error("step {step} uses tensor {}, which nothing has computed", tensor.as_u32())]
    NotComputed {
        /// Index of the step.
        step: usize,
        /// The tensor.
        tensor: TensorId,
    },
    /// A step names an operator that does not exist.
    #[error("step {step} runs operator {}, but the model has {count}", op.as_u32())]
    NoSuchOp {
        /// Index of the step.
        step: usize,
        /// The operator.
        op: OpId,
        /// Operators of the graph.
        count: usize,
    },
}

/// Where the time of the last run went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Profile {
    /// CPU operators.
    pub cpu: Duration,
    /// Layout conversion and host requantisation.
    pub convert: Duration,
    /// From submission to completion of NPU jobs.
    pub device: Duration,
}

/// Operators on which an output of the graph depends.
fn needed(graph: &Graph) -> impl Iterator<Item = OpId> {
    let mut wanted: HashSet<TensorId> = graph.outputs.iter().copied().collect();
    let mut ops: Vec<OpId> = graph.op_ids().collect();
    ops.reverse();
    ops.retain(|&op| {
        let node = graph.node(op);
        let needed = node.outputs.iter().any(|output| wanted.contains(output));
        if needed {
            wanted.extend(node.inputs.iter().flatten());
        }
        needed
    });
    ops.into_iter().rev()
}

/// An executable for the CPU alone: every operator that is needed, in order.
pub fn cpu_only(graph: &Graph) -> Executable {
    let placement = Placement::Cpu {
        reason: "the device is the CPU".to_owned(),
        remedy: None,
    };
    Executable {
        // Without jobs the target has no part in anything.
        target: Target::Rk3588,
        buffers: PrimaryMap::new(),
        relocations: Vec::new(),
        steps: needed(graph).map(Step::Cpu).collect(),
        placements: graph.op_ids().map(|_| placement.clone()).collect(),
        macs: graph.op_ids().map(|_| 0).collect(),
    }
}

/// The graph, and what runs its operators on the CPU and has its constants: most models on an NPU need
/// neither of these.
struct Host {
    graph: Arc<Graph>,
    interpreter: OnceLock<Interpreter>,
}

impl Host {
    fn interpreter(&self) -> Result<&Interpreter, CpuError> {
        if let Some(interpreter) = self.interpreter.get() {
            return Ok(interpreter);
        }
        let made = Interpreter::new(Arc::clone(&self.graph))?;
        Ok(self.interpreter.get_or_init(|| made))
    }

    /// The value of a tensor that is computed, and in `values` if it has been, or constant.
    fn value<'v>(
        &'v self,
        values: &'v Values,
        step: usize,
        tensor: TensorId,
    ) -> Result<&'v Value, RunError> {
        let value = match &values[tensor] {
            Some(value) => Some(value),
            None => self.interpreter()?.constant(tensor),
        };
        value.ok_or(RunError::NotComputed { step, tensor })
    }
}

/// Told of each step that has ended, and given what runs on the device.
pub(crate) type Observer<'a> = dyn FnMut(usize, Option<&dyn Program>) + 'a;

/// Values that are there, by tensor.
type Values = SecondaryMap<TensorId, Option<Value>>;

/// A model on a device. What a session has on a device belongs to the process that made it: in a forked
/// child, runs are [`RunError::Forked`], and dropping it leaves the parent's session as it is.
pub struct Session {
    executable: Arc<Executable>,
    device: String,
    program: Option<Box<dyn Program>>,
    process: Process,
    host: Host,
    /// Values of all tensors that this run has brought to the host, and of the inputs.
    values: Values,
    /// Which tensors are inputs.
    given: EntitySet<TensorId>,
    /// Memory of what an earlier run has brought from the device, to be used again.
    spare: Values,
    profile: Profile,
}

impl Session {
    /// Prepares `executable`, which was compiled from `graph`, on `device`. Without a device the
    /// executable must not have NPU steps (see [`cpu_only`]).
    pub fn new(
        graph: Arc<Graph>,
        executable: Arc<Executable>,
        device: Option<&dyn Device>,
    ) -> Result<Session, RunError> {
        check_ids(&graph, &executable)?;
        let program = device.map(|d| d.load(&executable)).transpose()?;
        let mut given = EntitySet::with_capacity(graph.tensors.len());
        graph.inputs.iter().for_each(|&id| {
            given.insert(id);
        });
        let session = Session {
            given,
            values: Values::with_capacity(graph.tensors.len()),
            spare: Values::with_capacity(graph.tensors.len()),
            device: device.map_or_else(|| "cpu".to_owned(), Device::name),
            host: Host {
                graph,
                interpreter: OnceLock::new(),
            },
            executable,
            program,
            process: Process::current(),
            profile: Profile::default(),
        };
        let steps = &session.executable.steps;
        if steps.iter().any(|step| matches!(step, Step::Cpu(_))) {
            session.host.interpreter()?;
        }
        Ok(session)
    }

    /// The graph.
    pub fn graph(&self) -> &Graph {
        &self.host.graph
    }

    /// The executable.
    pub fn executable(&self) -> &Executable {
        &self.executable
    }

    /// Name of the device.
    pub fn device(&self) -> &str {
        &self.device
    }

    /// Where the time of the last run went.
    pub fn profile(&self) -> Profile {
        self.profile
    }

    /// The device's counts since the session began, if it counts.
    pub fn counters(&self) -> Option<Counters> {
        self.program.as_ref()?.counters()
    }

    /// One inference: inputs and outputs in the graph's order.
    pub fn run(&mut self, inputs: &[Value]) -> Result<Vec<Value>, RunError> {
        self.run_observed(inputs, |_, _| {})
    }

    /// As [`Session::run`]; calls `observe(done, all)` after each step.
    pub fn run_observed(
        &mut self,
        inputs: &[Value],
        mut observe: impl FnMut(usize, usize),
    ) -> Result<Vec<Value>, RunError> {
        let all = self.executable.steps.len();
        self.set_inputs(inputs)?;
        self.run_steps(&mut |step, _| observe(step + 1, all))?;
        self.outputs()
    }

    /// Copies of all outputs, as the last run has left them.
    pub(crate) fn outputs(&self) -> Result<Vec<Value>, RunError> {
        let outputs = 0..self.host.graph.outputs.len();
        let copied = outputs.map(|index| {
            let tensor = self.host.graph.outputs[index];
            Ok(copy(tensor, self.output(index)?)?)
        });
        copied.collect()
    }

    /// Memory for the input at `index` of the graph's inputs, for [`Session::run_in_place`]. It keeps
    /// its value from run to run.
    ///
    /// # Errors
    /// [`RunError::InputCount`] if there is no such input; if there is no memory.
    pub fn input_mut(&mut self, index: usize) -> Result<&mut Value, RunError> {
        let count = self.host.graph.inputs.len();
        let &id = self
            .host
            .graph
            .inputs
            .get(index)
            .ok_or(RunError::InputCount {
                expected: count,
                found: index + 1,
            })?;
        match &mut self.values[id] {
            Some(value) => Ok(value),
            slot => Ok(slot.insert(zeros(&self.host.graph, id)?)),
        }
    }

    /// One inference on what is in the inputs; see [`Session::output`] for the results.
    pub fn run_in_place(&mut self) -> Result<(), RunError> {
        for index in 0..self.host.graph.inputs.len() {
            self.input_mut(index)?;
        }
        self.run_steps(&mut |_, _| {})
    }

    /// The output at `index` of the graph's outputs, as the last run has left it.
    pub fn output(&self, index: usize) -> Result<&Value, RunError> {
        let step = self.executable.steps.len();
        let tensor = self.host.graph.outputs.get(index).copied();
        let missing = self.host.graph.tensors.next_key();
        match tensor {
            Some(tensor) => self.host.value(&self.values, step, tensor),
            None => Err(RunError::NotComputed {
                step,
                tensor: missing,
            }),
        }
    }

    pub(crate) fn run_steps(&mut self, observe: &mut Observer) -> Result<(), RunError> {
        if self.program.is_some() && !self.process.is_current() {
            return Err(RunError::Forked {
                device: self.device.clone(),
                process: self.process,
            });
        }
        let executable = Arc::clone(&self.executable);
        for step in &executable.steps {
            if let Step::Leave(port) | Step::Requantise { port, .. } = step
                && let Some(value) = self.values[port.tensor].take()
            {
                self.spare[port.tensor] = Some(value);
            }
        }
        self.forget()?;
        self.profile = Profile::default();
        for (index, step) in executable.steps.iter().enumerate() {
            let start = Instant::now();
            let spent = match step {
                Step::Cpu(op) => {
                    self.run_op(index, *op)?;
                    &mut self.profile.cpu
                }
                Step::Enter(port) => {
                    self.enter(index, port)?;
                    &mut self.profile.convert
                }
                Step::Leave(port) => {
                    self.leave(port, None)?;
                    &mut self.profile.convert
                }
                Step::Requantise { port, requant } => {
                    self.leave(port, Some(requant))?;
                    &mut self.profile.convert
                }
                Step::Submit(jobs) => {
                    self.submit(jobs)?;
                    &mut self.profile.device
                }
            };
            *spent += start.elapsed();
            observe(index, self.program.as_deref());
        }
        Ok(())
    }

    pub(crate) fn set_inputs(&mut self, inputs: &[Value]) -> Result<(), RunError> {
        if inputs.len() != self.host.graph.inputs.len() {
            return Err(RunError::InputCount {
                expected: self.host.graph.inputs.len(),
                found: inputs.len(),
            });
        }
        for (index, (&id, value)) in self.host.graph.inputs.iter().zip(inputs).enumerate() {
            let tensor = self.host.graph.tensor(id);
            if value.dtype() != tensor.dtype || value.shape() != &tensor.shape[..] {
                return Err(RunError::Input {
                    index,
                    name: tensor.name.clone(),
                    expected: tensor.dtype,
                    expected_shape: tensor.shape.to_vec(),
                    found: value.dtype(),
                    found_shape: value.shape().to_vec(),
                });
            }
        }
        for (&id, value) in self.host.graph.inputs.iter().zip(inputs) {
            self.values[id] = Some(copy(id, value)?);
        }
        Ok(())
    }

    /// What an earlier run computed must not stand in for what this one fails to compute.
    fn forget(&mut self) -> Result<(), RunError> {
        for (id, tensor) in &self.host.graph.tensors {
            let (value, given) = (&mut self.values[id], self.given.contains(id));
            if tensor.variable && value.is_none() {
                *value = Some(zeros(&self.host.graph, id)?);
            } else if !tensor.variable
                && !given
                && let Some(value) = value.take()
            {
                self.spare[id] = Some(value);
            }
        }
        Ok(())
    }

    fn run_op(&mut self, step: usize, op: OpId) -> Result<(), RunError> {
        let node = self.host.graph.node(op);
        let operands = node.inputs.iter().map(|id| match id {
            None => Ok(None),
            Some(id) => self.host.value(&self.values, step, *id).map(Some),
        });
        let operands = operands.collect::<Result<Vec<_>, _>>()?;
        let first = node.outputs.first();
        let spare = first.and_then(|&id| self.spare[id].take());
        let interpreter = self.host.interpreter()?;
        let results = interpreter.run_op_again(op, &operands, spare)?;
        for (&id, value) in node.outputs.iter().zip(results) {
            self.values[id] = Some(value);
        }
        Ok(())
    }

    fn enter(&mut self, step: usize, port: &Port) -> Result<(), RunError> {
        let value = self.host.value(&self.values, step, port.tensor)?;
        let mut result = Ok(());
        program(&mut self.program)?.write(port.region, &mut |device| {
            result = layout::enter(port, value.bytes(), device);
        })?;
        result.map_err(|source| RunError::Layout {
            tensor: self.host.graph.tensor(port.tensor).name.clone(),
            source,
        })
    }

    fn leave(&mut self, port: &Port, requant: Option<&HostRequant>) -> Result<(), RunError> {
        let tensor = self.host.graph.tensor(port.tensor);
        let mut value = match self.spare[port.tensor].take() {
            Some(value) => value,
            None => zeros(&self.host.graph, port.tensor)?,
        };
        let mut result = Ok(());
        program(&mut self.program)?.read(port.region, &mut |device| {
            let host = value.bytes_mut();
            result = match requant {
                None => layout::leave(port, device, host).map_err(|source| RunError::Layout {
                    tensor: tensor.name.clone(),
                    source,
                }),
                Some(requant) => {
                    requant::requantise(port, requant, device, host).map_err(|source| {
                        RunError::Requant {
                            tensor: tensor.name.clone(),
                            source,
                        }
                    })
                }
            };
        })?;
        result?;
        self.values[port.tensor] = Some(value);
        Ok(())
    }

    fn submit(&mut self, jobs: &[Job]) -> Result<(), RunError> {
        program(&mut self.program)?
            .submit(jobs)
            .map_err(|source| RunError::Job {
                device: self.device.clone(),
                ops: describe(
                    &self.host.graph,
                    source.job().and_then(|j| jobs.get(j..=j)).unwrap_or(jobs),
                ),
                source,
            })
    }
}

/// A value of zeros for a tensor.
fn zeros(graph: &Graph, tensor: TensorId) -> Result<Value, RunError> {
    let Tensor { dtype, shape, .. } = graph.tensor(tensor);
    let zeros = Value::zeros(*dtype, shape.to_vec());
    Ok(zeros.map_err(|source| CpuError::Constant { tensor, source })?)
}

fn program(program: &mut Option<Box<dyn Program>>) -> Result<&mut dyn Program, DeviceError> {
    match program {
        Some(program) => Ok(program.as_mut()),
        None => Err(DeviceError::Unsupported(
            "the executable has NPU steps, but the device is the CPU".to_owned(),
        )),
    }
}

/// Operators of jobs, in words.
fn describe(graph: &Graph, jobs: &[Job]) -> String {
    let mut ops: Vec<OpId> = jobs.iter().flat_map(|job| &job.ops).copied().collect();
    ops.sort_unstable();
    ops.dedup();
    let name = |op: &OpId| match graph.get_node(*op) {
        Some(_) => format!("{} (operator {})", graph.op_name(*op), op.as_u32()),
        None => format!("operator {}", op.as_u32()),
    };
    match &ops[..] {
        [] => "jobs of no operator".to_owned(),
        [first, .., last] if ops.len() > 4 => {
            format!(
                "{} operators, from {} to {}",
                ops.len(),
                name(first),
                name(last)
            )
        }
        ops => ops.iter().map(name).collect::<Vec<_>>().join(", "),
    }
}

/// Refuses executables that were made from another graph, or damaged on the way.
fn check_ids(graph: &Graph, executable: &Executable) -> Result<(), RunError> {
    for (step, content) in executable.steps.iter().enumerate() {
        let tensor = match content {
            Step::Cpu(op) if graph.get_node(*op).is_none() => {
                return Err(RunError::NoSuchOp {
                    step,
                    op: *op,
                    count: graph.op_count(),
                });
            }
            Step::Cpu(_) | Step::Submit(_) => continue,
            Step::Enter(port) | Step::Leave(port) | Step::Requantise { port, .. } => port.tensor,
        };
        if !graph.tensors.is_valid(tensor) {
            return Err(RunError::NotComputed { step, tensor });
        }
    }
    Ok(())
}
