//! Small TFLite models for tests, built in memory.

use crate::flatbuffer::{Table, Value};

/// Element type codes of the schema.
#[allow(missing_docs)]
pub mod element {
    pub const FLOAT32: i8 = 0;
    pub const FLOAT16: i8 = 1;
    pub const INT32: i8 = 2;
    pub const UINT8: i8 = 3;
    pub const INT64: i8 = 4;
    pub const STRING: i8 = 5;
    pub const INT8: i8 = 9;
}

/// Builtin operator codes of the schema that the tests use.
#[allow(missing_docs)]
pub mod code {
    pub const ADD: i32 = 0;
    pub const CONCATENATION: i32 = 2;
    pub const CONV_2D: i32 = 3;
    pub const MAX_POOL_2D: i32 = 17;
    pub const RESHAPE: i32 = 22;
    pub const SOFTMAX: i32 = 25;
    pub const CUSTOM: i32 = 32;
    pub const MEAN: i32 = 40;
    pub const STRIDED_SLICE: i32 = 45;
    pub const SPLIT: i32 = 49;
    pub const IF: i32 = 118;
    pub const GELU: i32 = 150;
}

/// A model with one subgraph. The parts are open, so that a test can spoil any of them.
#[derive(Clone, Debug, Default)]
pub struct Model {
    /// Operator codes.
    pub codes: Vec<Table>,
    /// Tensors of the subgraph.
    pub tensors: Vec<Table>,
    /// Operators of the subgraph.
    pub operators: Vec<Table>,
    /// Buffers; the first is the empty one.
    pub buffers: Vec<Table>,
    /// Graph inputs.
    pub inputs: Vec<i32>,
    /// Graph outputs.
    pub outputs: Vec<i32>,
    /// Further subgraphs.
    pub subgraphs: Vec<Table>,
}

/// Affine quantisation of a tensor: scales, zero points, dimension.
pub type Quantization<'a> = (&'a [f32], &'a [i64], i32);

impl Model {
    /// A model without operators.
    pub fn new() -> Self {
        Model {
            buffers: vec![Table::new()],
            ..Self::default()
        }
    }

    /// Adds a tensor; its index.
    pub fn tensor(
        &mut self,
        name: &str,
        element: i8,
        shape: &[i32],
        quantization: Option<Quantization<'_>>,
    ) -> i32 {
        let mut table = Table::new()
            .with(0, Value::i32s(shape))
            .with(1, Value::I8(element))
            .with(2, Value::U32(0))
            .with(3, Value::string(name));
        if let Some((scales, zero_points, axis)) = quantization {
            let parameters = Table::new()
                .with(2, Value::f32s(scales))
                .with(3, Value::i64s(zero_points))
                .with(6, Value::I32(axis));
            table.set(4, Value::Table(parameters));
        }
        self.tensors.push(table);
        self.tensors.len() as i32 - 1
    }

    /// Gives the last tensor data of its own.
    pub fn data(&mut self, data: &[u8]) {
        self.buffers.push(Table::new().with(0, Value::bytes(data)));
        let buffer = Value::U32(self.buffers.len() as u32 - 1);
        self.tensors.last_mut().expect("a tensor").set(2, buffer);
    }

    /// Adds a list of 32-bit integers as a constant; its index.
    pub fn list(&mut self, name: &str, values: &[i32]) -> i32 {
        let index = self.tensor(name, element::INT32, &[values.len() as i32], None);
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.data(&bytes);
        index
    }

    /// Adds an operator with options of this type.
    pub fn op(&mut self, code: i32, inputs: &[i32], outputs: &[i32], options: Option<(u8, Table)>) {
        let operator_code = Table::new()
            .with(0, Value::I8(code.min(127) as i8))
            .with(3, Value::I32(code));
        self.codes.push(operator_code);
        let mut operator = Table::new()
            .with(0, Value::U32(self.codes.len() as u32 - 1))
            .with(1, Value::i32s(inputs))
            .with(2, Value::i32s(outputs));
        if let Some((tag, options)) = options {
            operator.set(3, Value::U8(tag));
            operator.set(4, Value::Table(options));
        }
        self.operators.push(operator);
    }

