//! Operator parameters: from the host's structures to checked ones, as the file reader gives them.

use crate::host::Node;
use crate::import::dtype;
use crate::params as p;
use ferrite_ir::op::{Activation, Binary, ConvParams, Hw, Padding, PoolParams, Reduce, Unary};
use ferrite_ir::{Graph, OpId, OpKind};
use std::ffi::c_int;

/// Strides, dilations and windows beyond this are taken for damage.
const MAX_WINDOW: c_int = 1 << 16;

/// The operator of TFLite's `name` and the host's parameters; `op` is its place in `graph`, where
/// its operands and results are. `Err` says what the graph cannot hold.
pub fn kind(name: &str, node: &Node<'_>, graph: &Graph, op: OpId) -> Result<OpKind, String> {
    if node.custom_name.is_some() {
        return Err("custom operators stay with TFLite".to_owned());
    }
    if let Some(op) = Unary::from_name(name) {
        return Ok(OpKind::Unary(op));
    }
    if let Some(op) = Binary::from_name(name) {
        let activation = match op {
            Binary::Add | Binary::Sub | Binary::Mul | Binary::Div => {
                // SAFETY: the four have structures that begin like this.
                activation(unsafe { params::<p::Arithmetic>(node) }?.activation)?
            }
            _ => Activation::None,
        };
        return Ok(OpKind::Binary { op, activation });
    }
    if let Some(op) = Reduce::from_name(name) {
        // SAFETY: all reductions have this structure.
        let keep_dims = unsafe { params::<p::Reducer>(node) }?.keep_dims;
        return Ok(OpKind::Reduce { op, keep_dims });
    }
    // SAFETY (of all below): each name is read with the structure that the host's parser makes for
    // it, or the beginning of it.
    Ok(match name {
        "CONV_2D" => {
            // SAFETY: see above.
            let o = unsafe { params::<p::Conv>(node) }?;
            OpKind::Conv2d(ConvParams {
                padding: padding(o.padding)?,
                stride: hw(o.stride_height, o.stride_width)?,
                dilation: hw(o.dilation_height_factor, o.dilation_width_factor)?,
                activation: activation(o.activation)?,
            })
        }
        "DEPTHWISE_CONV_2D" => {
            // SAFETY: see above.
            let o = unsafe { params::<p::DepthwiseConv>(node) }?;
            OpKind::DepthwiseConv2d {
                params: ConvParams {
                    padding: padding(o.padding)?,
                    stride: hw(o.stride_height, o.stride_width)?,
                    dilation: hw(o.dilation_height_factor, o.dilation_width_factor)?,
                    activation: activation(o.activation)?,
                },
                multiplier: multiplier(graph, op)?,
            }
        }
        "FULLY_CONNECTED" => {
            // SAFETY: see above.
            let o = unsafe { params::<p::FullyConnected>(node) }?;
            expect("weights format", o.weights_format, 0)?;
            OpKind::FullyConnected {
                activation: activation(o.activation)?,
                keep_num_dims: o.keep_num_dims,
            }
        }
        "TRANSPOSE_CONV" if node.version >= p::TRANSPOSE_CONV_ACTIVATION_VERSION => {
            // SAFETY: see above; this version has the activation.
            let o = unsafe { params::<p::TransposeConv>(node) }?;
            transpose_conv(&o, activation(o.activation)?)?
        }
        "TRANSPOSE_CONV" => {
            // SAFETY: the structure began with these three members before it had more.
            let [padding, stride_width, stride_height] = unsafe { params::<[c_int; 3]>(node) }?;
            let o = p::TransposeConv {
                padding,
                stride_width,
                stride_height,
                activation: 0,
            };
            transpose_conv(&o, Activation::None)?
        }
        "LEAKY_RELU" => {
            // SAFETY: see above.
            let o = unsafe { params::<p::LeakyRelu>(node) }?;
            OpKind::LeakyRelu {
                alpha: finite("alpha", o.alpha)?,
            }
        }
        "AVERAGE_POOL_2D" => OpKind::AveragePool2d(pool(node)?),
        "MAX_POOL_2D" => OpKind::MaxPool2d(pool(node)?),
        "CONCATENATION" => {
            // SAFETY: see above.
            let o = unsafe { params::<p::Concatenation>(node) }?;
            OpKind::Concatenation {
                axis: o.axis,
                activation: activation(o.activation)?,
            }
        }
        "PRELU" => OpKind::Prelu,
        "PAD" | "PADV2" => OpKind::Pad,
        "MIRROR_PAD" => {
            // SAFETY: see above.
            match unsafe { params::<p::MirrorPad>(node) }?.mode {
                1 => OpKind::MirrorPad { reflect: true },
                2 => OpKind::MirrorPad { reflect: false },
                mode => return Err(format!("padding mode {mode}")),
            }
        }
        "RESIZE_BILINEAR" | "RESIZE_NEAREST_NEIGHBOR" => {
            // SAFETY: see above; both structures are alike.
            let resize: p::Resize = unsafe { params(node) }?;
            let (align_corners, half_pixel_centers) =
                (resize.align_corners, resize.half_pixel_centers);
            match name {
                "RESIZE_BILINEAR" => OpKind::ResizeBilinear {
                    align_corners,
                    half_pixel_centers,
                },
                _ => OpKind::ResizeNearest {
                    align_corners,
                    half_pixel_centers,
                },
            }
        }
        "SOFTMAX" => {
            // SAFETY: see above.
            let o = unsafe { params::<p::Softmax>(node) }?;
            OpKind::Softmax {
                beta: finite("beta", o.beta)?,
            }
        }
        "RESHAPE" => OpKind::Reshape,
        "SQUEEZE" => OpKind::Squeeze,
        "EXPAND_DIMS" => OpKind::ExpandDims,
        "TRANSPOSE" => OpKind::Transpose,
        "STRIDED_SLICE" => {
            if node.version >= p::STRIDED_SLICE_OFFSET_VERSION {
                return Err(format!("version {} may count from begin", node.version));
            }
            // SAFETY: see above.
            let o = unsafe { params::<p::StridedSlice>(node) }?;
            OpKind::StridedSlice {
                begin_mask: o.begin_mask as u32,
                end_mask: o.end_mask as u32,
                ellipsis_mask: o.ellipsis_mask as u32,
                new_axis_mask: o.new_axis_mask as u32,
                shrink_axis_mask: o.shrink_axis_mask as u32,
            }
        }
        "SLICE" => OpKind::Slice,
        "SPLIT" | "SPLIT_V" => {
            // SAFETY: see above; both structures are alike.
            let splits = unsafe { params::<p::Split>(node) }?.num_splits;
            expect("splits", splits, node.outputs.len())?;
            match name {
                "SPLIT" => OpKind::Split,
                _ => OpKind::SplitV,
            }
        }
        "SPACE_TO_DEPTH" | "DEPTH_TO_SPACE" => {
            // SAFETY: see above; both structures are alike.
            let block = window(unsafe { params::<p::Block>(node) }?.block_size)?;
            match name {
                "SPACE_TO_DEPTH" => OpKind::SpaceToDepth { block },
                _ => OpKind::DepthToSpace { block },
            }
        }
        "PACK" => {
            // SAFETY: see above.
            let o = unsafe { params::<p::Pack>(node) }?;
            expect("values", o.values_count, node.inputs.len())?;
            OpKind::Pack { axis: o.axis }
        }
        "UNPACK" => {
            // SAFETY: see above.
            let o = unsafe { params::<p::Unpack>(node) }?;
            expect("values", o.num, node.outputs.len())?;
            OpKind::Unpack { axis: o.axis }
        }
        "ARG_MAX" => {
            // SAFETY: see above.
            let code = unsafe { params::<p::ArgMax>(node) }?.output_type;
            let output = dtype(code).ok_or_else(|| format!("output type {code}"))?;
            OpKind::ArgMax { output }
        }
        "QUANTIZE" => OpKind::Quantize,
        "DEQUANTIZE" => OpKind::Dequantize,
        "CAST" => OpKind::Cast,
        "GATHER_ND" => OpKind::GatherNd,
        "GATHER" => {
            // SAFETY: see above.
            let o = unsafe { params::<p::Gather>(node) }?;
            expect("batch dimensions", o.batch_dims, 0)?;
            OpKind::Gather { axis: o.axis }
        }
        _ => return Err("not an operator that Ferrite knows".to_owned()),
    })
}

