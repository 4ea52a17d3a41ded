//! Heads made by hand: a picture goes in, and outputs of chosen shapes and values come out.

use super::{Answer, Head};
use ferrite_ir::{DType, Graph, PrimaryMap, Tensor};
use ferrite_runtime::cpu::Value;

/// A network without operators, and its outputs.
pub struct Case {
    pub graph: Graph,
    pub values: Vec<Value>,
}

/// A network for pictures of this height and width, with these outputs.
pub fn case([h, w]: [usize; 2], outputs: Vec<(Vec<usize>, Vec<f32>)>) -> Case {
    let tensor = |name: &str, dtype, shape: &[usize]| Tensor {
        name: name.to_owned(),
        shape: shape.into(),
        dtype,
        quant: None,
        data: None,
        variable: false,
    };
    let mut tensors = PrimaryMap::new();
    let input = tensors.push(tensor("picture", DType::F32, &[1, h, w, 3]));
    let mut ids = Vec::new();
    let mut values = Vec::new();
    for (shape, elements) in outputs {
        ids.push(tensors.push(tensor("output", DType::F32, &shape)));
        values.push(Value::from_slice(shape, &elements).expect("as many elements as the shape"));
    }
    Case {
        graph: Graph::new("case", tensors, PrimaryMap::new(), vec![input], ids),
        values,
    }
}

/// The head that the case's network has, and what it says.
pub fn read(case: &Case, names: Option<usize>, threshold: f32) -> (Option<Head>, Option<Answer>) {
    let head = Head::of(&case.graph, &|classes| names == Some(classes));
    let answer = head
        .as_ref()
        .map(|head| head.read(&case.graph, &case.values, threshold));
    (head, answer)
}
