//! The best classes of a classifier's output.

use crate::arrays::real_values;
use ferrite_ir::{DType, Graph, OpKind, Tensor, TensorId};
use ferrite_runtime::cpu::Value;

/// One class of a classifier's answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Class {
    /// Position in the output.
    pub index: usize,
    /// Real value of the output.
    pub score: f64,
}

/// Whether an output is a vector of class scores: one row, of real numbers. Unless there are as
/// many names, the output must have no more dimensions than the batch and the classes and,
/// if it is one of several outputs, be made by a function that ends classifiers.
pub fn is_classifier(graph: &Graph, id: TensorId, named: &dyn Fn(usize) -> bool) -> bool {
    let tensor = graph.tensor(id);
    let scores = matches!(tensor.dtype, DType::F32 | DType::U8 | DType::I8)
        && (tensor.dtype == DType::F32 || tensor.quant.is_some());
    let classes = tensor.shape.last().copied().unwrap_or(0);
    let one_row = classes > 1 && tensor.elements() == classes;
    let lone = graph.outputs.len() == 1 || ends_classifier(graph, id);
    scores && one_row && (named(classes) || tensor.shape.len() <= 2 && lone)
}

fn ends_classifier(graph: &Graph, id: TensorId) -> bool {
    let producer = graph.uses().producer(id).map(|op| &graph.node(op).kind);
    matches!(producer, Some(OpKind::Softmax { .. }))
}

/// The classes with the highest scores, best first, the lower index first among equals.
pub fn best(tensor: &Tensor, value: &Value, count: usize) -> Vec<Class> {
    let mut classes: Vec<Class> = real_values(tensor, value)
        .into_iter()
        .enumerate()
        .map(|(index, score)| Class { index, score })
        .collect();
    classes.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.index.cmp(&b.index)));
    classes.truncate(count);
    classes
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferrite_ir::{PrimaryMap, Quant};

    fn scores() -> Tensor {
        Tensor {
            name: "scores".to_owned(),
            shape: [1, 5].as_slice().into(),
            dtype: DType::I8,
            quant: Some(Quant::per_tensor(1.0 / 256.0, -128)),
            data: None,
            variable: false,
        }
    }

    #[test]
    fn best_classes_are_dequantised_and_ordered() {
        let value = Value::from_slice::<i8>([1, 5], &[-128, 0, 64, 0, -127]).unwrap();
        let best = best(&scores(), &value, 3);
        let indices: Vec<usize> = best.iter().map(|c| c.index).collect();
        assert_eq!(indices, [2, 1, 3]);
        assert_eq!(best[0].score, 0.75);
    }

    /// A detector's classes and scores are rows as well.
    #[test]
    fn one_of_several_rows_is_a_ranking_only_with_names() {
        let graph = |count: usize| {
            let mut tensors = PrimaryMap::new();
            let ids: Vec<TensorId> = (0..count).map(|_| tensors.push(scores())).collect();
            Graph::new("rows", tensors, PrimaryMap::new(), Vec::new(), ids)
        };
        let classifies = |graph: &Graph, names: usize| {
            is_classifier(graph, graph.outputs[0], &|classes| classes == names)
        };
        assert!(classifies(&graph(1), 0));
        assert!(!classifies(&graph(2), 0));
        assert!(!classifies(&graph(2), 4));
        assert!(classifies(&graph(2), 5));
    }
}
