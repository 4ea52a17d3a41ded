//! The cases: for each operator, shapes that take different paths through the hardware.

use std::sync::Arc;

use ferrite_ir::Graph;
use ferrite_ir::op::{Activation, Binary, ConvParams, Hw, OpKind, Padding, PoolParams, Reduce};

use super::builder::{Builder, Types};
use crate::cpu::Value;

/// One operator with inputs.
pub struct Case {
    /// A name of its own.
    pub name: String,
    /// TFLite's name of the operator.
    pub operator: String,
    /// Element types.
    pub types: &'static str,
    pub(super) graph: Arc<Graph>,
    pub(super) inputs: Vec<Value>,
}

const fn square(n: usize) -> Hw {
    Hw { h: n, w: n }
}

/// Geometry of a convolution.
struct Conv {
    what: &'static str,
    input: [usize; 4],
    outputs: usize,
    kernel: Hw,
    stride: usize,
    dilation: usize,
    padding: Padding,
    activation: Activation,
}

impl Conv {
    const fn new(what: &'static str, input: [usize; 4], outputs: usize, kernel: usize) -> Conv {
        Conv {
            what,
            input,
            outputs,
            kernel: square(kernel),
            stride: 1,
            dilation: 1,
            padding: Padding::Same,
            activation: Activation::None,
        }
    }

    fn params(&self) -> ConvParams {
        ConvParams {
            padding: self.padding,
            stride: square(self.stride),
            dilation: square(self.dilation),
            activation: self.activation,
        }
    }

    fn output(&self) -> [usize; 4] {
        let along = |input: usize, kernel: usize| match self.padding {
            Padding::Same => input.div_ceil(self.stride),
            Padding::Valid => {
                let span = (kernel - 1) * self.dilation + 1;
                (input - span) / self.stride + 1
            }
        };
        let [n, h, w, _] = self.input;
        let out = Hw {
            h: along(h, self.kernel.h),
            w: along(w, self.kernel.w),
        };
        [n, out.h, out.w, self.outputs]
    }
}

/// All cases.
pub fn cases() -> Vec<Case> {
    let mut all = Vec::new();
    for types in Types::ALL {
        for conv in convolutions() {
            all.push(convolution(&conv, types, false));
        }
        for conv in depthwise() {
            all.push(convolution(&conv, types, true));
        }
        all.push(fully_connected("one row", 1, 200, 40, types));
        all.push(fully_connected("several rows", 5, 64, 33, types));
        all.push(fully_connected("long rows", 1, 3000, 17, types));
    }
    for types in Types::PLAIN {
        all.push(sum("equal scales", [1, 9, 7, 16], [0.1, 0.1, 0.15], types));
        all.push(sum("finer first", [1, 5, 12, 40], [0.02, 0.3, 0.31], types));
        all.push(sum(
            "finer second",
            [1, 16, 16, 24],
            [0.31, 0.013, 0.3],
            types,
        ));
        all.push(sum(
            "many channels",
            [1, 6, 6, 320],
            [0.05, 0.07, 0.1],
            types,
        ));
        all.push(difference(types));
        all.push(constant_sum(types));
        for (what, input, window, stride, padding) in [
            ("2x2", [1, 8, 10, 32], 2, 2, Padding::Valid),
            ("3x3 padded", [1, 9, 9, 20], 3, 1, Padding::Same),
            ("whole map", [1, 7, 7, 96], 7, 1, Padding::Valid),
        ] {
            all.push(pooling(what, input, window, stride, padding, types, false));
            all.push(pooling(what, input, window, stride, padding, types, true));
        }
        all.push(mean(types));
        all.push(concatenation(types));
        all.push(requantisation(types));
    }
    all
}