    /// Adds a custom operator with these option bytes.
    pub fn custom(&mut self, name: &str, inputs: &[i32], outputs: &[i32], options: &[u8]) {
        self.op(code::CUSTOM, inputs, outputs, None);
        let last = "just added";
        let code = self.codes.last_mut().expect(last);
        code.set(1, Value::string(name));
        let operator = self.operators.last_mut().expect(last);
        operator.set(5, Value::bytes(options));
    }

    /// The root table.
    pub fn table(&self) -> Table {
        let subgraph = Table::new()
            .with(0, Value::Tables(self.tensors.clone()))
            .with(1, Value::i32s(&self.inputs))
            .with(2, Value::i32s(&self.outputs))
            .with(3, Value::Tables(self.operators.clone()))
            .with(4, Value::string("main"));
        let mut subgraphs = vec![subgraph];
        subgraphs.extend_from_slice(&self.subgraphs);
        Table::new()
            .with(0, Value::U32(3))
            .with(1, Value::Tables(self.codes.clone()))
            .with(2, Value::Tables(subgraphs))
            .with(4, Value::Tables(self.buffers.clone()))
    }

    /// The model file.
    pub fn file(&self) -> Vec<u8> {
        self.table().file(b"TFL3")
    }
}

/// A convolution with its options: padding SAME, stride 1, fused RELU6.
pub fn conv_options() -> (u8, Table) {
    let options = Table::new()
        .with(0, Value::I8(0))
        .with(1, Value::I32(1))
        .with(2, Value::I32(1))
        .with(3, Value::I8(3));
    (1, options)
}

/// A small classifier: CONV_2D with per-axis weights, MEAN, RESHAPE, SOFTMAX, in int8.
pub fn classifier() -> Model {
    let mut m = Model::new();
    let x = m.tensor(
        "x",
        element::INT8,
        &[1, 4, 4, 3],
        Some((&[0.5], &[-128], 0)),
    );
    let w = m.tensor(
        "w",
        element::INT8,
        &[2, 1, 1, 3],
        Some((&[0.25, 0.125], &[0, 0], 0)),
    );
    m.data(&[1, 2, 3, 252, 251, 250]);
    let b = m.tensor(
        "b",
        element::INT32,
        &[2],
        Some((&[0.125, 0.0625], &[0, 0], 0)),
    );
    m.data(&[7, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]);
    let y = m.tensor(
        "y",
        element::INT8,
        &[1, 4, 4, 2],
        Some((&[0.0235], &[-128], 0)),
    );
    m.op(code::CONV_2D, &[x, w, b], &[y], Some(conv_options()));
    let axes = m.list("axes", &[1, 2]);
    let mean = m.tensor(
        "mean",
        element::INT8,
        &[1, 1, 1, 2],
        Some((&[0.0235], &[-128], 0)),
    );
    let keep = Table::new().with(0, Value::U8(1));
    m.op(code::MEAN, &[y, axes], &[mean], Some((27, keep)));
    let flat = m.tensor(
        "flat",
        element::INT8,
        &[1, 2],
        Some((&[0.0235], &[-128], 0)),
    );
    let shape = m.list("shape", &[1, -1]);
    m.op(code::RESHAPE, &[mean, shape], &[flat], None);
    let out = m.tensor(
        "out",
        element::INT8,
        &[1, 2],
        Some((&[0.00390625], &[-128], 0)),
    );
    let beta = Table::new().with(0, Value::F32(1.0));
    m.op(code::SOFTMAX, &[flat], &[out], Some((9, beta)));
    m.inputs = vec![x];
    m.outputs = vec![out];
    m
}
