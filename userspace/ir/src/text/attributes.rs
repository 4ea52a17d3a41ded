//! Operator parameters as `key=value`, both ways.

use super::cursor::{Cursor, Expected, ParseError};
use crate::op::{
    Activation, Binary, ConvParams, DetectionParams, Hw, OpKind, Padding, PoolParams, Reduce, Unary,
};
use crate::tensor::DType;

/// A parameter's value, written without spaces.
trait Attribute: Sized {
    fn print(&self) -> String;
    fn parse(text: &str) -> Option<Self>;
}

macro_rules! plain_attribute {
    ($($t:ty),*) => {$(
        impl Attribute for $t {
            fn print(&self) -> String {
                format!("{self:?}")
            }
            fn parse(text: &str) -> Option<Self> {
                text.parse().ok()
            }
        }
    )*};
}
plain_attribute!(bool, i32, u32, usize, f32);

macro_rules! named_attribute {
    ($t:ident { $($variant:ident $name:literal),* $(,)? }) => {
        impl Attribute for $t {
            fn print(&self) -> String {
                match self {
                    $($t::$variant => $name,)*
                }
                .to_owned()
            }
            fn parse(text: &str) -> Option<Self> {
                match text {
                    $($name => Some($t::$variant),)*
                    _ => None,
                }
            }
        }
    };
}
named_attribute!(Padding { Same "SAME", Valid "VALID" });
named_attribute!(Activation {
    None "NONE",
    Relu "RELU",
    ReluN1To1 "RELU_N1_TO_1",
    Relu6 "RELU6",
});

impl Attribute for DType {
    fn print(&self) -> String {
        self.name().to_owned()
    }
    fn parse(text: &str) -> Option<Self> {
        DType::from_name(text)
    }
}

impl Attribute for Hw {
    fn print(&self) -> String {
        format!("{}x{}", self.h, self.w)
    }
    fn parse(text: &str) -> Option<Self> {
        let (h, w) = text.split_once('x')?;
        Some(Hw {
            h: h.parse().ok()?,
            w: w.parse().ok()?,
        })
    }
}

impl Attribute for [f32; 4] {
    fn print(&self) -> String {
        let [a, b, c, d] = self;
        format!("{a:?}/{b:?}/{c:?}/{d:?}")
    }
    fn parse(text: &str) -> Option<Self> {
        let values: Option<Vec<f32>> = text.split('/').map(|v| v.parse().ok()).collect();
        values?.try_into().ok()
    }
}