fn convolutions() -> [Conv; 12] {
    use Activation::{Relu, Relu6};
    [
        Conv {
            activation: Relu6,
            ..Conv::new("1x1", [1, 14, 14, 64], 96, 1)
        },
        Conv::new("1x1, odd channels", [1, 7, 5, 19], 37, 1),
        Conv {
            activation: Relu,
            ..Conv::new("3x3", [1, 12, 12, 32], 32, 3)
        },
        Conv {
            stride: 2,
            ..Conv::new("3x3 of a picture", [1, 33, 31, 3], 16, 3)
        },
        Conv {
            stride: 2,
            padding: Padding::Valid,
            ..Conv::new("5x5 without padding", [1, 17, 20, 24], 40, 5)
        },
        Conv {
            dilation: 2,
            ..Conv::new("3x3 dilated", [1, 13, 13, 16], 24, 3)
        },
        Conv {
            kernel: Hw { h: 1, w: 7 },
            ..Conv::new("1x7", [1, 9, 17, 32], 32, 1)
        },
        Conv::new("1x1, deep", [1, 4, 4, 1100], 48, 1),
        Conv::new("1x1, many outputs", [1, 1, 1, 256], 1001, 1),
        // More rows than the buffer holds.
        Conv::new("3x3, tiled by rows", [1, 80, 80, 64], 16, 3),
        // More weights than the buffer holds.
        Conv::new("3x3, streamed weights", [1, 6, 6, 256], 256, 3),
        Conv::new("batch of two", [2, 8, 8, 16], 16, 3),
    ]
}

fn depthwise() -> [Conv; 6] {
    [
        Conv {
            activation: Activation::Relu6,
            ..Conv::new("3x3", [1, 14, 14, 64], 64, 3)
        },
        Conv {
            stride: 2,
            ..Conv::new("3x3, odd sizes", [1, 15, 13, 40], 40, 3)
        },
        Conv::new("5x5", [1, 12, 12, 96], 96, 5),
        Conv {
            padding: Padding::Valid,
            ..Conv::new("3x3 without padding", [1, 10, 18, 32], 32, 3)
        },
        Conv {
            dilation: 2,
            ..Conv::new("3x3 dilated", [1, 14, 14, 48], 48, 3)
        },
        Conv::new("3x3, tiled by rows", [1, 112, 112, 32], 32, 3),
    ]
}

/// Root mean square of noise in weights and activations, in steps.
const NOISE: f32 = 74.0;
/// That of results, to fill the range and seldom leave it.
const SPREAD: f32 = 45.0;

/// Scales of input, filter and result for sums of `terms` products.
fn scales(terms: usize) -> [f32; 3] {
    let (input, filter) = (0.023_7, 0.004_9);
    let sum = input * filter * NOISE * NOISE * (terms as f32).sqrt();
    // Biases matter for short sums.
    let sum = sum + input * filter * 220_000.0;
    [input, filter, sum / SPREAD]
}

fn case(operator: &str, what: &str, types: Types) -> (String, Builder) {
    let name = format!("{operator} {} {what}", types.name());
    let builder = Builder::new(&name);
    (name, builder)
}

fn done(name: String, types: Types, (graph, inputs): (Arc<Graph>, Vec<Value>)) -> Case {
    let operator = graph
        .nodes()
        .next()
        .map_or("", |node| node.kind.name())
        .to_owned();
    Case {
        name,
        operator,
        types: types.name(),
        graph,
        inputs,
    }
}

fn convolution(conv: &Conv, types: Types, depthwise: bool) -> Case {
    let operator = if depthwise { "depthwise" } else { "conv" };
    let (name, mut b) = case(operator, conv.what, types);
    let Hw { h, w } = conv.kernel;
    let channels = conv.input[3];
    let terms = h * w * if depthwise { 1 } else { channels };
    let [mut x, f, mut y] = scales(terms);
    if conv.activation == Activation::Relu6 {
        // As networks have it: the range ends where the activation does.
        x *= 6.0 / 255.0 / y;
        y = 6.0 / 255.0;
    }
    let input = b.input(&conv.input, types, x, -6);
    let [filter, bias] = match depthwise {
        true => b.filter(&[1, h, w, channels], 3, types, f, x),
        false => b.filter(&[conv.outputs, h, w, channels], 0, types, f, x),
    };
    // What an activation cuts off gets a zero point at the end of the range.
    let centred = match conv.activation {
        Activation::None => 5,
        _ => -128,
    };
    // ReLU6 ends at 6: as many steps as the range has.
    b.output(&conv.output(), types, y, centred);
    let kind = match depthwise {
        true => OpKind::DepthwiseConv2d {
            params: conv.params(),
            multiplier: 1,
        },
        false => OpKind::Conv2d(conv.params()),
    };
    done(name, types, b.finish(kind, &[input, filter, bias]))
}

