//! Output shapes, from operand shapes and parameters. What depends on values that are known only
//! at run time is left to the kernels.

use super::VerifyFault::{self, OutputShape, Rank, Window};
use super::rearrange;
use super::view::View;
use crate::graph::{Graph, OpId};
use crate::op::{ConvParams, DetectionParams, Hw, OpKind, PoolParams};
use crate::window::SpatialWindows;

/// Checks the shapes of one node.
pub(super) fn check(graph: &Graph, op: OpId) -> Result<(), VerifyFault> {
    let view = View { graph, op };
    if let Some(expected) = windowed(view)? {
        return same(view, 0, &expected);
    }
    let Some(expected) = infer(view)? else {
        return Ok(());
    };
    (0..graph.node(op).outputs.len()).try_for_each(|output| {
        // All outputs are alike where one shape is given.
        let expected = expected.get(output).or(expected.last());
        expected.map_or(Ok(()), |expected| same(view, output, expected))
    })
}

/// An output has the shape that it should.
fn same(v: View<'_>, output: usize, expected: &[usize]) -> Result<(), VerifyFault> {
    match v.graph.output(v.op, output) {
        Some(tensor) if tensor.shape[..] != *expected => Err(OutputShape {
            output,
            found: tensor.shape.to_vec(),
            expected: expected.to_vec(),
        }),
        _ => Ok(()),
    }
}

/// The shape of the output of windows over a map, `None` for other operators.
fn windowed(v: View<'_>) -> Result<Option<[usize; 4]>, VerifyFault> {
    Ok(Some(match &v.graph.node(v.op).kind {
        OpKind::Conv2d(params) => conv(v, params)?,
        OpKind::DepthwiseConv2d { params, multiplier } => depthwise(v, params, *multiplier)?,
        OpKind::AveragePool2d(params) | OpKind::MaxPool2d(params) => pool(v, params)?,
        _ => return Ok(None),
    }))
}

/// Shapes of the outputs of other operators, `None` if they are not known before run time.
fn infer(v: View<'_>) -> Result<Option<Vec<Vec<usize>>>, VerifyFault> {
    let one = |shape: Vec<usize>| Ok(Some(vec![shape]));
    match &v.graph.node(v.op).kind {
        OpKind::FullyConnected { keep_num_dims, .. } => one(fully_connected(v, *keep_num_dims)?),
        OpKind::TransposeConv { .. } => transpose_conv(v),
        OpKind::Binary { .. } => one(broadcast(v, v.shape(0), 1)?),
        OpKind::Prelu => {
            let shape = broadcast(v, v.shape(0), 1)?;
            match shape == v.shape(0) {
                true => one(shape),
                false => Err(v.mismatch(1, v.shape(0))),
            }
        }
        OpKind::Unary(_)
        | OpKind::LeakyRelu { .. }
        | OpKind::Quantize
        | OpKind::Dequantize
        | OpKind::Cast => one(v.shape(0).to_vec()),
        OpKind::Softmax { .. } => match v.shape(0) {
            [] => Err(Rank {
                operand: 0,
                shape: Vec::new(),
                expected: 1,
            }),
            shape => one(shape.to_vec()),
        },
        OpKind::ResizeBilinear { .. } | OpKind::ResizeNearest { .. } => resize(v),
        OpKind::DetectionPostProcess(params) => detection(v, params),
        OpKind::Unknown { .. } => Ok(None),
        _ => rearrange::infer(v),
    }
}

/// The output of windows over an NHWC input.
fn spatial(
    windows: Option<SpatialWindows>,
    [n, h, w, _]: [usize; 4],
    channels: usize,
    window: Hw,
    dilation: Hw,
) -> Result<[usize; 4], VerifyFault> {
    match windows {
        Some(windows) => Ok([n, windows.h.output, windows.w.output, channels]),
        None if crate::window::extent(window.h, dilation.h) > h => Err(Window {
            window: window.h,
            dilation: dilation.h,
            input: h,
        }),
        None => Err(Window {
            window: window.w,
            dilation: dilation.w,
            input: w,
        }),
    }
}

fn conv(v: View<'_>, params: &ConvParams) -> Result<[usize; 4], VerifyFault> {
    let input @ [_, h, w, c] = v.ranked(0)?;
    let [oc, kh, kw, ic] = v.ranked(1)?;
    // Fewer filter channels than input channels make a grouped convolution.
    if ic == 0 || oc == 0 || c % ic != 0 || oc % (c / ic) != 0 {
        return Err(v.mismatch(1, &input));
    }
    v.bias(2, oc)?;
    let kernel = Hw { h: kh, w: kw };
    let windows = params.windows(Hw { h, w }, kernel);
    spatial(windows, input, oc, kernel, params.dilation)
}