/// Visits an operator's parameters by name: printing reads them, parsing writes them. One list of
/// names serves both directions.
trait Visitor {
    fn visit<T: Attribute>(&mut self, key: &'static str, value: &mut T);
}

fn visit_conv(p: &mut ConvParams, v: &mut impl Visitor) {
    v.visit("padding", &mut p.padding);
    v.visit("stride", &mut p.stride);
    v.visit("dilation", &mut p.dilation);
    v.visit("activation", &mut p.activation);
}

fn visit_pool(p: &mut PoolParams, v: &mut impl Visitor) {
    v.visit("padding", &mut p.padding);
    v.visit("window", &mut p.window);
    v.visit("stride", &mut p.stride);
    v.visit("activation", &mut p.activation);
}

fn visit_detection(p: &mut DetectionParams, v: &mut impl Visitor) {
    v.visit("max_detections", &mut p.max_detections);
    v.visit(
        "max_classes_per_detection",
        &mut p.max_classes_per_detection,
    );
    v.visit("detections_per_class", &mut p.detections_per_class);
    v.visit("use_regular_nms", &mut p.use_regular_nms);
    v.visit("nms_score_threshold", &mut p.nms_score_threshold);
    v.visit("nms_iou_threshold", &mut p.nms_iou_threshold);
    v.visit("num_classes", &mut p.num_classes);
    v.visit("scales_yxhw", &mut p.scales);
}

fn visit(kind: &mut OpKind, v: &mut impl Visitor) {
    match kind {
        OpKind::Conv2d(p) => visit_conv(p, v),
        OpKind::DepthwiseConv2d { params, multiplier } => {
            visit_conv(params, v);
            v.visit("multiplier", multiplier);
        }
        OpKind::FullyConnected {
            activation,
            keep_num_dims,
        } => {
            v.visit("activation", activation);
            v.visit("keep_num_dims", keep_num_dims);
        }
        OpKind::TransposeConv {
            padding,
            stride,
            activation,
        } => {
            v.visit("padding", padding);
            v.visit("stride", stride);
            v.visit("activation", activation);
        }
        OpKind::Binary { activation, .. } => v.visit("activation", activation),
        OpKind::LeakyRelu { alpha } => v.visit("alpha", alpha),
        OpKind::AveragePool2d(p) | OpKind::MaxPool2d(p) => visit_pool(p, v),
        OpKind::Concatenation { axis, activation } => {
            v.visit("axis", axis);
            v.visit("activation", activation);
        }
        OpKind::MirrorPad { reflect } => v.visit("reflect", reflect),
        OpKind::ResizeBilinear {
            align_corners,
            half_pixel_centers,
        }
        | OpKind::ResizeNearest {
            align_corners,
            half_pixel_centers,
        } => {
            v.visit("align_corners", align_corners);
            v.visit("half_pixel_centers", half_pixel_centers);
        }
        OpKind::Reduce { keep_dims, .. } => v.visit("keep_dims", keep_dims),
        OpKind::Softmax { beta } => v.visit("beta", beta),
        OpKind::StridedSlice {
            begin_mask,
            end_mask,
            ellipsis_mask,
            new_axis_mask,
            shrink_axis_mask,
        } => {
            v.visit("begin_mask", begin_mask);
            v.visit("end_mask", end_mask);
            v.visit("ellipsis_mask", ellipsis_mask);
            v.visit("new_axis_mask", new_axis_mask);
            v.visit("shrink_axis_mask", shrink_axis_mask);
        }
        OpKind::SpaceToDepth { block } | OpKind::DepthToSpace { block } => v.visit("block", block),
        OpKind::Pack { axis } | OpKind::Unpack { axis } | OpKind::Gather { axis } => {
            v.visit("axis", axis);
        }
        OpKind::ArgMax { output } => v.visit("output", output),
        OpKind::DetectionPostProcess(p) => visit_detection(p, v),
        OpKind::Unary(_)
        | OpKind::Prelu
        | OpKind::Pad
        | OpKind::Reshape
        | OpKind::Squeeze
        | OpKind::ExpandDims
        | OpKind::Transpose
        | OpKind::Slice
        | OpKind::Split
        | OpKind::SplitV
        | OpKind::Quantize
        | OpKind::Dequantize
        | OpKind::Cast
        | OpKind::GatherNd
        | OpKind::Unknown { .. } => {}
    }
}

/// An operator's parameters in the order in which they are written.
pub(super) fn attributes(kind: &OpKind) -> Vec<(&'static str, String)> {
    struct Printer(Vec<(&'static str, String)>);
    impl Visitor for Printer {
        fn visit<T: Attribute>(&mut self, key: &'static str, value: &mut T) {
            self.0.push((key, value.print()));
        }
    }
    let mut printer = Printer(Vec::new());
    visit(&mut kind.clone(), &mut printer);
    printer.0
}

/// The operator that is named at `named`, with the parameters that follow at `cursor`: all of them,
/// in any order.
pub(super) fn operator(
    mut named: Cursor<'_>,
    cursor: &mut Cursor<'_>,
) -> Result<OpKind, ParseError> {
    struct Reader<'t> {
        given: Vec<(&'t str, &'t str)>,
        absent: Option<&'static str>,
    }
    impl Visitor for Reader<'_> {
        fn visit<T: Attribute>(&mut self, key: &'static str, value: &mut T) {
            let at = self.given.iter().position(|(k, _)| *k == key);
            match at.and_then(|at| T::parse(self.given.remove(at).1)) {
                Some(parsed) => *value = parsed,
                None => self.absent = self.absent.or(Some(key)),
            }
        }
    }

    let before = named;
    let name = named.word("an operator")?;
    let mut kind = blank(name).ok_or_else(|| before.error(Expected::Something("an operator")))?;
    let start = *cursor;
    let mut given = Vec::new();
    while !cursor.is_end() {
        let key = cursor.word("the name of an attribute")?;
        cursor.expect("=")?;
        given.push((key, cursor.word("the value of an attribute")?));
    }
    let mut reader = Reader {
        given,
        absent: None,
    };
    visit(&mut kind, &mut reader);
    match (reader.absent, reader.given.first()) {
        (Some(key), _) => Err(start.error(Expected::Attribute(key))),
        (None, Some((key, _))) => Err(start.error(Expected::NoAttribute((*key).to_owned()))),
        (None, None) => Ok(kind),
    }
}

/// The operator of this name with parameters still to be filled in.
fn blank(name: &str) -> Option<OpKind> {
    const UNIT: Hw = Hw { h: 1, w: 1 };
    let (padding, activation) = (Padding::Valid, Activation::None);
    let conv = ConvParams {
        padding,
        stride: UNIT,
        dilation: UNIT,
        activation,
    };
    let pool = PoolParams {
        padding,
        stride: UNIT,
        window: UNIT,
        activation,
    };
    if let Some(op) = Unary::from_name(name) {
        return Some(OpKind::Unary(op));
    }
    if let Some(op) = Binary::from_name(name) {
        return Some(OpKind::Binary { op, activation });
    }
    if let Some(op) = Reduce::from_name(name) {
        let keep_dims = false;
        return Some(OpKind::Reduce { op, keep_dims });
    }
    Some(match name {
        "CONV_2D" => OpKind::Conv2d(conv),
        "DEPTHWISE_CONV_2D" => OpKind::DepthwiseConv2d {
            params: conv,
            multiplier: 1,
        },
        "FULLY_CONNECTED" => OpKind::FullyConnected {
            activation,
            keep_num_dims: false,
        },
        "TRANSPOSE_CONV" => OpKind::TransposeConv {
            padding,
            stride: UNIT,
            activation,
        },
        "LEAKY_RELU" => OpKind::LeakyRelu { alpha: 0.0 },
        "PRELU" => OpKind::Prelu,
        "AVERAGE_POOL_2D" => OpKind::AveragePool2d(pool),
        "MAX_POOL_2D" => OpKind::MaxPool2d(pool),
        "CONCATENATION" => OpKind::Concatenation {
            axis: 0,
            activation,
        },
        "PAD" => OpKind::Pad,
        "MIRROR_PAD" => OpKind::MirrorPad { reflect: false },
        "RESIZE_BILINEAR" => OpKind::ResizeBilinear {
            align_corners: false,
            half_pixel_centers: false,
        },
        "RESIZE_NEAREST_NEIGHBOR" => OpKind::ResizeNearest {
            align_corners: false,
            half_pixel_centers: false,
        },
        "SOFTMAX" => OpKind::Softmax { beta: 1.0 },
        "RESHAPE" => OpKind::Reshape,
        "SQUEEZE" => OpKind::Squeeze,
        "EXPAND_DIMS" => OpKind::ExpandDims,
        "TRANSPOSE" => OpKind::Transpose,
        "STRIDED_SLICE" => OpKind::StridedSlice {
            begin_mask: 0,
            end_mask: 0,
            ellipsis_mask: 0,
            new_axis_mask: 0,
            shrink_axis_mask: 0,
        },
        "SLICE" => OpKind::Slice,
        "SPLIT" => OpKind::Split,
        "SPLIT_V" => OpKind::SplitV,
        "SPACE_TO_DEPTH" => OpKind::SpaceToDepth { block: 1 },
        "DEPTH_TO_SPACE" => OpKind::DepthToSpace { block: 1 },
        "PACK" => OpKind::Pack { axis: 0 },
        "UNPACK" => OpKind::Unpack { axis: 0 },
        "ARG_MAX" => OpKind::ArgMax { output: DType::I64 },
        "QUANTIZE" => OpKind::Quantize,
        "DEQUANTIZE" => OpKind::Dequantize,
        "CAST" => OpKind::Cast,
        "GATHER_ND" => OpKind::GatherNd,
        "GATHER" => OpKind::Gather { axis: 0 },
        "TFLite_Detection_PostProcess" => OpKind::DetectionPostProcess(DetectionParams {
            max_detections: 1,
            max_classes_per_detection: 1,
            detections_per_class: 1,
            use_regular_nms: false,
            nms_score_threshold: 0.0,
            nms_iou_threshold: 0.0,
            num_classes: 1,
            scales: [1.0; 4],
        }),
        _ => return None,
    })
}
