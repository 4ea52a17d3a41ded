//! CONV_2D, DEPTHWISE_CONV_2D and TRANSPOSE_CONV.

use ferrite_ir::op::{Activation, ConvParams, Hw, Padding};
use ferrite_ir::{DType, OpId, TensorId};

use super::selected::Selected;
use crate::error::Unsupported;
use crate::index::{Index, nhwc};
use crate::npu::{Conv, ConvKind, Grouping, Window, Work};

/// A convolution; `depthwise` is the multiplier of a depthwise one.
pub fn conv(index: &Index, op: OpId, params: &ConvParams, depthwise: Option<usize>) -> Selected {
    let (input, filter) = (index.operand(op, 0)?, index.operand(op, 1)?);
    check_filter(index, filter)?;
    let [images, h, w, c] = nhwc(index.tensor(input))?;
    let [_, oh, ow, oc] = nhwc(index.tensor(index.result(op)))?;
    let [first, kh, kw, last] = nhwc(index.tensor(filter))?;
    let kernel = Hw { h: kh, w: kw };
    let grouping = match depthwise {
        None if last == c => Grouping::Dense,
        None if last > 0 && c % last == 0 && oc % (c / last) == 0 => Grouping::Groups {
            inputs: last,
            outputs: oc / (c / last),
            channel_last: false,
        },
        Some(m) if m > 0 && c * m == oc && last == oc && first == 1 => Grouping::Groups {
            inputs: 1,
            outputs: m,
            channel_last: true,
        },
        _ => {
            return Err(Unsupported::new(format!(
                "filter {:?} does not fit {c} input and {oc} output channels",
                index.tensor(filter).shape
            )));
        }
    };
    let windows = params.windows(Hw { h, w }, kernel).ok_or_else(|| {
        Unsupported::new(format!("a {kh}x{kw} kernel does not fit a map of {h}x{w}"))
    })?;
    let conv = Conv {
        kind: match depthwise {
            None => ConvKind::Conv,
            Some(_) => ConvKind::Depthwise,
        },
        input,
        images,
        input_shape: [h, w, c],
        output_shape: [oh, ow, oc],
        window: Window {
            kernel,
            stride: params.stride,
            dilation: params.dilation,
            pad: Hw {
                h: windows.h.before,
                w: windows.w.before,
            },
        },
        patches: None,
        grouping,
        filter,
        bias: index.optional(op, 2),
    };
    Ok((Work::Conv(conv), params.activation))
}

/// TFLite's kernels take int8 filters as if their zero point were 0, whatever the model says.
fn check_filter(index: &Index, filter: TensorId) -> Result<(), Unsupported> {
    let filter = index.tensor(filter);
    let zeros = filter.quant.as_ref().map(|quant| &quant.zero_points);
    if filter.dtype == DType::I8 && zeros.is_some_and(|zeros| zeros.iter().any(|&zero| zero != 0)) {
        return Err(
            Unsupported::new("an int8 filter with a zero point, which TFLite ignores")
                .with_remedy("quantise the filter symmetrically"),
        );
    }
    Ok(())
}

/// A transposed convolution.
pub fn transposed(
    index: &Index,
    op: OpId,
    stride: Hw,
    padding: Padding,
    activation: Activation,
) -> Selected {
    let (filter, input) = (index.operand(op, 1)?, index.operand(op, 2)?);
    check_filter(index, filter)?;
    let [images, h, w, c] = nhwc(index.tensor(input))?;
    let [_, oh, ow, oc] = nhwc(index.tensor(index.result(op)))?;
    let [_, kh, kw, _] = nhwc(index.tensor(filter))?;
    let (kernel, one) = (Hw { h: kh, w: kw }, Hw { h: 1, w: 1 });
    // The convolution that this one transposes leads from the output to the input.
    let params = ConvParams {
        padding,
        stride,
        dilation: one,
        activation: Activation::None,
    };
    let windows = params
        .windows(Hw { h: oh, w: ow }, kernel)
        .filter(|windows| windows.output() == Hw { h, w })
        .ok_or_else(|| {
            Unsupported::new(format!(
                "a {kh}x{kw} kernel does not lead from {h}x{w} to {oh}x{ow}"
            ))
        })?;
    let conv = Conv {
        kind: ConvKind::Conv,
        input,
        images,
        input_shape: [h, w, c],
        output_shape: [oh, ow, oc],
        window: Window {
            kernel,
            stride,
            dilation: one,
            pad: Hw {
                h: windows.h.before,
                w: windows.w.before,
            },
        },
        patches: None,
        grouping: Grouping::Dense,
        filter,
        bias: index.optional(op, 3),
    };
    Ok((Work::TransposedConv(conv), activation))
}
