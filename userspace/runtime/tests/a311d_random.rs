//! Networks of random operators and shapes on the A311D's model: no operator may be more than its
//! bound from the CPU kernels, given the same operands.

use ferrite_compiler::executable::Placement;
use ferrite_compiler::{Evidence, Options, Target, compile};
use ferrite_ir::op::{Activation, Binary, ConvParams, Hw, OpKind, Padding};
use ferrite_ir::{
    Bytes, DType, Graph, Node, OpId, Quant, SecondaryMap, Tensor, TensorId, single_op,
};
use ferrite_runtime::Session;
use ferrite_runtime::cpu::{Interpreter, Value};
use ferrite_runtime::device::sim_a311d::SimA311d;
use proptest::prelude::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// An operator, to be fitted to the shapes at hand.
#[derive(Clone, Debug)]
enum Choice {
    Conv {
        outputs: usize,
        kernel: [usize; 2],
        stride: usize,
        dilation: usize,
        valid: bool,
        activation: Activation,
        /// 0 is dense, others are depthwise with that multiplier.
        depthwise: usize,
    },
    /// Of the last two maps of one shape.
    Sum {
        subtract: bool,
        relu: bool,
    },
    /// Of the last two maps of one size.
    Concatenation,
    Requantise,
}

#[derive(Clone, Debug)]
struct Case {
    input: [usize; 3],
    signed: bool,
    choices: Vec<Choice>,
    seed: u64,
}

fn activation() -> impl Strategy<Value = Activation> {
    prop_oneof![
        Just(Activation::None),
        Just(Activation::Relu),
        Just(Activation::Relu6),
    ]
}

fn choice() -> impl Strategy<Value = Choice> {
    let conv = (
        1usize..40,
        prop_oneof![1 => Just([1, 1]), 3 => [1usize..=5, 1usize..=5]],
        prop_oneof![3 => Just(1usize), 2 => Just(2), 1 => Just(4)],
        prop_oneof![4 => Just(1usize), 1 => Just(2)],
        any::<bool>(),
        activation(),
        prop_oneof![4 => Just(0usize), 3 => Just(1), 1 => Just(2)],
    )
        .prop_map(
            |(outputs, kernel, stride, dilation, valid, activation, depthwise)| Choice::Conv {
                outputs,
                kernel,
                stride,
                dilation,
                valid,
                activation,
                depthwise,
            },
        );
    prop_oneof![
        5 => conv,
        2 => (any::<bool>(), any::<bool>())
            .prop_map(|(subtract, relu)| Choice::Sum { subtract, relu }),
        2 => Just(Choice::Concatenation),
        1 => Just(Choice::Requantise),
    ]
}

fn case() -> impl Strategy<Value = Case> {
    (
        [1usize..30, 1usize..30, 1usize..40],
        any::<bool>(),
        prop::collection::vec(choice(), 1..7),
        any::<u64>(),
    )
        .prop_map(|(input, signed, choices, seed)| Case {
            input,
            signed,
            choices,
            seed,
        })
}

struct Builder {
    graph: Graph,
    maps: Vec<TensorId>,
    dtype: DType,
    state: u64,
}

impl Builder {
    fn new(case: &Case) -> Builder {
        let mut builder = Builder {
            graph: Graph::default(),
            maps: Vec::new(),
            dtype: if case.signed { DType::I8 } else { DType::U8 },
            state: case.seed | 1,
        };
        let input = builder.map(case.input, 0.05);
        builder.graph.inputs.push(input);
        builder
    }

