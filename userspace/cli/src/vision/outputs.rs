//! Outputs of a run as real numbers, and the shapes that heads are recognised by.

use ferrite_ir::op::Hw;
use ferrite_ir::{DType, Graph, Tensor};
use ferrite_runtime::cpu::Value;

/// The outputs of a run.
#[derive(Clone, Copy)]
pub struct Outputs<'a> {
    /// The network.
    pub graph: &'a Graph,
    /// Its outputs in order.
    pub values: &'a [Value],
}

impl Outputs<'_> {
    /// Dequantised elements of an output.
    pub fn reals(&self, index: usize) -> Vec<f32> {
        let tensor = self.graph.tensor(self.graph.outputs[index]);
        let values = crate::arrays::real_values(tensor, &self.values[index]);
        values.into_iter().map(|v| v as f32).collect()
    }
}

/// Shapes of a graph's outputs.
pub fn shapes(graph: &Graph) -> Vec<&[usize]> {
    let shape = |&id| &graph.tensor(id).shape[..];
    graph.outputs.iter().map(shape).collect()
}

/// Height and width of the picture that a network takes as its first input.
pub fn picture(graph: &Graph) -> Option<Hw> {
    let tensor = graph.tensor(*graph.inputs.first()?);
    match tensor.shape[..] {
        [1, h, w, 1 | 3] if h > 1 && w > 1 => Some(Hw { h, w }),
        _ => None,
    }
}

/// Whether the elements of a tensor are integers that count or name something, not real numbers.
pub fn is_integer(tensor: &Tensor) -> bool {
    let unscaled = matches!(tensor.dtype, DType::U8 | DType::I8) && tensor.quant.is_none();
    matches!(tensor.dtype, DType::I32 | DType::I64) || unscaled
}

pub fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

/// Makes scores of logits. Networks leave out the function that does it now and then, which shows
/// by values that are no probabilities.
pub fn to_probabilities(scores: &mut [f32]) {
    if scores.iter().any(|s| !(-0.01..=1.01).contains(s)) {
        for score in scores {
            *score = sigmoid(*score);
        }
    }
}

/// Place and value of the largest number, the first among equals.
pub fn largest(values: impl IntoIterator<Item = f32>) -> Option<(usize, f32)> {
    values
        .into_iter()
        .enumerate()
        .reduce(|best, next| if next.1 > best.1 { next } else { best })
}
