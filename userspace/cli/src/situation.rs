//! Models that Ferrite cannot run, and what their owners can do about it: how they are quantised, or for
//! what they were compiled. TFLite with the delegate runs most of them all the same, on the CPU.

use ferrite_ir::{DType, Graph, Node, OpKind, Uses};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write;

/// Why a model cannot be run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Situation {
    /// Weights and activations are 32-bit floats.
    Float,
    /// The same, with weights stored as 16-bit floats.
    Float16,
    /// Weights have 8 bits, activations are floats; TFLite quantises them as it goes.
    DynamicRange,
    /// Weights have 8 bits and are made floats before they are used.
    WeightOnly,
    /// Activations have 16 bits.
    Int16,
    /// Compiled for a Coral Edge TPU.
    EdgeTpu,
    /// Compiled for an Arm Ethos-U.
    EthosU,
    /// Compiled by LiteRT for the NPU of another vendor.
    LiteRtDispatch,
    /// Shapes are computed while the model runs.
    RunTimeShapes,
    /// Operators without a kernel of Ferrite's.
    NoKernel,
}

use Situation::{
    DynamicRange, EdgeTpu, EthosU, Float, Float16, Int16, LiteRtDispatch, NoKernel, RunTimeShapes,
    WeightOnly,
};

/// How to get a model that the NPU takes.
const QUANTISE: &str = "convert the model with full-integer quantisation: optimizations = [tf.lite.Optimize.DEFAULT], \
     a representative_dataset, and supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8] \
     (Ultralytics: `yolo export format=tflite int8=True`, the file *_full_integer_quant.tflite)";
const FIX_SHAPES: &str = "convert the model again with inputs of a fixed shape (Ultralytics: dynamic=False; \
     onnx2tf: -ois NAME:1,H,W,C)";

impl Situation {
    /// Name in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Float => "float",
            Float16 => "float16",
            DynamicRange => "dynamic-range",
            WeightOnly => "weight-only",
            Int16 => "int16",
            EdgeTpu => "edge-tpu",
            EthosU => "ethos-u",
            LiteRtDispatch => "litert-dispatch",
            RunTimeShapes => "run-time-shapes",
            NoKernel => "no-kernel",
        }
    }

    /// What is so.
    pub fn words(self) -> &'static str {
        match self {
            Float => "a float model, and Ferrite computes with 8-bit integers",
            Float16 => {
                "a float model with weights of 16 bits, and Ferrite computes with 8-bit integers"
            }
            DynamicRange => {
                "quantised by dynamic range: weights have 8 bits, but activations are floats, and \
                 Ferrite computes with 8-bit integers"
            }
            WeightOnly => {
                "only weights are quantised, and made floats again before they are used, and Ferrite \
                 computes with 8-bit integers"
            }
            Int16 => "activations have 16 bits, and Ferrite computes with 8-bit integers",
            EdgeTpu => "compiled for a Coral Edge TPU, whose program only that chip can run",
            EthosU => "compiled for an Arm Ethos-U, whose program only that chip can run",
            LiteRtDispatch => "compiled by LiteRT for another NPU, which alone can run its program",
            RunTimeShapes => {
                "shapes are computed while the model runs; Ferrite plans memory before"
            }
            NoKernel => "operators that Ferrite has no kernel for",
        }
    }

    /// What to do about it.
    pub fn remedy(self) -> &'static str {
        match self {
            Float | Float16 | DynamicRange | WeightOnly => QUANTISE,
            Int16 => {
                "convert the model with 8-bit activations: supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]"
            }
            EdgeTpu => {
                "take the model that edgetpu_compiler was given: its name is the same without _edgetpu"
            }
            EthosU => "take the model that vela was given",
            LiteRtDispatch => "take the model before LiteRT's ahead-of-time compilation",
            RunTimeShapes => FIX_SHAPES,
            NoKernel => {
                "run the model in TFLite with the delegate, which leaves them to TFLite's own kernels"
            }
        }
    }
}

/// Situations, with the names of the operators that are in them and how many there are of each.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Situations(BTreeMap<Situation, BTreeMap<String, usize>>);

impl Situations {
    /// Those of a graph.
    pub fn of(graph: &Graph) -> Situations {
        let uses = graph.uses();
        let mut situations = Situations::default();
        for op in graph.op_ids() {
            if let Some(situation) = one(graph, &uses, graph.node(op)) {
                let operators = situations.0.entry(situation).or_default();
                *operators.entry(graph.op_name(op).to_owned()).or_default() += 1;
            }
        }
        situations
    }

    /// Why `ferrite` cannot run the model, if that is so, and what to do.
    pub fn refusal(&self) -> Option<String> {
        let sentence = |(situation, operators): (&Situation, &BTreeMap<String, usize>)| {
            let (words, remedy) = (situation.words(), situation.remedy());
            format!("{words} ({}): {remedy}", list(operators))
        };
        let sentences: Vec<String> = self.0.iter().map(sentence).collect();
        (!sentences.is_empty()).then(|| sentences.join("; "))
    }

    /// Two lines for each: what is so, and what to do.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for (situation, operators) in &self.0 {
            let _ = writeln!(text, "note: {} ({})", situation.words(), list(operators));
            let _ = writeln!(text, "      {}", situation.remedy());
        }
        text
    }

    /// As a JSON list.
    pub fn json(&self) -> Value {
        let entry = |(situation, operators): (&Situation, &BTreeMap<String, usize>)| {
            json!({
                "situation": situation.name(),
                "operators": operators,
                "words": situation.words(),
                "remedy": situation.remedy(),
            })
        };
        self.0.iter().map(entry).collect::<Vec<_>>().into()
    }
}