    fn byte(&mut self) -> u8 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        (self.state >> 32) as u8
    }

    /// A number between `low` and twice as much.
    fn about(&mut self, low: f32) -> f32 {
        low * (1.0 + f32::from(self.byte()) / 256.0)
    }

    fn tensor(
        &mut self,
        shape: &[usize],
        dtype: DType,
        quant: Quant,
        data: Option<Vec<u8>>,
    ) -> TensorId {
        let id = self.graph.tensors.next_key();
        self.graph.tensors.push(Tensor {
            name: format!("t{}", id.as_u32()),
            shape: shape.into(),
            dtype,
            quant: Some(quant),
            data: data.map(Bytes::from),
            variable: false,
        });
        id
    }

    /// An activation tensor with a random zero point.
    fn map(&mut self, [h, w, c]: [usize; 3], scale: f32) -> TensorId {
        let zero = match self.byte() % 4 {
            0 => 0,
            1 => 255,
            _ => i32::from(self.byte()),
        };
        let zero = if self.dtype == DType::I8 {
            zero - 128
        } else {
            zero
        };
        let id = self.tensor(
            &[1, h, w, c],
            self.dtype,
            Quant::per_tensor(scale, zero),
            None,
        );
        self.maps.push(id);
        id
    }

    fn shape(&self, id: TensorId) -> [usize; 3] {
        let shape = &self.graph.tensor(id).shape;
        [shape[1], shape[2], shape[3]]
    }

    fn scale(&self, id: TensorId) -> f32 {
        self.graph
            .tensor(id)
            .quant
            .as_ref()
            .map_or(1.0, |q| q.scales[0])
    }

    fn node(&mut self, kind: OpKind, inputs: &[TensorId], output: TensorId) {
        self.graph.outputs.push(output);
        self.graph.push(Node {
            kind,
            inputs: inputs.iter().copied().map(Some).collect(),
            outputs: [output].into_iter().collect(),
        });
    }

    /// The last map, and the last before it that `fits`; itself if there is none.
    fn pair(&self, fits: impl Fn([usize; 3]) -> bool) -> [TensorId; 2] {
        let last = self.maps[self.maps.len() - 1];
        let others = self.maps.iter().rev().skip(1);
        let other = others.copied().find(|&id| fits(self.shape(id)));
        [last, other.unwrap_or(last)]
    }

    fn add(&mut self, choice: &Choice) {
        let last = self.maps[self.maps.len() - 1];
        let [h, w, channels] = self.shape(last);
        match *choice {
            Choice::Conv {
                outputs,
                kernel: [rows, columns],
                stride,
                dilation,
                valid,
                activation,
                depthwise,
            } => {
                let span = |taps: usize| (taps - 1) * dilation + 1;
                let valid = valid && span(rows) <= h && span(columns) <= w;
                let along = |size: usize, taps: usize| match valid {
                    true => (size - span(taps)) / stride + 1,
                    false => size.div_ceil(stride),
                };
                let outputs = match depthwise {
                    0 => outputs,
                    multiplier => multiplier * channels,
                };
                let (filter, axis_inputs) = match depthwise {
                    0 => ([outputs, rows, columns, channels], channels),
                    _ => ([1, rows, columns, outputs], 1),
                };
                let data: Vec<u8> = (0..filter.iter().product()).map(|_| self.byte()).collect();
                let zero = if self.dtype == DType::U8 {
                    i32::from(self.byte())
                } else {
                    0
                };
                let (x, f) = (self.scale(last), self.about(0.01));
                let weights =
                    self.tensor(&filter, self.dtype, Quant::per_tensor(f, zero), Some(data));
                let biases = (0..outputs)
                    .flat_map(|_| (i32::from(self.byte() as i8) * 100).to_le_bytes())
                    .collect();
                let bias = self.tensor(
                    &[outputs],
                    DType::I32,
                    Quant::per_tensor(x * f, 0),
                    Some(biases),
                );
                // Sums of so many products take up about the range.
                let spread = ((rows * columns * axis_inputs) as f32).sqrt();
                let y = self.about(40.0 * x * f * spread);
                let output = self.map([along(h, rows), along(w, columns), outputs], y);
                let params = ConvParams {
                    padding: if valid { Padding::Valid } else { Padding::Same },
                    stride: Hw {
                        h: stride,
                        w: stride,
                    },
                    dilation: Hw {
                        h: dilation,
                        w: dilation,
                    },
                    activation,
                };
                let kind = match depthwise {
                    0 => OpKind::Conv2d(params),
                    multiplier => OpKind::DepthwiseConv2d { params, multiplier },
                };
                self.node(kind, &[last, weights, bias], output);
            }
            Choice::Sum { subtract, relu } => {
                let pair = self.pair(|shape| shape == [h, w, channels]);
                let larger = self.scale(pair[0]).max(self.scale(pair[1]));
                let y = self.about(larger);
                let output = self.map([h, w, channels], y);
                let kind = OpKind::Binary {
                    op: if subtract { Binary::Sub } else { Binary::Add },
                    activation: if relu {
                        Activation::Relu
                    } else {
                        Activation::None
                    },
                };
                self.node(kind, &pair, output);
            }
            Choice::Concatenation => {
                let mut pair = self.pair(|[rows, columns, _]| [rows, columns] == [h, w]);
                let all = channels + self.shape(pair[1])[2];
                // TFLite wants one quantisation.
                let quant = self.graph.tensor(last).quant.clone();
                if self.graph.tensor(pair[1]).quant != quant {
                    let other = self.map(self.shape(pair[1]), 1.0);
                    self.graph.tensors[other].quant = quant.clone();
                    self.node(OpKind::Quantize, &[pair[1]], other);
                    pair[1] = other;
                }
                let output = self.map([h, w, all], 1.0);
                self.graph.tensors[output].quant = quant;
                let kind = OpKind::Concatenation {
                    axis: 3,
                    activation: Activation::None,
                };
                self.node(kind, &pair, output);
            }
            Choice::Requantise => {
                let y = self.about(0.7 * self.scale(last));
                let output = self.map([h, w, channels], y);
                self.node(OpKind::Quantize, &[last], output);
            }
        }
    }
}

