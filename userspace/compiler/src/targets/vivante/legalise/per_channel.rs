//! Jobs that do the same to every channel: average pooling, padding, taking every second pixel.
//!
//! They are depthwise convolutions with one made-up weight for all taps.

use ferrite_ir::op::Hw;
use ferrite_ir::{Bytes, DType, OpId, TensorId};

use super::elementwise::{Clamp, multiplier};
use crate::error::Unsupported;
use crate::executable::Evidence;
use crate::index::nhwc;
use crate::lowered::Lowered;
use crate::npu::{Item, Pool, PoolKind};
use crate::targets::vivante::chip::{MAX_EXTENT, MAX_PAD, MAX_RUN_BITS, PROVEN_KERNEL, PROVEN_PAD};
use crate::targets::vivante::context::Context;
use crate::targets::vivante::kernels::{Kernel, Order};
use crate::targets::vivante::program::{Layer, Multiplier, Side};

/// The weight of all taps: large, so that factors up to 128 have the form that every known job uses.
const UNIT: u8 = 128;

/// What such a job does: the sum over a window of `value - zero point`, times a factor.
struct Diagonal {
    op: OpId,
    lowering: &'static str,
    /// Rows and columns of the window.
    window: [usize; 2],
    /// Rows and columns by which the first window lies before the image.
    pad: [usize; 2],
    /// Whether only every second row and column is kept.
    pooled: bool,
    /// Zero points of input and output.
    zeros: [u8; 2],
    multiplier: Multiplier,
}

/// The multiplier that makes results `factor` times a sum of values.
fn scaled(factor: f64) -> Result<Multiplier, Unsupported> {
    multiplier(factor / f64::from(UNIT))
}

impl Diagonal {
    fn layer(self, input: Side, output: Side) -> Result<Layer, Unsupported> {
        let [rows, columns] = self.window;
        let scale = if self.pooled { 2 } else { 1 };
        let extent = input.x.max(input.y).max(scale * output.x.max(output.y));
        if extent > MAX_EXTENT {
            return Err(Unsupported::new(format!(
                "an image extent of {extent} exceeds the hardware's {MAX_EXTENT}"
            )));
        }
        let multiplier = self.multiplier;
        let sum = i32::from(UNIT) * i32::from(self.zeros[0]) * (rows * columns) as i32;
        Ok(Layer {
            op: self.op,
            lowering: self.lowering,
            evidence: multiplier.evidence(),
            input,
            output,
            pad: self.pad,
            border: self.zeros[0],
            pooled: self.pooled,
            kernel: Kernel {
                data: Bytes::from(vec![UNIT; rows * columns * input.z]),
                flip: 0,
                zero: 0,
                order: Order::Depthwise { multiplier: 1 },
                filter: self.window,
                dilation: [1, 1],
                // A 1x1 kernel of one channel is no form that the hardware takes.
                size: rows.max(columns).max(2),
                inputs: input.z,
                outputs: input.z,
                first: [0, 0],
                bias: vec![-sum; input.z],
            },
            multiplier,
            out_zero: self.zeros[1],
            relu: false,
        })
    }
}

/// The job that keeps every second row and column of a map.
pub fn subsample(op: OpId, zero: u8, input: Side, output: Side) -> Result<Layer, Unsupported> {
    Diagonal {
        op,
        lowering: "subsample",
        window: [1, 1],
        pad: [0, 0],
        pooled: true,
        zeros: [zero, zero],
        multiplier: scaled(1.0)?,
    }
    .layer(input, output)
}