fn fully_connected(what: &str, rows: usize, k: usize, outputs: usize, types: Types) -> Case {
    let (name, mut b) = case("fully connected", what, types);
    let [x, f, y] = scales(k);
    let input = b.input(&[rows, k], types, x, 11);
    let [filter, bias] = b.filter(&[outputs, k], 0, types, f, x);
    b.output(&[rows, outputs], types, y, -3);
    let kind = OpKind::FullyConnected {
        activation: Activation::None,
        keep_num_dims: false,
    };
    done(name, types, b.finish(kind, &[input, filter, bias]))
}

fn sum(what: &str, shape: [usize; 4], [x, y, z]: [f32; 3], types: Types) -> Case {
    let (name, mut b) = case("add", what, types);
    let first = b.input(&shape, types, x, -9);
    let second = b.input(&shape, types, y, 14);
    b.output(&shape, types, z, 2);
    let kind = OpKind::Binary {
        op: Binary::Add,
        activation: Activation::None,
    };
    done(name, types, b.finish(kind, &[first, second]))
}

fn difference(types: Types) -> Case {
    let (name, mut b) = case("sub", "two maps", types);
    let shape = [1, 10, 6, 48];
    let first = b.input(&shape, types, 0.12, -9);
    let second = b.input(&shape, types, 0.07, 14);
    b.output(&shape, types, 0.14, 2);
    let kind = OpKind::Binary {
        op: Binary::Sub,
        activation: Activation::None,
    };
    done(name, types, b.finish(kind, &[first, second]))
}

fn constant_sum(types: Types) -> Case {
    let (name, mut b) = case("add", "a constant", types);
    let shape = [1, 6, 11, 24];
    let first = b.input(&shape, types, 0.05, 20);
    let second = b.constant(&[24], types, 0.03);
    b.output(&shape, types, 0.06, -1);
    let kind = OpKind::Binary {
        op: Binary::Add,
        activation: Activation::None,
    };
    done(name, types, b.finish(kind, &[first, second]))
}

fn pooling(
    what: &str,
    input: [usize; 4],
    window: usize,
    stride: usize,
    padding: Padding,
    types: Types,
    maximum: bool,
) -> Case {
    let operator = if maximum { "max pool" } else { "average pool" };
    let (name, mut b) = case(operator, what, types);
    let geometry = Conv {
        stride,
        padding,
        ..Conv::new("", input, input[3], window)
    };
    let x = b.input(&input, types, 0.04, 13);
    b.output(&geometry.output(), types, 0.04, 13);
    let params = PoolParams {
        padding,
        stride: square(stride),
        window: square(window),
        activation: Activation::None,
    };
    let kind = match maximum {
        true => OpKind::MaxPool2d(params),
        false => OpKind::AveragePool2d(params),
    };
    done(name, types, b.finish(kind, &[x]))
}

fn mean(types: Types) -> Case {
    let (name, mut b) = case("mean", "rows and columns", types);
    let input = b.input(&[1, 5, 5, 64], types, 0.04, 13);
    let axes = b.list(&[1, 2]);
    b.output(&[1, 64], types, 0.011, -20);
    let kind = OpKind::Reduce {
        op: Reduce::Mean,
        keep_dims: false,
    };
    done(name, types, b.finish(kind, &[input, axes]))
}

fn concatenation(types: Types) -> Case {
    let (name, mut b) = case("concatenation", "of channels", types);
    let first = b.input(&[1, 7, 9, 32], types, 0.05, 3);
    let second = b.input(&[1, 7, 9, 21], types, 0.05, 3);
    b.output(&[1, 7, 9, 53], types, 0.05, 3);
    let kind = OpKind::Concatenation {
        axis: 3,
        activation: Activation::None,
    };
    done(name, types, b.finish(kind, &[first, second]))
}

fn requantisation(types: Types) -> Case {
    let (name, mut b) = case("quantize", "to another scale", types);
    let shape = [1, 8, 8, 40];
    let input = b.input(&shape, types, 0.05, 3);
    b.output(&shape, types, 0.061, -8);
    done(name, types, b.finish(OpKind::Quantize, &[input]))
}
