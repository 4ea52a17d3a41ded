//! Graphs from a seed: single operators and small networks of kinds that NPUs take, quantised in any
//! way, and graphs whose tensors hang together oddly.

use fastrand::Rng;
use ferrite_testing::flatbuffer::{Table, Value};
use ferrite_testing::tflite::{Model, element};

/// Codes of operators, and tags of their options, in the schema.
mod code {
    pub const ADD: i32 = 0;
    pub const AVERAGE_POOL_2D: i32 = 1;
    pub const CONCATENATION: i32 = 2;
    pub const CONV_2D: i32 = 3;
    pub const DEPTHWISE_CONV_2D: i32 = 4;
    pub const FULLY_CONNECTED: i32 = 9;
    pub const LOGISTIC: i32 = 14;
    pub const MAX_POOL_2D: i32 = 17;
    pub const RELU: i32 = 19;
    pub const RESHAPE: i32 = 22;
    pub const RESIZE_BILINEAR: i32 = 23;
    pub const SOFTMAX: i32 = 25;
    pub const PAD: i32 = 34;
    pub const TRANSPOSE: i32 = 39;
    pub const MEAN: i32 = 40;
    pub const SUB: i32 = 41;
    pub const RESIZE_NEAREST_NEIGHBOR: i32 = 97;
    pub const QUANTIZE: i32 = 114;
}

/// Tags of options in the schema.
mod tag {
    pub const CONV: u8 = 1;
    pub const DEPTHWISE: u8 = 2;
    pub const POOL: u8 = 5;
    pub const FULLY_CONNECTED: u8 = 8;
    pub const SOFTMAX: u8 = 9;
    pub const CONCATENATION: u8 = 10;
    pub const ADD: u8 = 11;
    pub const RESIZE_BILINEAR: u8 = 15;
    pub const RESHAPE: u8 = 17;
    pub const REDUCER: u8 = 27;
    pub const SUB: u8 = 28;
    pub const RESIZE_NEAREST: u8 = 74;
}

/// A feature map.
#[derive(Clone, Copy, Debug)]
struct Map {
    tensor: i32,
    h: i32,
    w: i32,
    c: i32,
    scale: f32,
}

struct Builder<'r> {
    rng: &'r mut Rng,
    model: Model,
    element: i8,
    maps: Vec<Map>,
}

/// A model of a seed.
pub fn graph(rng: &mut Rng) -> Model {
    let element = if rng.bool() {
        element::INT8
    } else {
        element::UINT8
    };
    let mut builder = Builder {
        rng,
        model: Model::new(),
        element,
        maps: Vec::new(),
    };
    let input = builder.size();
    let input = builder.map(input);
    builder.model.inputs.push(input.tensor);
    builder.maps.push(input);
    let ops = match builder.rng.u32(..4) {
        0..2 => 1,
        2 => builder.rng.u32(2..6),
        _ => builder.rng.u32(6..20),
    };
    for _ in 0..ops {
        builder.op();
    }
    builder.finish()
}