/// What the CPU kernels make of an operator's operands.
fn alone(graph: &Graph, op: OpId, known: &SecondaryMap<TensorId, Option<Value>>) -> Value {
    let single = single_op(graph, op);
    let values: Vec<Value> = single
        .inputs
        .iter()
        .map(|&id| known[id].clone().expect("computed before"))
        .collect();
    let results = Interpreter::new(single.graph).expect("known").run(&values);
    results.expect("runs").remove(0)
}

/// Operators that ran on the NPU in all cases, all of them, and concatenations without a copy.
static COUNTS: [AtomicUsize; 3] = [const { AtomicUsize::new(0) }; 3];

fn check(case: &Case) -> Result<(), TestCaseError> {
    let mut builder = Builder::new(case);
    case.choices.iter().for_each(|choice| builder.add(choice));
    let noise: Vec<u8> = (0..case.input.iter().product())
        .map(|_| builder.byte())
        .collect();
    let graph = Arc::new(builder.graph);
    if graph.op_count() == 0 {
        return Ok(());
    }
    let mut options = Options::new(Target::A311d);
    options.evidence = Evidence::Inferred;
    let executable = Arc::new(compile(&graph, &options).expect("compiles"));
    let placements = executable.placements.clone();
    let mut session =
        Session::new(graph.clone(), executable, Some(&SimA311d::new())).expect("loads");
    let input = graph.tensor(graph.inputs[0]);
    let value = Value::from_bytes(input.dtype, input.shape.to_vec(), &noise).expect("fits");
    let outputs = session
        .run(std::slice::from_ref(&value))
        .map_err(|fault| TestCaseError::fail(fault.to_string()))?;
    let mut known = SecondaryMap::new();
    known[graph.inputs[0]] = Some(value);
    for (&id, value) in graph.outputs.iter().zip(outputs) {
        known[id] = Some(value);
    }
    for op in graph.op_ids() {
        let expected = alone(&graph, op, &known);
        let id = graph.node(op).outputs[0];
        let found = known[id].as_ref().expect("an output");
        let steps = |&byte: &u8| match graph.tensor(id).dtype {
            DType::I8 => i32::from(byte as i8),
            _ => i32::from(byte),
        };
        let pairs = found.bytes().iter().zip(expected.bytes());
        let worst = pairs
            .map(|(a, b)| (steps(a) - steps(b)).abs())
            .max()
            .unwrap_or(0);
        let name = graph.op_name(op);
        let bound = if ["ADD", "SUB"].contains(&name) { 2 } else { 1 };
        prop_assert!(
            worst <= bound,
            "{} {name} is {worst} steps off",
            op.as_u32()
        );
        let on_npu = !matches!(placements[op], Placement::Cpu { .. });
        COUNTS[0].fetch_add(usize::from(on_npu), Ordering::Relaxed);
        COUNTS[1].fetch_add(1, Ordering::Relaxed);
        if let Placement::Npu { lowering, .. } = &placements[op] {
            let in_place = lowering == "concatenation in place";
            COUNTS[2].fetch_add(usize::from(in_place), Ordering::Relaxed);
        }
    }
    Ok(())
}

#[test]
fn random_networks_are_right() {
    let config = ProptestConfig {
        cases: 500,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let mut runner = proptest::test_runner::TestRunner::new(config);
    runner
        .run(&case(), |case| check(&case))
        .unwrap_or_else(|error| panic!("{error}"));
    let [on_npu, all, in_place] = [0, 1, 2].map(|i| COUNTS[i].load(Ordering::Relaxed));
    println!("{on_npu} of {all} operators on the NPU, {in_place} concatenations in place");
    assert!(10 * on_npu > 9 * all, "only {on_npu} of {all}");
    assert!(in_place > 0, "no concatenation in place");
}