/// The layers of an average over windows.
pub fn average(ctx: &mut Context, item: &Item, pool: &Pool) -> Result<Lowered<Layer>, Unsupported> {
    let &Pool {
        kind,
        input,
        images,
        input_size: Hw { h, w },
        output_size,
        channels,
        window,
        stride,
        ..
    } = pool;
    let (op, output) = (item.op, ctx.result(item.op));
    let inside = |input: usize, output: usize, window: usize, stride: usize| {
        (output - 1) * stride + window <= input
    };
    if kind == PoolKind::Average
        && !(inside(h, output_size.h, window.h, stride.h)
            && inside(w, output_size.w, window.w, stride.w))
    {
        return Err(Unsupported::new(
            "windows that reach beyond the map average fewer elements: the hardware has one factor for a layer",
        ));
    }
    if images != 1 {
        return Err(Unsupported::new(format!("a batch of {images} images"))
            .with_remedy("use a batch of one"));
    }
    let size = window.h.max(window.w);
    if size > PROVEN_KERNEL {
        return Err(Unsupported::new(format!(
            "the coefficient order of a kernel that spans {size} has not been seen on the chip"
        )));
    }
    let coefficients = (channels * channels * size * size) >> MAX_RUN_BITS;
    if coefficients > h * w * channels {
        return Err(Unsupported::new(format!(
            "averaging {channels} channels over {}x{} takes more coefficients than there are elements",
            window.h, window.w
        )));
    }
    // Where there is one output along an axis, its stride does not matter.
    let [oh, ow] = [
        (h - window.h) / stride.h.max(1) + 1,
        (w - window.w) / stride.w.max(1) + 1,
    ];
    let is = |n: usize| (stride.h == n || oh == 1) && (stride.w == n || ow == 1);
    if !is(1) && !is(2) {
        return Err(Unsupported::new(format!(
            "a stride of {}x{}: the hardware has 1x1 and 2x2",
            stride.h, stride.w
        )));
    }
    let (in_zero, in_scale) = ctx.quantisation(input)?;
    let (out_zero, out_scale) = ctx.quantisation(output)?;
    let elements = window.h * window.w;
    let factor = in_scale / (out_scale * elements as f64);
    let mut multiplier = scaled(factor)?;
    let alike = (in_zero, in_scale) == (out_zero, out_scale);
    let (in_zero, clamp) = if kind == PoolKind::Average && alike {
        // TFLite averages the stored values, with ties away from the stored 0. The NPU's go away from
        // what the results count from, which is free here; a factor above the exact one makes sure.
        let stored_zero = match ctx.tensor(input).dtype {
            DType::I8 => 0,
            _ => -128,
        };
        if elements.is_multiple_of(2) {
            multiplier = multiplier.above(factor / f64::from(UNIT));
        }
        let clamp = Clamp::about(stored_zero, item.range);
        (clamp.last_zero(), clamp)
    } else {
        (in_zero, Clamp::of(ctx.stored(output)?, item.range))
    };
    let from = ctx.side(input, [h, w, channels])?;
    let to = ctx.side(output, [oh, ow, channels])?;
    let name = "average as depthwise";
    let mut layer = Diagonal {
        op,
        lowering: name,
        window: [window.h, window.w],
        pad: [0, 0],
        pooled: !is(1),
        zeros: [in_zero, clamp.zeros[0]],
        multiplier,
    }
    .layer(from, to)?;
    layer.relu = clamp.relu;
    let layers = clamp.finish(ctx, layer)?;
    Ok(Lowered::new(name, Evidence::Silicon, layers))
}

/// The layers of a padding of rows and columns.
pub fn pad(
    ctx: &mut Context,
    item: &Item,
    input: TensorId,
    Hw { h: top, w: left }: Hw,
) -> Result<Lowered<Layer>, Unsupported> {
    let (op, output) = (item.op, ctx.result(item.op));
    let [batch, h, w, channels] = nhwc(ctx.tensor(input))?;
    let [_, oh, ow, _] = nhwc(ctx.tensor(output))?;
    if batch != 1 {
        return Err(Unsupported::new(format!("a batch of {batch} images"))
            .with_remedy("use a batch of one"));
    }
    let most = if ctx.admits(Evidence::Inferred) {
        MAX_PAD
    } else {
        PROVEN_PAD
    };
    if top.max(left) > most {
        return Err(Unsupported::new(format!(
            "padding of {} before the map: {most} has been seen on the chip",
            top.max(left)
        )));
    }
    let (zero, _) = ctx.quantisation(input)?;
    let clamp = Clamp::of(ctx.stored(output)?, item.range);
    let from = ctx.side(input, [h, w, channels])?;
    let to = ctx.side(output, [oh, ow, channels])?;
    let name = "pad as depthwise";
    let mut layer = Diagonal {
        op,
        lowering: name,
        window: [1, 1],
        pad: [top, left],
        pooled: false,
        zeros: [zero, clamp.zeros[0]],
        multiplier: scaled(1.0)?,
    }
    .layer(from, to)?;
    layer.relu = clamp.relu;
    if top.max(left) > PROVEN_PAD {
        layer.evidence = Evidence::Inferred;
    }
    let layers = clamp.finish(ctx, layer)?;
    Ok(Lowered::new(name, Evidence::Silicon, layers))
}