impl Builder<'_> {
    fn size(&mut self) -> [i32; 3] {
        let side = |rng: &mut Rng| match rng.u32(..8) {
            0 => 1,
            1 => rng.i32(17..40),
            _ => rng.i32(2..17),
        };
        let c = match self.rng.u32(..6) {
            0 => 1,
            1 => self.rng.i32(33..80),
            _ => self.rng.i32(1..33),
        };
        [side(self.rng), side(self.rng), c]
    }

    fn scale(&mut self) -> f32 {
        let spread = match self.rng.u32(..10) {
            0 => 20.0,
            _ => 2.0,
        };
        0.05 * 2f32.powf((self.rng.f32() * 2.0 - 1.0) * spread)
    }

    fn zero(&mut self) -> i64 {
        let centred = match self.rng.u32(..4) {
            0 => 0,
            1 => -128,
            _ => self.rng.i64(-128..128),
        };
        centred
            + if self.element == element::UINT8 {
                128
            } else {
                0
            }
    }

    fn map(&mut self, [h, w, c]: [i32; 3]) -> Map {
        let (scale, zero) = (self.scale(), self.zero());
        self.map_with([h, w, c], scale, zero)
    }

    fn map_with(&mut self, [h, w, c]: [i32; 3], scale: f32, zero: i64) -> Map {
        let quant = Some((&[scale][..], &[zero][..], 0));
        let name = format!("t{}", self.model.tensors.len());
        let tensor = self.model.tensor(&name, self.element, &[1, h, w, c], quant);
        Map {
            tensor,
            h,
            w,
            c,
            scale,
        }
    }

    fn noise(&mut self, count: i32) -> Vec<u8> {
        (0..count).map(|_| self.rng.u8(..)).collect()
    }

    /// A filter and, mostly, a bias for `outputs` channels along `axis`.
    fn weights(&mut self, from: Map, shape: &[i32], axis: usize, outputs: i32) -> Vec<i32> {
        let signed = self.element == element::INT8;
        let per_axis = signed && self.rng.bool();
        let count = if per_axis { outputs as usize } else { 1 };
        let scales: Vec<f32> = (0..count).map(|_| self.scale() / 10.0).collect();
        let zero = if signed { 0 } else { self.rng.i64(1..256) };
        let zeros = vec![zero; count];
        let quant = Some((&scales[..], &zeros[..], axis as i32));
        let filter = self.model.tensor("filter", self.element, shape, quant);
        let data = self.noise(shape.iter().product());
        self.model.data(&data);
        if self.rng.u32(..8) == 0 {
            return vec![filter];
        }
        let of_bias: Vec<f32> = scales.iter().map(|s| s * from.scale).collect();
        let zeros = vec![0; count];
        let quant = Some((&of_bias[..], &zeros[..], 0));
        let bias = self.model.tensor("bias", element::INT32, &[outputs], quant);
        let values = (0..outputs).flat_map(|_| self.rng.i32(-20_000..20_000).to_le_bytes());
        let values: Vec<u8> = values.collect();
        self.model.data(&values);
        vec![filter, bias]
    }

    fn activation(&mut self) -> i8 {
        [0, 0, 1, 3][self.rng.usize(..4)]
    }

    /// Length of an axis after windows with this stride.
    fn reduced(same: bool, input: i32, window: i32, stride: i32) -> i32 {
        match same {
            true => (input + stride - 1) / stride,
            false => (input - window) / stride + 1,
        }
    }

    /// Adds an operator on one of the maps.
    fn op(&mut self) {
        let from = self.maps[self.rng.usize(..self.maps.len())];
        let Map { h, w, c, .. } = from;
        match self.rng.u32(..17) {
            0..3 => self.conv(from, false),
            3 => self.conv(from, true),
            4 | 5 => self.pool(from),
            6 | 7 => self.sum(from),
            8 => self.concatenation(from),
            9 => self.fully_connected(from),
            10 => self.unary(from, code::RELU),
            11 => self.unary(from, code::LOGISTIC),
            12 => self.unary(from, code::QUANTIZE),
            13 => {
                let pads = [0, 0, self.rng.i32(0..3), 1, 0, self.rng.i32(0..3), 0, 0];
                let list = self.model.tensor("pads", element::INT32, &[4, 2], None);
                let bytes: Vec<u8> = pads.iter().flat_map(|v: &i32| v.to_le_bytes()).collect();
                self.model.data(&bytes);
                let size = [h + pads[2] + pads[3], w + pads[4] + pads[5], c];
                self.moved(from, code::PAD, &[list], size, None);
            }
            14 => {
                let order = self.model.list("order", &[0, 2, 1, 3]);
                self.moved(from, code::TRANSPOSE, &[order], [w, h, c], None);
            }
            15 => {
                let size = self.model.list("size", &[2 * h, 2 * w]);
                let (code, tag) = match self.rng.bool() {
                    true => (code::RESIZE_BILINEAR, tag::RESIZE_BILINEAR),
                    false => (code::RESIZE_NEAREST_NEIGHBOR, tag::RESIZE_NEAREST),
                };
                if h * w * c < 20_000 {
                    let options = Some((tag, Table::new()));
                    self.moved(from, code, &[size], [2 * h, 2 * w, c], options);
                }
            }
            _ => self.mean(from),
        }
    }

    /// An operator that moves values; now and then its result is quantised differently.
    fn moved(
        &mut self,
        from: Map,
        code: i32,
        operands: &[i32],
        size: [i32; 3],
        options: Option<(u8, Table)>,
    ) {
        let to = self.like(from, size);
        let operands = [&[from.tensor], operands].concat();
        self.model.op(code, &operands, &[to.tensor], options);
        self.maps.push(to);
    }

    /// A map that is quantised as `from`, mostly.
    fn like(&mut self, from: Map, size: [i32; 3]) -> Map {
        if self.rng.u32(..6) == 0 {
            return self.map(size);
        }
        let quant = self.model.tensors[from.tensor as usize].clone();
        let to = self.map_with(size, from.scale, 0);
        let found = quant.values().find_map(|value| match value {
            Value::Table(quant) => Some(quant.clone()),
            _ => None,
        });
        if let Some(quant) = found {
            self.model.tensors[to.tensor as usize].set(4, Value::Table(quant));
        }
        to
    }

    fn conv(&mut self, from: Map, depthwise: bool) {
        let same = self.rng.bool();
        let kernel = |rng: &mut Rng, input: i32| match same {
            true => rng.i32(1..6),
            false => rng.i32(1..=input.clamp(1, 5)),
        };
        let (kh, kw) = (kernel(self.rng, from.h), kernel(self.rng, from.w));
        let stride = if self.rng.u32(..3) == 0 { 2 } else { 1 };
        let activation = self.activation();
        let outputs = if depthwise {
            from.c
        } else {
            self.rng.i32(1..40)
        };
        let (shape, axis) = match depthwise {
            true => ([1, kh, kw, outputs], 3),
            false => ([outputs, kh, kw, from.c], 0),
        };
        let weights = self.weights(from, &shape, axis, outputs);
        let to = self.map([
            Builder::reduced(same, from.h, kh, stride),
            Builder::reduced(same, from.w, kw, stride),
            outputs,
        ]);
        let options = Table::new()
            .with(0, Value::I8(i8::from(!same)))
            .with(1, Value::I32(stride))
            .with(2, Value::I32(stride));
        let (code, options) = match depthwise {
            true => {
                let options = options
                    .with(3, Value::I32(1))
                    .with(4, Value::I8(activation));
                (code::DEPTHWISE_CONV_2D, (tag::DEPTHWISE, options))
            }
            false => {
                let options = options.with(3, Value::I8(activation));
                (code::CONV_2D, (tag::CONV, options))
            }
        };
        let operands = [&[from.tensor][..], &weights].concat();
        self.model.op(code, &operands, &[to.tensor], Some(options));
        self.maps.push(to);
    }

    fn pool(&mut self, from: Map) {
        let same = self.rng.bool();
        let window = |rng: &mut Rng, input: i32| rng.i32(1..=input.clamp(1, 4));
        let (kh, kw) = (window(self.rng, from.h), window(self.rng, from.w));
        let stride = self.rng.i32(1..3);
        let size = [
            Builder::reduced(same, from.h, kh, stride),
            Builder::reduced(same, from.w, kw, stride),
            from.c,
        ];
        let options = Table::new()
            .with(0, Value::I8(i8::from(!same)))
            .with(1, Value::I32(stride))
            .with(2, Value::I32(stride))
            .with(3, Value::I32(kw))
            .with(4, Value::I32(kh))
            .with(5, Value::I8(self.activation()));
        let code = match self.rng.bool() {
            true => code::AVERAGE_POOL_2D,
            false => code::MAX_POOL_2D,
        };
        self.moved(from, code, &[], size, Some((tag::POOL, options)));
    }

    fn sum(&mut self, from: Map) {
        let same = |map: &&Map| (map.h, map.w, map.c) == (from.h, from.w, from.c);
        let others: Vec<Map> = self.maps.iter().filter(same).copied().collect();
        let other = others[self.rng.usize(..others.len())];
        let to = self.map([from.h, from.w, from.c]);
        let options = Table::new().with(0, Value::I8(self.activation()));
        let (code, tag) = match self.rng.bool() {
            true => (code::ADD, tag::ADD),
            false => (code::SUB, tag::SUB),
        };
        let operands = [from.tensor, other.tensor];
        self.model
            .op(code, &operands, &[to.tensor], Some((tag, options)));
        self.maps.push(to);
    }

    fn concatenation(&mut self, from: Map) {
        let same = |map: &&Map| (map.h, map.w) == (from.h, from.w);
        let others: Vec<Map> = self.maps.iter().filter(same).copied().collect();
        let other = others[self.rng.usize(..others.len())];
        let to = self.like(from, [from.h, from.w, from.c + other.c]);
        let options = Table::new().with(0, Value::I32(3)).with(1, Value::I8(0));
        let operands = [from.tensor, other.tensor];
        let options = Some((tag::CONCATENATION, options));
        self.model
            .op(code::CONCATENATION, &operands, &[to.tensor], options);
        self.maps.push(to);
    }

    fn fully_connected(&mut self, from: Map) {
        let inputs = from.h * from.w * from.c;
        if inputs > 4096 {
            return;
        }
        let shape = self.model.list("shape", &[1, inputs]);
        let flat = self.like(from, [1, 1, inputs]);
        self.model.tensors[flat.tensor as usize].set(0, Value::i32s(&[1, inputs]));
        let options = Some((tag::RESHAPE, Table::new()));
        self.model.op(
            code::RESHAPE,
            &[from.tensor, shape],
            &[flat.tensor],
            options,
        );
        let outputs = self.rng.i32(1..20);
        let weights = self.weights(from, &[outputs, inputs], 0, outputs);
        let to = self.map([1, 1, outputs]);
        self.model.tensors[to.tensor as usize].set(0, Value::i32s(&[1, outputs]));
        let options = Table::new().with(0, Value::I8(self.activation()));
        let operands = [&[flat.tensor][..], &weights].concat();
        let options = Some((tag::FULLY_CONNECTED, options));
        self.model
            .op(code::FULLY_CONNECTED, &operands, &[to.tensor], options);
        if self.rng.bool() {
            let end = self.map([1, 1, outputs]);
            self.model.tensors[end.tensor as usize].set(0, Value::i32s(&[1, outputs]));
            let options = Some((tag::SOFTMAX, Table::new().with(0, Value::F32(1.0))));
            self.model
                .op(code::SOFTMAX, &[to.tensor], &[end.tensor], options);
        }
    }

    fn unary(&mut self, from: Map, code: i32) {
        let to = self.map([from.h, from.w, from.c]);
        self.model.op(code, &[from.tensor], &[to.tensor], None);
        self.maps.push(to);
    }

    fn mean(&mut self, from: Map) {
        let axes = self.model.list("axes", &[1, 2]);
        let to = self.map([1, 1, from.c]);
        let options = Some((tag::REDUCER, Table::new().with(0, Value::U8(1))));
        self.model
            .op(code::MEAN, &[from.tensor, axes], &[to.tensor], options);
        self.maps.push(to);
    }

    /// Chooses outputs, and makes some graphs odd.
    fn finish(mut self) -> Model {
        let count = self.model.tensors.len() as i32;
        let any = |rng: &mut Rng| rng.i32(0..count);
        let last = self.maps[self.maps.len() - 1].tensor;
        self.model.outputs.push(last);
        for _ in 0..self.rng.u32(..3) {
            let map = self.maps[self.rng.usize(..self.maps.len())];
            self.model.outputs.push(map.tensor);
        }
        let ops = self.model.operators.len();
        match self.rng.u32(..24) {
            // A tensor that two operators write, or that is written before or after it is read.
            0 if ops > 1 => {
                let operator = self.rng.usize(..ops);
                let tensor = any(self.rng);
                self.model.operators[operator].set(2, Value::i32s(&[tensor]));
            }
            1 if ops > 0 => {
                let (operator, tensor) = (self.rng.usize(..ops), any(self.rng));
                self.model.operators[operator].set(1, Value::i32s(&[tensor, tensor]));
            }
            2 => self.model.operators.reverse(),
            3 => self.model.inputs.clear(),
            4 => {
                let tensor = any(self.rng);
                self.model.inputs.push(tensor);
            }
            5 => self.model.outputs = self.model.inputs.clone(),
            6 => {
                let tensor = any(self.rng);
                self.model.outputs.push(tensor);
            }
            7 => self
                .model
                .custom("No such operator", &[last], &[last], b"options"),
            8 => self.model.outputs = vec![last; 3],
            _ => {}
        }
        self.model
    }
}
