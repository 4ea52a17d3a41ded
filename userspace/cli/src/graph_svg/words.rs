//! What the picture says about operators and tensors.

use ferrite_ir::op::{Activation, Padding};
use ferrite_ir::{DType, Graph, OpId, OpKind, Tensor};

/// Mean width of a character of a label, in pixels.
pub const LABEL_CHAR: f64 = 6.0;

/// Shape and type of a tensor: `1×112×112×32 uint8`.
pub fn tensor_label(tensor: &Tensor) -> String {
    let dims: Vec<String> = tensor.shape.iter().map(usize::to_string).collect();
    let dtype = match tensor.dtype {
        DType::U8 => "uint8",
        DType::I8 => "int8",
        DType::I16 => "int16",
        DType::I32 => "int32",
        DType::I64 => "int64",
        DType::F16 => "half",
        DType::F32 => "float",
        DType::Bool => "bool",
    };
    match dims.is_empty() {
        true => dtype.to_owned(),
        false => format!("{} {dtype}", dims.join("×")),
    }
}

/// Name of a graph input or output, its beginning if it is long.
pub fn terminal(tensor: &Tensor) -> String {
    const LONGEST: usize = 28;
    match tensor.name.chars().count() {
        0..=LONGEST => tensor.name.clone(),
        _ => {
            let start: String = tensor.name.chars().take(LONGEST - 1).collect();
            format!("{start}…")
        }
    }
}

/// Window, stride and activation: `3×3 /2 relu6`.
pub fn detail(graph: &Graph, op: OpId) -> String {
    let window = |tensor: Option<&Tensor>| match tensor.map(|t| &t.shape[..]) {
        Some(&[_, h, w, _]) => format!("{h}×{w}"),
        _ => String::new(),
    };
    let stride = |h: usize, w: usize| match (h, w) {
        (1, 1) => String::new(),
        (h, w) if h == w => format!("/{h}"),
        (h, w) => format!("/{h}×{w}"),
    };
    let parts: Vec<String> = match &graph.node(op).kind {
        OpKind::Conv2d(p) | OpKind::DepthwiseConv2d { params: p, .. } => vec![
            window(graph.input(op, 1)),
            stride(p.stride.h, p.stride.w),
            match (p.dilation.h, p.dilation.w) {
                (1, 1) => String::new(),
                (h, w) => format!("dilated {h}×{w}"),
            },
            padding(p.padding),
            activation(p.activation),
        ],
        OpKind::AveragePool2d(p) | OpKind::MaxPool2d(p) => vec![
            format!("{}×{}", p.window.h, p.window.w),
            stride(p.stride.h, p.stride.w),
            padding(p.padding),
            activation(p.activation),
        ],
        OpKind::TransposeConv {
            stride: s,
            activation: a,
            ..
        } => vec![window(graph.input(op, 1)), stride(s.h, s.w), activation(*a)],
        OpKind::FullyConnected { activation: a, .. }
        | OpKind::Binary { activation: a, .. }
        | OpKind::Concatenation { activation: a, .. } => vec![activation(*a)],
        _ => Vec::new(),
    };
    let parts: Vec<String> = parts.into_iter().filter(|p| !p.is_empty()).collect();
    parts.join(" ")
}

fn padding(padding: Padding) -> String {
    match padding {
        Padding::Same => String::new(),
        Padding::Valid => "valid".to_owned(),
    }
}

fn activation(activation: Activation) -> String {
    let name = match activation {
        Activation::None => "",
        Activation::Relu => "relu",
        Activation::ReluN1To1 => "relu±1",
        Activation::Relu6 => "relu6",
    };
    name.to_owned()
}
