//! Sessions on the nodes of this crate.
#![allow(dead_code)]

use ferrite_compiler::{Evidence, Options};
use ferrite_fake_node::{ETNAVIV, FERRITE, ROCKET};
use ferrite_ir::Graph;
use ferrite_runtime::Session;
use ferrite_runtime::cpu::Value;
use ferrite_runtime::device::{self, Device, DeviceError};
use ferrite_runtime::session::RunError;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// All nodes.
pub const NODES: [&str; 3] = [ROCKET, FERRITE, ETNAVIV];

/// Tests of one program run one after the other: which call fails is a matter of the process.
pub fn alone() -> MutexGuard<'static, ()> {
    static LOCK: Mutex<()> = Mutex::new(());
    ferrite_fake_node::link();
    LOCK.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A model with an input of noise.
pub struct Model {
    pub graph: Arc<Graph>,
    pub inputs: Vec<Value>,
}

impl Model {
    fn new(graph: Graph) -> Model {
        let mut noise = ferrite_testing::noise();
        let value = |&id| {
            let tensor = graph.tensor(id);
            let bytes: Vec<u8> = (0..tensor.bytes()).map(|_| noise()).collect();
            Value::from_bytes(tensor.dtype, tensor.shape.to_vec(), &bytes).unwrap()
        };
        Model {
            inputs: graph.inputs.iter().map(value).collect(),
            graph: Arc::new(graph),
        }
    }

    /// The digits' network.
    pub fn digits() -> Model {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .ancestors()
            .nth(2)
            .unwrap();
        let bytes = std::fs::read(root.join("examples/digits/digits.tflite")).unwrap();
        Model::new(ferrite_ir::tflite::read(&bytes).unwrap())
    }

    /// A convolution of an image large enough for several threads.
    pub fn large() -> Model {
        let text = include_str!("../../../../userspace/delegate/tests/convolution.txt");
        Model::new(ferrite_ir::text::parse(&text.replace("5,5", "256,256")).unwrap())
    }

    /// Puts it on a device.
    pub fn load(&self, device: &str) -> Result<Session, String> {
        let opened =
            device::open(&device.parse().unwrap()).map_err(|e: DeviceError| e.to_string())?;
        self.load_on(opened.as_deref().expect("no CPU"))
    }

    /// Puts it on an open device.
    pub fn load_on(&self, device: &dyn Device) -> Result<Session, String> {
        let options = Options {
            evidence: Evidence::Inferred,
            cores: device.cores(),
            ..Options::new(device.target())
        };
        let executable = ferrite_compiler::compile(&self.graph, &options).unwrap();
        assert!(!executable.buffers.is_empty(), "nothing is on the NPU");
        let loaded = Session::new(Arc::clone(&self.graph), Arc::new(executable), Some(device));
        loaded.map_err(|e| e.to_string())
    }

    /// One inference.
    pub fn run(&self, session: &mut Session) -> Result<Vec<Value>, RunError> {
        session.run(&self.inputs)
    }

    /// The results on the model of the NPU.
    pub fn expected(&self, node: &str) -> Vec<Value> {
        let simulator = if node == ETNAVIV {
            "sim:a311d"
        } else {
            "sim:rk3588"
        };
        self.run(&mut self.load(simulator).unwrap()).unwrap()
    }
}
