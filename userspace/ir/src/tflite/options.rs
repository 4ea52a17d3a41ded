//! Operator options: from the file's tables to checked parameters.

use super::{OpFault, schema, tensors};
use crate::flatbuffer::{Field, Scalar, Table};
use crate::flexbuffer::{Map, Value};
use crate::graph::{Graph, Node, TensorId};
use crate::op::{
    Activation, Binary, ConvParams, DetectionParams, Hw, OpKind, Padding, PoolParams, Reduce, Unary,
};

use schema::options as tag;

/// Strides, dilations and windows beyond this are taken for damage: no feature map is that large.
const MAX_WINDOW: i32 = 1 << 16;

/// Largest number of boxes that a detection operator may give out.
const MAX_BOXES: usize = 1 << 20;

/// The operator of TFLite's `name`, with its parameters checked.
pub(super) fn kind(
    name: &str,
    table: &Table<'_>,
    node: &Node,
    graph: &Graph,
) -> Result<OpKind, OpFault> {
    let options = Options { table };
    if let Some(op) = Unary::from_name(name) {
        return Ok(OpKind::Unary(op));
    }
    if let Some(op) = Binary::from_name(name) {
        let activation = options.binary_activation(op)?;
        return Ok(OpKind::Binary { op, activation });
    }
    if let Some(op) = Reduce::from_name(name) {
        let keep_dims = match options.optional(tag::REDUCER, "ReducerOptions")? {
            Some(o) => o.flag(schema::reducer::KEEP_DIMS)?,
            None => false,
        };
        return Ok(OpKind::Reduce { op, keep_dims });
    }
    Ok(match name {
        "CONV_2D" => OpKind::Conv2d(conv(&options.required(tag::CONV, "Conv2DOptions")?)?),
        "DEPTHWISE_CONV_2D" => {
            let o = options.required(tag::DEPTHWISE_CONV, "DepthwiseConv2DOptions")?;
            OpKind::DepthwiseConv2d {
                params: depthwise(&o)?,
                multiplier: multiplier(&o, node, graph)?,
            }
        }
        "FULLY_CONNECTED" => {
            let o = options.required(tag::FULLY_CONNECTED, "FullyConnectedOptions")?;
            expect_zero::<i8>(&o, schema::fully_connected::WEIGHTS_FORMAT)?;
            OpKind::FullyConnected {
                activation: activation(&o, schema::fully_connected::ACTIVATION)?,
                keep_num_dims: o.flag(schema::fully_connected::KEEP_NUM_DIMS)?,
            }
        }
        "TRANSPOSE_CONV" => {
            use schema::transpose_conv::{ACTIVATION, PADDING, STRIDE_H, STRIDE_W};
            let o = options.required(tag::TRANSPOSE_CONV, "TransposeConvOptions")?;
            OpKind::TransposeConv {
                padding: padding(&o, PADDING)?,
                stride: hw(&o, STRIDE_H, STRIDE_W, 0)?,
                activation: activation(&o, ACTIVATION)?,
            }
        }
        "LEAKY_RELU" => {
            let o = options.required(tag::LEAKY_RELU, "LeakyReluOptions")?;
            let alpha = finite(&o, schema::leaky_relu::ALPHA)?;
            OpKind::LeakyRelu { alpha }
        }
        "AVERAGE_POOL_2D" => OpKind::AveragePool2d(pool(&options)?),
        "MAX_POOL_2D" => OpKind::MaxPool2d(pool(&options)?),
        "CONCATENATION" => {
            let o = options.required(tag::CONCATENATION, "ConcatenationOptions")?;
            OpKind::Concatenation {
                axis: o.get(schema::concatenation::AXIS, 0)?,
                activation: activation(&o, schema::concatenation::ACTIVATION)?,
            }
        }
        "PRELU" => OpKind::Prelu,
        "PAD" | "PADV2" => OpKind::Pad,
        "MIRROR_PAD" => {
            let o = options.required(tag::MIRROR_PAD, "MirrorPadOptions")?;
            match o.get(schema::mirror_pad::MODE, 0i8)? {
                0 => OpKind::MirrorPad { reflect: true },
                1 => OpKind::MirrorPad { reflect: false },
                mode => return Err(invalid(schema::mirror_pad::MODE, mode)),
            }
        }
        "RESIZE_BILINEAR" => {
            use schema::resize_bilinear::{ALIGN_CORNERS, HALF_PIXEL_CENTERS};
            let o = options.required(tag::RESIZE_BILINEAR, "ResizeBilinearOptions")?;
            OpKind::ResizeBilinear {
                align_corners: o.flag(ALIGN_CORNERS)?,
                half_pixel_centers: o.flag(HALF_PIXEL_CENTERS)?,
            }
        }
        "RESIZE_NEAREST_NEIGHBOR" => {
            use schema::resize_nearest::{ALIGN_CORNERS, HALF_PIXEL_CENTERS};
            let o = options.required(tag::RESIZE_NEAREST, "ResizeNearestNeighborOptions")?;
            OpKind::ResizeNearest {
                align_corners: o.flag(ALIGN_CORNERS)?,
                half_pixel_centers: o.flag(HALF_PIXEL_CENTERS)?,
            }
        }
        "SOFTMAX" => {
            let o = options.required(tag::SOFTMAX, "SoftmaxOptions")?;
            let beta = finite(&o, schema::softmax::BETA)?;
            OpKind::Softmax { beta }
        }
        "RESHAPE" => OpKind::Reshape,
        "SQUEEZE" => OpKind::Squeeze,
        "EXPAND_DIMS" => OpKind::ExpandDims,
        "TRANSPOSE" => OpKind::Transpose,
        "STRIDED_SLICE" => strided_slice(&options)?,
        "SLICE" => OpKind::Slice,
        "SPLIT" => {
            let o = options.required(tag::SPLIT, "SplitOptions")?;
            expect_count(&o, schema::split::NUM_SPLITS, node.outputs.len())?;
            OpKind::Split
        }
        "SPLIT_V" => {
            let o = options.required(tag::SPLIT_V, "SplitVOptions")?;
            expect_count(&o, schema::split::NUM_SPLITS, node.outputs.len())?;
            OpKind::SplitV
        }
        "SPACE_TO_DEPTH" => {
            let o = options.required(tag::SPACE_TO_DEPTH, "SpaceToDepthOptions")?;
            let block = window(&o, schema::block::BLOCK_SIZE, 0)?;
            OpKind::SpaceToDepth { block }
        }
        "DEPTH_TO_SPACE" => {
            let o = options.required(tag::DEPTH_TO_SPACE, "DepthToSpaceOptions")?;
            let block = window(&o, schema::block::BLOCK_SIZE, 0)?;
            OpKind::DepthToSpace { block }
        }
        "PACK" => {
            let o = options.required(tag::PACK, "PackOptions")?;
            expect_count(&o, schema::pack::VALUES_COUNT, node.inputs.len())?;
            let axis = o.get(schema::pack::AXIS, 0)?;
            OpKind::Pack { axis }
        }
        "UNPACK" => {
            let o = options.required(tag::UNPACK, "UnpackOptions")?;
            expect_count(&o, schema::unpack::NUM, node.outputs.len())?;
            let axis = o.get(schema::unpack::AXIS, 0)?;
            OpKind::Unpack { axis }
        }
        "ARG_MAX" => {
            let o = options.required(tag::ARG_MAX, "ArgMaxOptions")?;
            let code = o.get(schema::arg_max::OUTPUT_TYPE, 0i8)?;
            let output = tensors::dtype(code).ok_or(invalid(schema::arg_max::OUTPUT_TYPE, code))?;
            OpKind::ArgMax { output }
        }
        "QUANTIZE" => OpKind::Quantize,
        "DEQUANTIZE" => OpKind::Dequantize,
        "CAST" => OpKind::Cast,
        "GATHER_ND" => OpKind::GatherNd,
        "GATHER" => match options.optional(tag::GATHER, "GatherOptions")? {
            Some(o) => {
                expect_zero::<i32>(&o, schema::gather::BATCH_DIMS)?;
                let axis = o.get(schema::gather::AXIS, 0)?;
                OpKind::Gather { axis }
            }
            None => OpKind::Gather { axis: 0 },
        },
        "TFLite_Detection_PostProcess" => OpKind::DetectionPostProcess(detection(table)?),
        other => OpKind::Unknown {
            name: other.to_owned(),
        },
    })
}