fn depthwise(
    v: View<'_>,
    params: &ConvParams,
    multiplier: usize,
) -> Result<[usize; 4], VerifyFault> {
    let input @ [_, h, w, c] = v.ranked(0)?;
    let [one, kh, kw, oc] = v.ranked(1)?;
    if one != 1 || oc == 0 || c.checked_mul(multiplier) != Some(oc) {
        return Err(v.mismatch(1, &input));
    }
    v.bias(2, oc)?;
    let kernel = Hw { h: kh, w: kw };
    let windows = params.windows(Hw { h, w }, kernel);
    spatial(windows, input, oc, kernel, params.dilation)
}

fn pool(v: View<'_>, params: &PoolParams) -> Result<[usize; 4], VerifyFault> {
    let input @ [_, h, w, c] = v.ranked(0)?;
    let windows = params.windows(Hw { h, w });
    spatial(windows, input, c, params.window, Hw { h: 1, w: 1 })
}

fn fully_connected(v: View<'_>, keep_num_dims: bool) -> Result<Vec<usize>, VerifyFault> {
    let input = v.shape(0);
    let [out, depth] = v.ranked(1)?;
    let elements: usize = input.iter().product();
    if depth == 0 || out == 0 || !elements.is_multiple_of(depth) {
        return Err(v.mismatch(1, input));
    }
    v.bias(2, out)?;
    if keep_num_dims {
        return match input.split_last() {
            Some((&last, outer)) if last == depth => Ok([outer, &[out]].concat()),
            _ => Err(v.mismatch(1, input)),
        };
    }
    // Older writers keep more dimensions of size 1 in the output than the kernel makes.
    let flat = vec![elements / depth, out];
    let found = v.out_shape();
    let product = found.iter().product::<usize>();
    match found.last() == Some(&out) && product == flat[0] * out {
        true => Ok(found.to_vec()),
        false => Ok(flat),
    }
}

fn transpose_conv(v: View<'_>) -> Result<Option<Vec<Vec<usize>>>, VerifyFault> {
    let [oc, kh, kw, ic] = v.ranked(1)?;
    let [n, h, w, c] = v.ranked(2)?;
    if oc == 0 || kh == 0 || kw == 0 || ic != c {
        return Err(v.mismatch(1, &[n, h, w, c]));
    }
    v.bias(3, oc)?;
    let Some(value) = v.values(0) else {
        return Ok(None);
    };
    let shape = rearrange::sizes(&value).filter(|s| s.len() == 4 && s[0] == n && s[3] == oc);
    let shape = shape.ok_or_else(|| v.bad_value(0, value))?;
    let OpKind::TransposeConv {
        padding, stride, ..
    } = v.graph.node(v.op).kind
    else {
        return Ok(None);
    };
    let (out, kernel) = (
        Hw {
            h: shape[1],
            w: shape[2],
        },
        Hw { h: kh, w: kw },
    );
    // The windows over the output are the elements of the input.
    match crate::window::transposed_windows(out, kernel, stride, padding) {
        Some(windows) if windows.output() == (Hw { h, w }) => Ok(Some(vec![shape])),
        _ => Err(v.mismatch(2, &shape)),
    }
}

/// The shape of a result of `left` and an operand, by NumPy's rules.
fn broadcast(v: View<'_>, left: &[usize], operand: usize) -> Result<Vec<usize>, VerifyFault> {
    let right = v.shape(operand);
    let rank = left.len().max(right.len());
    let dim = |shape: &[usize], axis: usize| match (axis + shape.len()).checked_sub(rank) {
        Some(axis) => shape[axis],
        None => 1,
    };
    let merge = |axis| match (dim(left, axis), dim(right, axis)) {
        (a, b) if a == b || b == 1 => Ok(a),
        (1, b) => Ok(b),
        _ => Err(v.mismatch(operand, left)),
    };
    (0..rank).map(merge).collect()
}

fn resize(v: View<'_>) -> Result<Option<Vec<Vec<usize>>>, VerifyFault> {
    let [n, _, _, c] = v.ranked(0)?;
    let Some(value) = v.values(1) else {
        return Ok(None);
    };
    match rearrange::sizes(&value).as_deref() {
        Some(&[h, w]) if h > 0 && w > 0 => Ok(Some(vec![vec![n, h, w, c]])),
        _ => Err(v.bad_value(1, value)),
    }
}

fn detection(
    v: View<'_>,
    params: &DetectionParams,
) -> Result<Option<Vec<Vec<usize>>>, VerifyFault> {
    let [n, boxes, coordinates] = v.ranked(0)?;
    let [m, scored, classes] = v.ranked(1)?;
    let [anchors, four] = v.ranked(2)?;
    if n != 1 || coordinates < 4 {
        return Err(v.mismatch(0, &[1, boxes, 4]));
    }
    // There may be one more class in front, the background.
    let fits = classes >= params.num_classes && classes - params.num_classes <= 1;
    if m != 1 || scored != boxes || !fits {
        return Err(v.mismatch(1, &[1, boxes, params.num_classes]));
    }
    if anchors != boxes || four != 4 {
        return Err(v.mismatch(2, &[boxes, 4]));
    }
    let n = params.max_detections * params.max_classes_per_detection;
    Ok(Some(vec![vec![1, n, 4], vec![1, n], vec![1, n], vec![1]]))
}