/// The node's parameters.
///
/// # Safety
/// As [`Node::params`]; the node has just been read.
unsafe fn params<P: Copy>(node: &Node<'_>) -> Result<P, String> {
    // SAFETY: by the caller's promise.
    unsafe { node.params() }.ok_or_else(|| "the host gives no parameters".to_owned())
}

fn transpose_conv(o: &p::TransposeConv, activation: Activation) -> Result<OpKind, String> {
    Ok(OpKind::TransposeConv {
        padding: padding(o.padding)?,
        stride: hw(o.stride_height, o.stride_width)?,
        activation,
    })
}

fn pool(node: &Node<'_>) -> Result<PoolParams, String> {
    // SAFETY: all poolings have this structure.
    let o = unsafe { params::<p::Pool>(node) }?;
    Ok(PoolParams {
        padding: padding(o.padding)?,
        stride: hw(o.stride_height, o.stride_width)?,
        window: hw(o.filter_height, o.filter_width)?,
        activation: activation(o.activation)?,
    })
}

/// Output channels for each input channel, from the shapes, as TFLite does.
fn multiplier(graph: &Graph, op: OpId) -> Result<usize, String> {
    let last = |index| graph.input(op, index)?.shape.last().copied();
    match (last(0), last(1)) {
        (Some(input), Some(filter)) if input > 0 && filter > 0 && filter % input == 0 => {
            Ok(filter / input)
        }
        (input, filter) => Err(format!("{filter:?} filters for {input:?} channels")),
    }
}

fn padding(value: c_int) -> Result<Padding, String> {
    match value {
        1 => Ok(Padding::Same),
        2 => Ok(Padding::Valid),
        _ => Err(format!("padding {value}")),
    }
}

fn activation(value: c_int) -> Result<Activation, String> {
    match value {
        0 => Ok(Activation::None),
        1 => Ok(Activation::Relu),
        2 => Ok(Activation::ReluN1To1),
        3 => Ok(Activation::Relu6),
        _ => Err(format!("fused activation {value}")),
    }
}

fn window(value: c_int) -> Result<usize, String> {
    match value {
        1..=MAX_WINDOW => Ok(value as usize),
        _ => Err(format!("a window, stride or block of {value}")),
    }
}

fn hw(h: c_int, w: c_int) -> Result<Hw, String> {
    Ok(Hw {
        h: window(h)?,
        w: window(w)?,
    })
}

fn finite(what: &str, value: f32) -> Result<f32, String> {
    match value.is_finite() {
        true => Ok(value),
        false => Err(format!("{what} {value}")),
    }
}

fn expect(what: &str, found: c_int, expected: usize) -> Result<(), String> {
    match usize::try_from(found) == Ok(expected) {
        true => Ok(()),
        false => Err(format!("{found} {what} instead of {expected}")),
    }
}