/// The options union of an operator.
struct Options<'a, 't> {
    table: &'t Table<'a>,
}

impl<'a> Options<'a, '_> {
    /// The options table, which has to be of this type if there is one.
    fn optional(&self, expected: u8, name: &'static str) -> Result<Option<Table<'a>>, OpFault> {
        let found = self
            .table
            .get(schema::operator::BUILTIN_OPTIONS_TYPE, tag::NONE)?;
        if found == tag::NONE {
            return Ok(None);
        }
        if found != expected {
            return Err(OpFault::OptionsType { found, expected });
        }
        Ok(self.table.table(schema::operator::BUILTIN_OPTIONS, name)?)
    }

    fn required(&self, expected: u8, name: &'static str) -> Result<Table<'a>, OpFault> {
        self.optional(expected, name)?.ok_or(OpFault::NoOptions)
    }

    fn binary_activation(&self, op: Binary) -> Result<Activation, OpFault> {
        let (expected, name) = match op {
            Binary::Add => (tag::ADD, "AddOptions"),
            Binary::Sub => (tag::SUB, "SubOptions"),
            Binary::Mul => (tag::MUL, "MulOptions"),
            Binary::Div => (tag::DIV, "DivOptions"),
            _ => return Ok(Activation::None),
        };
        match self.optional(expected, name)? {
            Some(o) => activation(&o, schema::arithmetic::ACTIVATION),
            None => Ok(Activation::None),
        }
    }
}

fn invalid(field: Field, value: impl Into<i64>) -> OpFault {
    OpFault::Option {
        field: field.name,
        value: value.into(),
    }
}

fn expect_zero<T: Scalar + Into<i64> + Default>(
    options: &Table<'_>,
    field: Field,
) -> Result<(), OpFault> {
    match options.get(field, T::default())?.into() {
        0 => Ok(()),
        value => Err(OpFault::UnsupportedOption {
            field: field.name,
            value,
        }),
    }
}

/// A count that repeats the number of operands or results.
fn expect_count(options: &Table<'_>, field: Field, count: usize) -> Result<(), OpFault> {
    let stored = options.get(field, 0i32)?;
    if usize::try_from(stored) == Ok(count) {
        Ok(())
    } else {
        Err(invalid(field, stored))
    }
}

fn finite(options: &Table<'_>, field: Field) -> Result<f32, OpFault> {
    let value = options.get(field, 0f32)?;
    if value.is_finite() {
        Ok(value)
    } else {
        Err(OpFault::FloatOption {
            field: field.name,
            value,
        })
    }
}

fn padding(options: &Table<'_>, field: Field) -> Result<Padding, OpFault> {
    match options.get(field, 0i8)? {
        0 => Ok(Padding::Same),
        1 => Ok(Padding::Valid),
        value => Err(invalid(field, value)),
    }
}

fn activation(options: &Table<'_>, field: Field) -> Result<Activation, OpFault> {
    match options.get(field, 0i8)? {
        0 => Ok(Activation::None),
        1 => Ok(Activation::Relu),
        2 => Ok(Activation::ReluN1To1),
        3 => Ok(Activation::Relu6),
        // TANH and SIGN_BIT: in the schema, but no kernel fuses them.
        value @ (4 | 5) => Err(OpFault::UnsupportedOption {
            field: field.name,
            value: value.into(),
        }),
        value => Err(invalid(field, value)),
    }
}

/// A stride, dilation, window or block size.
fn window(options: &Table<'_>, field: Field, default: i32) -> Result<usize, OpFault> {
    match options.get(field, default)? {
        value @ 1..=MAX_WINDOW => Ok(value as usize),
        value => Err(invalid(field, value)),
    }
}

fn hw(options: &Table<'_>, h: Field, w: Field, default: i32) -> Result<Hw, OpFault> {
    Ok(Hw {
        h: window(options, h, default)?,
        w: window(options, w, default)?,
    })
}

fn conv(o: &Table<'_>) -> Result<ConvParams, OpFault> {
    use schema::conv::{ACTIVATION, DILATION_H, DILATION_W, PADDING, STRIDE_H, STRIDE_W};
    Ok(ConvParams {
        padding: padding(o, PADDING)?,
        stride: hw(o, STRIDE_H, STRIDE_W, 0)?,
        dilation: hw(o, DILATION_H, DILATION_W, 1)?,
        activation: activation(o, ACTIVATION)?,
    })
}

fn depthwise(o: &Table<'_>) -> Result<ConvParams, OpFault> {
    use schema::depthwise_conv::{ACTIVATION, DILATION_H, DILATION_W, PADDING, STRIDE_H, STRIDE_W};
    Ok(ConvParams {
        padding: padding(o, PADDING)?,
        stride: hw(o, STRIDE_H, STRIDE_W, 0)?,
        dilation: hw(o, DILATION_H, DILATION_W, 1)?,
        activation: activation(o, ACTIVATION)?,
    })
}

/// Output channels for each input channel. TFLite derives them from the shapes; the stored number
/// is redundant, and some writers leave it out.
fn multiplier(options: &Table<'_>, node: &Node, graph: &Graph) -> Result<usize, OpFault> {
    const FIELD: Field = schema::depthwise_conv::DEPTH_MULTIPLIER;
    let stored = options.get(FIELD, 0i32)?;
    let last = |index: usize| -> Option<usize> {
        let id = (*node.inputs.get(index)?)?;
        graph.tensor(id).shape.last().copied()
    };
    match (last(0), last(1)) {
        (Some(input), Some(filter)) if input > 0 && filter > 0 && filter % input == 0 => {
            Ok(filter / input)
        }
        _ => Err(invalid(FIELD, stored)),
    }
}

fn pool(options: &Options<'_, '_>) -> Result<PoolParams, OpFault> {
    use schema::pool::{ACTIVATION, FILTER_HEIGHT, FILTER_WIDTH, PADDING, STRIDE_H, STRIDE_W};
    let o = options.required(tag::POOL, "Pool2DOptions")?;
    Ok(PoolParams {
        padding: padding(&o, PADDING)?,
        stride: hw(&o, STRIDE_H, STRIDE_W, 0)?,
        window: hw(&o, FILTER_HEIGHT, FILTER_WIDTH, 0)?,
        activation: activation(&o, ACTIVATION)?,
    })
}

fn strided_slice(options: &Options<'_, '_>) -> Result<OpKind, OpFault> {
    use schema::strided_slice::{
        BEGIN_MASK, ELLIPSIS_MASK, END_MASK, NEW_AXIS_MASK, OFFSET, SHRINK_AXIS_MASK,
    };
    let o = options.required(tag::STRIDED_SLICE, "StridedSliceOptions")?;
    expect_zero::<u8>(&o, OFFSET)?;
    Ok(OpKind::StridedSlice {
        begin_mask: o.get(BEGIN_MASK, 0u32)?,
        end_mask: o.get(END_MASK, 0u32)?,
        ellipsis_mask: o.get(ELLIPSIS_MASK, 0u32)?,
        new_axis_mask: o.get(NEW_AXIS_MASK, 0u32)?,
        shrink_axis_mask: o.get(SHRINK_AXIS_MASK, 0u32)?,
    })
}

/// Options of TFLite_Detection_PostProcess, a FlexBuffer map. The defaults are TFLite's.
fn detection(operator: &Table<'_>) -> Result<DetectionParams, OpFault> {
    if operator.get(schema::operator::LARGE_CUSTOM_OPTIONS_OFFSET, 0u64)? > 1 {
        return Err(OpFault::UnsupportedOption {
            field: schema::operator::LARGE_CUSTOM_OPTIONS_OFFSET.name,
            value: 1,
        });
    }
    let map = Map::root(operator.bytes(schema::operator::CUSTOM_OPTIONS)?)?;
    let required = |key: &'static str| -> Result<Value, OpFault> {
        map.get(key)?.ok_or(OpFault::CustomOptionAbsent { key })
    };
    let count = |key: &'static str, value: Value| match value.as_i64() {
        v @ 1..=0xffff => Ok(v as usize),
        value => Err(OpFault::Option { field: key, value }),
    };
    let float = |key: &'static str| -> Result<f32, OpFault> {
        match required(key)?.as_f32() {
            value if value.is_finite() => Ok(value),
            value => Err(OpFault::FloatOption { field: key, value }),
        }
    };
    let required_count = |key| count(key, required(key)?);
    let max_detections = required_count("max_detections")?;
    let max_classes_per_detection = required_count("max_classes_per_detection")?;
    // The number of boxes that come out; their tensors must stay of a sane size.
    let boxes = max_detections * max_classes_per_detection;
    if boxes > MAX_BOXES {
        return Err(OpFault::Option {
            field: "max_detections * max_classes_per_detection",
            value: boxes as i64,
        });
    }
    Ok(DetectionParams {
        max_detections,
        max_classes_per_detection,
        detections_per_class: match map.get("detections_per_class")? {
            Some(value) => count("detections_per_class", value)?,
            None => 100,
        },
        use_regular_nms: map.get("use_regular_nms")?.is_some_and(Value::as_bool),
        nms_score_threshold: float("nms_score_threshold")?,
        nms_iou_threshold: float("nms_iou_threshold")?,
        num_classes: required_count("num_classes")?,
        scales: [
            float("y_scale")?,
            float("x_scale")?,
            float("h_scale")?,
            float("w_scale")?,
        ],
    })
}

/// Fills in the output shapes of a detection operator, which its writers leave empty: boxes
/// `[1, n, 4]`, classes and scores `[1, n]`, number of detections `[1]`.
pub(super) fn shape_detections(params: &DetectionParams, outputs: &[TensorId], graph: &mut Graph) {
    let n = params.max_detections * params.max_classes_per_detection;
    let shapes: [&[usize]; 4] = [&[1, n, 4], &[1, n], &[1, n], &[1]];
    for (id, shape) in outputs.iter().zip(shapes) {
        let tensor = &mut graph.tensors[*id];
        if tensor.shape.is_empty() {
            tensor.shape = shape.into();
        }
    }
}