/// `CONV_2D x 3, FULLY_CONNECTED`.
fn list(operators: &BTreeMap<String, usize>) -> String {
    let word = |(name, count): (&String, &usize)| match count {
        1 => name.clone(),
        _ => format!("{name} x {count}"),
    };
    operators.iter().map(word).collect::<Vec<_>>().join(", ")
}

fn one(graph: &Graph, uses: &Uses, node: &Node) -> Option<Situation> {
    let (input, filter) = match &node.kind {
        OpKind::Unknown { name } => {
            return Some(match &name[..] {
                "edgetpu-custom-op" => EdgeTpu,
                "ethos-u" => EthosU,
                "DISPATCH_OP" => LiteRtDispatch,
                "SHAPE" | "WHERE" => RunTimeShapes,
                _ => NoKernel,
            });
        }
        OpKind::Conv2d(_) | OpKind::DepthwiseConv2d { .. } | OpKind::FullyConnected { .. } => {
            (0, 1)
        }
        OpKind::TransposeConv { .. } => (2, 1),
        _ => return None,
    };
    let operand = |at: usize| node.inputs.get(at).copied().flatten();
    let (input, filter) = (graph.tensor(operand(input)?), operand(filter)?);
    // A filter that is made by DEQUANTIZE counts as what that reads.
    let made = uses.producer(filter).map(|op| graph.node(op));
    let source = match made {
        Some(node) if matches!(node.kind, OpKind::Dequantize) => node.inputs.first()?.as_ref()?,
        _ => &filter,
    };
    let stored = graph.tensor(*source).dtype;
    match (input.dtype, stored, *source == filter) {
        (DType::I16, ..) => Some(Int16),
        (DType::F32, DType::U8 | DType::I8, true) => Some(DynamicRange),
        (DType::F32, DType::U8 | DType::I8, false) => Some(WeightOnly),
        (DType::F32, DType::F16, _) => Some(Float16),
        (DType::F32, ..) => Some(Float),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferrite_ir::text;

    /// Situation of a graph of one convolution whose filter is `filter`, with more lines before it.
    fn convolution(activations: &str, filter: &str, more: &str) -> Vec<Situation> {
        let text = format!(
            "graph \"g\"\ninputs %0\noutputs %3\n\n\
             %0 \"x\": {activations}\n\
             %1 \"w\": {filter}\n\
             %2 \"v\": float32[1,1,1,1]\n\
             %3 \"y\": {activations}\n\n{more}\
             %3 = CONV_2D({}, none) padding=SAME stride=1x1 dilation=1x1 activation=NONE\n",
            if more.is_empty() { "%0, %1" } else { "%0, %2" }
        );
        let graph = text::parse(&text).unwrap_or_else(|e| panic!("{e}\n{text}"));
        Situations::of(&graph).0.into_keys().collect()
    }

    #[test]
    fn quantisations_are_told_apart() {
        let float = "float32[1,4,4,1]";
        let dequantised = "%2 = DEQUANTIZE(%1)\n";
        let cases = [
            (float, "float32[1,1,1,1] = x\"0000803f\"", "", Some(Float)),
            (
                float,
                "float16[1,1,1,1] = x\"003c\"",
                dequantised,
                Some(Float16),
            ),
            (
                float,
                "int8[1,1,1,1] scale 0.5 zero 0 = random seed=1",
                "",
                Some(DynamicRange),
            ),
            (
                float,
                "int8[1,1,1,1] scale 0.5 zero 0 = random seed=1",
                dequantised,
                Some(WeightOnly),
            ),
            (
                "int16[1,4,4,1] scale 0.5 zero 0",
                "int8[1,1,1,1] scale 0.5 zero 0 = random seed=1",
                "",
                Some(Int16),
            ),
            (
                "int8[1,4,4,1] scale 0.5 zero 0",
                "int8[1,1,1,1] scale 0.5 zero 0 = random seed=1",
                "",
                None,
            ),
        ];
        for (activations, filter, more, expected) in cases {
            let found = convolution(activations, filter, more);
            assert_eq!(found, Vec::from_iter(expected), "{activations} {filter}");
        }
    }

    #[test]
    fn operators_of_other_chips_are_refused_by_name() {
        let cases = [
            ("edgetpu-custom-op", EdgeTpu, "edgetpu_compiler"),
            ("ethos-u", EthosU, "vela"),
            ("SHAPE", RunTimeShapes, "fixed shape"),
            ("RFFT2D", NoKernel, "delegate"),
        ];
        for (name, situation, word) in cases {
            let text = format!(
                "graph \"g\"\ninputs %0\noutputs %1\n\n%0 \"x\": float32[4]\n\
                 %1 \"y\": float32[4]\n\n%1 = unknown \"{name}\"(%0)\n"
            );
            let found = Situations::of(&text::parse(&text).unwrap());
            assert_eq!(Vec::from_iter(found.0.keys()), [&situation]);
            let refusal = found.refusal().unwrap();
            assert!(
                refusal.contains(word) && refusal.contains(name),
                "{refusal}"
            );
        }
    }
}
