//! One partition of a model in the host's graph: compiled when the host makes it, compiled again
//! when shapes have changed, run on the host's tensors.

use crate::engine::{self, Engine, EngineError};
use crate::host::{Host, HostError};
use crate::import::{Imported, import};
use crate::options::OnError;
use crate::partition::Chosen;
use ferrite_compiler::Plan;
use ferrite_compiler::executable::Step;
use ferrite_ir::{Graph, OpId, TensorId, VerifyError};
use ferrite_runtime::Session;
use ferrite_runtime::session::RunError;
use std::fmt;
use std::sync::Arc;

/// Why a partition cannot be made, prepared or run.
#[derive(Debug, thiserror::Error)]
pub enum SegmentError {
    /// The host refused something.
    #[error(transparent)]
    Host(#[from] HostError),
    /// The partition could not be put on the device.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// It could not be put on the device before.
    #[error("{0}")]
    NotReady(String),
    /// It did not run.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The shapes that the host has now make no sense.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Shapes(Vec<VerifyError>),
    /// The host has no memory of the right size for a tensor.
    #[error("tensor `{tensor}` has {found:?} bytes of memory at the host, expected {expected}")]
    Memory {
        /// The tensor.
        tensor: String,
        /// Bytes the host has.
        found: Option<usize>,
        /// Bytes of the shape that was prepared.
        expected: usize,
    },
    /// The host gives no dimensions.
    #[error("tensor `{tensor}` has no shape at the host")]
    NoShape {
        /// The tensor.
        tensor: String,
    },
}

/// A partition, ready to run or not.
pub struct Kernel {
    engine: Arc<Engine>,
    imported: Imported,
    /// The graph that `state` was made for.
    graph: Arc<Graph>,
    state: Result<Ready, String>,
}

enum Ready {
    /// On the device, or on the CPU.
    Session { session: Box<Session>, on_cpu: bool },
    /// With the shapes of now the results have no elements.
    NothingToDo,
}

/// First and last of the host's nodes, for messages.
struct Span<'a>(&'a Kernel);

impl fmt::Display for Span<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kernel = self.0;
        let name = |op: usize| kernel.graph.op_name(OpId::from_u32(op as u32)).to_owned();
        let nodes = kernel.imported.nodes.as_values_slice();
        match (nodes.first(), nodes.last()) {
            (Some(first), Some(last)) if nodes.len() > 1 => {
                let (from, to) = (name(0), name(nodes.len() - 1));
                write!(f, "operators {first} {from} to {last} {to}")
            }
            (Some(only), _) => write!(f, "operator {only} {}", name(0)),
            _ => f.write_str("no operators"),
        }
    }
}

impl Kernel {
    /// The partition of `nodes` with these results; `chosen` is what was planned for them, if they are
    /// one partition. An error of the device is kept until the host prepares the kernel, when it can be
    /// reported.
    pub fn new(
        engine: &Arc<Engine>,
        host: &Host<'_>,
        nodes: &[i32],
        outputs: &[i32],
        chosen: Option<Chosen>,
    ) -> Result<Kernel, HostError> {
        let planned = chosen.and_then(|chosen| chosen.partition(outputs));
        let (imported, graph, plan) = match planned {
            Some((imported, plan)) => (imported, Arc::clone(plan.graph()), Some(plan)),
            None => {
                let mut imported = import(host, nodes, Some(outputs))?;
                let graph = Arc::new(std::mem::take(&mut imported.graph));
                (imported, graph, None)
            }
        };
        let mut kernel = Kernel {
            engine: Arc::clone(engine),
            imported,
            graph,
            state: Err(String::new()),
        };
        kernel.build(host, plan);
        Ok(kernel)
    }

    /// Compiles and loads `self.graph`; on failure, as the options say, for the CPU kernels.
    fn build(&mut self, host: &Host<'_>, plan: Option<Plan<Arc<Graph>>>) {
        let state = match self.engine.session(Arc::clone(&self.graph), plan) {
            Ok(session) => Ok(Ready::Session {
                session: Box::new(session),
                on_cpu: false,
            }),
            Err(error) if self.engine.on_error() == OnError::Cpu => {
                self.report(host, &format!("{error}; using the CPU"));
                self.cpu_session()
            }
            Err(error) => Err(error.into()),
        };
        self.state = state.map_err(|error| error.to_string());
        if let Ok(Ready::Session { session, .. }) = &self.state {
            let executable = session.executable();
            let submissions = executable.steps.iter();
            let submissions = submissions.filter(|s| matches!(s, Step::Submit(_))).count();
            log::info!(
                "segment of {} operators ({}), {} multiply-accumulates, {submissions} submissions to {}",
                self.graph.op_count(),
                Span(self),
                self.graph.total_macs(),
                session.device(),
            );
        }
    }

