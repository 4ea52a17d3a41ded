//! Graphs of one operator with made-up constants.

use std::sync::Arc;

use ferrite_ir::op::OpKind;
use ferrite_ir::{Bytes, DType, Graph, Node, PrimaryMap, Quant, Tensor, TensorId};

use crate::cpu::Value;

/// How a case is quantised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Types {
    /// Asymmetric activations and weights.
    Uint8,
    /// Asymmetric activations, symmetric weights with one scale.
    Int8,
    /// The same with a scale for each output channel.
    PerAxis,
}

impl Types {
    /// All three.
    pub const ALL: [Types; 3] = [Types::Uint8, Types::Int8, Types::PerAxis];
    /// Those of operators without weights.
    pub const PLAIN: [Types; 2] = [Types::Uint8, Types::Int8];

    /// For names.
    pub fn name(self) -> &'static str {
        match self {
            Types::Uint8 => "uint8",
            Types::Int8 => "int8",
            Types::PerAxis => "int8 per axis",
        }
    }

    /// Of activations and weights.
    pub fn dtype(self) -> DType {
        match self {
            Types::Uint8 => DType::U8,
            Types::Int8 | Types::PerAxis => DType::I8,
        }
    }

    /// A zero point, given that of the centred values.
    pub fn zero(self, centred: i32) -> i32 {
        match self {
            Types::Uint8 => centred + 128,
            Types::Int8 | Types::PerAxis => centred,
        }
    }
}

/// A graph under construction.
pub(super) struct Builder {
    graph: Graph,
    inputs: Vec<Value>,
    state: u64,
}

impl Builder {
    /// `seed` decides all constants and inputs.
    pub fn new(name: &str) -> Builder {
        let seed = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        Builder {
            graph: Graph::new(
                name,
                PrimaryMap::new(),
                PrimaryMap::new(),
                Vec::new(),
                Vec::new(),
            ),
            inputs: Vec::new(),
            state: seed | 1,
        }
    }

    /// The next byte of noise (xorshift64*).
    fn byte(&mut self) -> u8 {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        (self.state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 56) as u8
    }

    fn tensor(
        &mut self,
        shape: &[usize],
        dtype: DType,
        quant: Option<Quant>,
        data: Option<Vec<u8>>,
    ) -> TensorId {
        let id = self.graph.tensors.next_key();
        self.graph.tensors.push(Tensor {
            name: format!("t{}", id.as_u32()),
            shape: shape.into(),
            dtype,
            quant,
            data: data.map(Bytes::from),
            variable: false,
        })
    }

    /// An input of noise over the whole range.
    pub fn input(&mut self, shape: &[usize], types: Types, scale: f32, centred: i32) -> TensorId {
        let quant = Quant::per_tensor(scale, types.zero(centred));
        let id = self.tensor(shape, types.dtype(), Some(quant), None);
        let bytes: Vec<u8> = (0..shape.iter().product()).map(|_| self.byte()).collect();
        if let Ok(value) = Value::from_bytes(types.dtype(), shape, &bytes) {
            self.inputs.push(value);
        }
        self.graph.inputs.push(id);
        id
    }

    /// A result.
    pub fn output(&mut self, shape: &[usize], types: Types, scale: f32, centred: i32) -> TensorId {
        let quant = Quant::per_tensor(scale, types.zero(centred));
        let id = self.tensor(shape, types.dtype(), Some(quant), None);
        self.graph.outputs.push(id);
        id
    }

    /// A filter of noise, with its channels along `axis`, and a bias: the scales of both follow from
    /// the one given, in steps of the accumulator.
    pub fn filter(
        &mut self,
        shape: &[usize],
        axis: usize,
        types: Types,
        scale: f32,
        input_scale: f32,
    ) -> [TensorId; 2] {
        let channels = shape[axis];
        let elements = shape.iter().product();
        let data: Vec<u8> = (0..elements)
            .map(|_| match (types, self.byte()) {
                // Symmetric weights leave -128 out.
                (Types::Int8 | Types::PerAxis, 0x80) => 0x81,
                (_, byte) => byte,
            })
            .collect();
        let (scales, zero) = match types {
            Types::Uint8 => (vec![scale], 121),
            Types::Int8 => (vec![scale], 0),
            Types::PerAxis => {
                let spread = |c: usize| 0.4 + 0.6 * ((c * 7) % 11) as f32 / 10.0;
                ((0..channels).map(|c| scale * spread(c)).collect(), 0)
            }
        };
        let quant = |scales: Vec<f32>, zero, axis| Quant {
            zero_points: vec![zero; scales.len()].into(),
            axis: if scales.len() > 1 { axis } else { 0 },
            scales: scales.into(),
        };
        let of_bias = scales.iter().map(|s| s * input_scale).collect();
        let filter = quant(scales, zero, axis);
        let filter = self.tensor(shape, types.dtype(), Some(filter), Some(data));
        // Up to some 70 weights times activations.
        let bias = (0..channels)
            .flat_map(|_| {
                let noise = i32::from(self.byte() as i8) * 3000 + i32::from(self.byte());
                noise.to_le_bytes()
            })
            .collect();
        let bias = self.tensor(
            &[channels],
            DType::I32,
            Some(quant(of_bias, 0, 0)),
            Some(bias),
        );
        [filter, bias]
    }

    /// A constant of noise.
    pub fn constant(&mut self, shape: &[usize], types: Types, scale: f32) -> TensorId {
        let data = (0..shape.iter().product()).map(|_| self.byte()).collect();
        let quant = Quant::per_tensor(scale, types.zero(7));
        self.tensor(shape, types.dtype(), Some(quant), Some(data))
    }

    /// A constant list of integers.
    pub fn list(&mut self, values: &[i32]) -> TensorId {
        let data = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.tensor(&[values.len()], DType::I32, None, Some(data))
    }

    /// The graph with its one node, and the inputs.
    pub fn finish(mut self, kind: OpKind, inputs: &[TensorId]) -> (Arc<Graph>, Vec<Value>) {
        self.graph.push(Node {
            kind,
            inputs: inputs.iter().copied().map(Some).collect(),
            outputs: self.graph.outputs.clone().into(),
        });
        (Arc::new(self.graph), self.inputs)
    }
}