    /// Says what went wrong in a call that succeeds all the same. Some hosts show their reporter's
    /// messages only when a call fails, so standard error gets them too.
    fn report(&self, host: &Host<'_>, what: &str) {
        let message = format!("{}: {what}", Span(self));
        host.report(&message);
        log::error!("{message}");
    }

    fn cpu_session(&self) -> Result<Ready, SegmentError> {
        Ok(Ready::Session {
            session: Box::new(engine::on_cpu(Arc::clone(&self.graph))?),
            on_cpu: true,
        })
    }

    /// Follows the shapes that the host's tensors have now.
    pub fn prepare(&mut self, host: &Host<'_>) -> Result<(), String> {
        let result = self.try_prepare(host);
        result.map_err(|error| format!("{}: {error}", Span(self)))
    }

    fn try_prepare(&mut self, host: &Host<'_>) -> Result<(), SegmentError> {
        if self.inputs_changed(host)? {
            self.reshape(host)?;
            let outputs = &self.graph.outputs;
            if outputs
                .iter()
                .all(|&id| self.graph.tensor(id).elements() == 0)
            {
                self.state = Ok(Ready::NothingToDo);
            } else {
                ferrite_ir::verify(&self.graph).map_err(SegmentError::Shapes)?;
                self.build(host, None);
            }
        }
        if let Err(error) = &self.state {
            return Err(SegmentError::NotReady(error.clone()));
        }
        for &id in &self.graph.outputs {
            let (index, shape) = (self.index(id), &self.graph.tensor(id).shape);
            let tensor = host.tensor(index)?;
            let same = tensor.shape().as_ref() == Some(shape);
            if !same || (tensor.is_dynamic() && tensor.bytes().is_none()) {
                host.resize(index, shape)?;
            }
        }
        Ok(())
    }

    fn index(&self, id: TensorId) -> i32 {
        self.imported.tensors[id]
    }

    fn inputs_changed(&self, host: &Host<'_>) -> Result<bool, SegmentError> {
        for &id in &self.graph.inputs {
            let tensor = self.graph.tensor(id);
            let shape = host.tensor(self.index(id))?.shape();
            let shape = shape.ok_or_else(|| SegmentError::NoShape {
                tensor: tensor.name.clone(),
            })?;
            if shape != tensor.shape {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Takes over all shapes, which the host has worked out with its own operators.
    fn reshape(&mut self, host: &Host<'_>) -> Result<(), SegmentError> {
        let mut graph = Graph::clone(&self.graph);
        let nodes = self.graph.nodes();
        let touched = nodes.flat_map(|node| node.inputs.iter().flatten().chain(&node.outputs));
        for &id in touched {
            let (tensor, index) = (&mut graph.tensors[id], self.index(id));
            if tensor.is_constant() {
                continue;
            }
            let shape = host.tensor(index)?.shape();
            tensor.shape = shape.ok_or_else(|| SegmentError::NoShape {
                tensor: tensor.name.clone(),
            })?;
        }
        log::info!("shapes have changed: {}", Span(self));
        self.graph = Arc::new(graph);
        Ok(())
    }

    /// One run over the host's tensors.
    pub fn invoke(&mut self, host: &Host<'_>) -> Result<(), String> {
        let result = match self.try_invoke(host) {
            Err(SegmentError::Run(error)) if self.may_fall_back() => {
                self.report(host, &format!("{error}; using the CPU from now on"));
                self.state = self.cpu_session().map_err(|error| error.to_string());
                self.try_invoke(host)
            }
            result => result,
        };
        result.map_err(|error| format!("{}: {error}", Span(self)))
    }

    fn may_fall_back(&self) -> bool {
        let on_npu = matches!(self.state, Ok(Ready::Session { on_cpu: false, .. }));
        on_npu && self.engine.on_error() == OnError::Cpu
    }

    fn try_invoke(&mut self, host: &Host<'_>) -> Result<(), SegmentError> {
        let Kernel {
            imported,
            graph,
            state,
            ..
        } = self;
        let session = match state {
            Ok(Ready::Session { session, .. }) => session,
            Ok(Ready::NothingToDo) => return Ok(()),
            Err(error) => return Err(SegmentError::NotReady(error.clone())),
        };
        let index = |id: TensorId| imported.tensors[id];
        let memory = |id: TensorId| -> Result<SegmentError, HostError> {
            Ok(SegmentError::Memory {
                tensor: graph.tensor(id).name.clone(),
                found: host.tensor(index(id))?.bytes(),
                expected: graph.tensor(id).bytes(),
            })
        };
        for (position, &id) in graph.inputs.iter().enumerate() {
            let value = session.input_mut(position)?;
            if !host.tensor(index(id))?.read(value.bytes_mut()) {
                return Err(memory(id)?);
            }
        }
        session.run_in_place()?;
        for (position, &id) in graph.outputs.iter().enumerate() {
            let value = session.output(position)?;
            if !host.tensor(index(id))?.write(value.bytes()) {
                return Err(memory(id)?);
            }
        }
        Ok(())
    }
}
