//! TRANSPOSE_CONV on 8-bit tensors.
//!
//! Outputs whose positions leave the same rest of the stride meet the same taps, each a part of the
//! filter: so it is one convolution of stride 1 with a channel for each rest (a phase) and output
//! channel, whose results are then put where they belong.

use super::context::{Byte, Context, GemmQuant, bias_of, by_byte_type, nhwc};
use super::window::Axis;
use super::{KernelError, Value, conv};
use crate::memory;
use ferrite_ir::DType;
use ferrite_ir::op::{Activation, Hw, Padding};
use ferrite_process::parallel;

/// Everything that does not depend on the input's values.
pub(super) struct Plan {
    conv: conv::Plan,
    output: [usize; 4],
    axes: [Axis; 2],
    dtype: DType,
}

impl Plan {
    /// Derives geometry and quantisation, and packs the filter.
    pub fn new(
        ctx: &Context<'_>,
        padding: Padding,
        stride: Hw,
        activation: Activation,
    ) -> Result<Plan, KernelError> {
        let (w, x) = (ctx.input(1)?, ctx.input(2)?);
        let filter = nhwc(
            w,
            "the filter of a transposed convolution has four dimensions",
        )?;
        let input = nhwc(
            x,
            "the input of a transposed convolution has four dimensions",
        )?;
        let shape = ctx.input(0)?.integers()?;
        let output: Option<Vec<usize>> = shape.iter().map(|&d| usize::try_from(d).ok()).collect();
        let output: Option<[usize; 4]> = output.and_then(|s| s.try_into().ok());
        let mismatch = || KernelError::Shape {
            what: "input, filter and output shape of a transposed convolution do not match",
            shapes: vec![
                input.to_vec(),
                filter.to_vec(),
                shape.iter().map(|&d| d.max(0) as usize).collect(),
            ],
        };
        let output = output.ok_or_else(mismatch)?;
        // The convolution this one transposes leads from the output back to the input.
        let axes = [
            Axis::new(output[1], filter[1], stride.h, 1, padding)?,
            Axis::new(output[2], filter[2], stride.w, 1, padding)?,
        ];
        if output[0] != input[0]
            || output[3] != filter[0]
            || input[3] != filter[3]
            || axes[0].output != input[1]
            || axes[1].output != input[2]
        {
            return Err(mismatch());
        }
        let channels = filter[0];
        let mut quant = GemmQuant::of(ctx, 2, 1, channels, activation)?;
        let bias = bias_of(ctx, 3, channels)?;
        let phases = Phases { axes, filter };
        quant.multipliers = quant.multipliers.repeat(phases.count());
        let bias = bias.map(|bias| bias.repeat(phases.count()));
        let conv = by_byte_type!(w.dtype(), "the filter", T => {
            let lowest = by_byte_type!(x.dtype(), "the input", X => Ok(X::LOWEST))?;
            let zero = T::narrow(quant.filter_zero_point);
            let weights = phases.filters::<T>(w.view()?, zero)?;
            let filter = (phases.shape(), &weights[..]);
            let axes = phases.windows();
            conv::Plan::of(input, lowest, axes, filter, &quant, bias.as_deref())
        })?;
        Ok(Plan {
            conv,
            output,
            axes,
            dtype: ctx.output_tensor(0)?.dtype,
        })
    }

    /// Convolves an input of the planned shape.
    pub fn run(&self, ctx: &Context<'_>) -> Result<Value, KernelError> {
        let found = Value::zeros(self.dtype, self.conv.output())?;
        let found = self.conv.run_on(ctx.input(2)?, found)?;
        let [_, height, width, all] = self.conv.output();
        let [_, rows, columns, channels] = self.output;
        let [y_axis, x_axis] = self.axes;
        let [phases_y, _] = self.axes.map(phases);
        // A pixel's results of one vertical phase lie side by side: a piece of a line of the output.
        let piece = all / phases_y;
        let mut out = ctx.result(self.dtype, self.output)?;
        parallel::chunks_mut_grouped(out.bytes_mut(), columns * channels, 8, |line, out| {
            let at = line % rows + y_axis.before;
            let (y, phase) = (at / y_axis.stride, (at % y_axis.stride).min(phases_y - 1));
            let pixels = &found.bytes()[(line / rows * height + y) * width * all..][..width * all];
            let part = |x: usize| &pixels[x * all + phase * piece..][..piece];
            let mut x = 0;
            while x < columns {
                let at = x + x_axis.before;
                let part = part(at / x_axis.stride);
                let first = at % x_axis.stride * channels;
                let from = &part[first.min(piece - channels)..];
                let to = &mut out[x * channels..];
                // Behind the last tap's phase come more that are like the one after it.
                let count = if first < piece { from.len() } else { channels }.min(to.len());
                to[..count].copy_from_slice(&from[..count]);
                x += count / channels;
            }
        });
        Ok(out)
    }
}

/// Phases along an axis that differ: all that have no taps are one.
fn phases(axis: Axis) -> usize {
    axis.stride.min(axis.taps + 1)
}

/// The filter by phases.
struct Phases {
    axes: [Axis; 2],
    filter: [usize; 4],
}

impl Phases {
    fn count(&self) -> usize {
        self.axes.map(phases).iter().product()
    }

    /// Taps of the phase that has most.
    fn taps(&self) -> [usize; 2] {
        self.axes.map(|axis| axis.taps.div_ceil(axis.stride))
    }

    fn shape(&self) -> [usize; 4] {
        let [taps_y, taps_x] = self.taps();
        [
            self.count() * self.filter[0],
            taps_y,
            taps_x,
            self.filter[3],
        ]
    }

    /// Windows over the input: output `o` lies in window `(o + before) / stride`, whose last tap is the
    /// input of that number.
    fn windows(&self) -> [Axis; 2] {
        let [taps_y, taps_x] = self.taps();
        let window = |axis: &Axis, taps: usize| Axis {
            input: axis.output,
            output: (axis.input + axis.before).div_ceil(axis.stride),
            taps,
            stride: 1,
            dilation: 1,
            before: taps - 1,
        };
        [window(&self.axes[0], taps_y), window(&self.axes[1], taps_x)]
    }

    /// The filters of all phases; taps that a phase does not have are the zero point.
    fn filters<T: Byte>(&self, filter: &[T], zero: T) -> Result<Vec<T>, memory::OutOfMemory> {
        let [channels, kh, kw, depth] = self.filter;
        let [taps_y, taps_x] = self.taps();
        let [sy, sx] = self.axes.map(|axis| axis.stride);
        let mut filters = memory::repeated(zero, self.shape().iter().product())?;
        for (i, from) in filter.chunks_exact(depth).enumerate() {
            let (channel, ky, kx) = (i / (kh * kw), i / kw % kh, i % kw);
            let phase = ky % sy * phases(self.axes[1]) + kx % sx;
            // The first tap is that of the last input.
            let (y, x) = (taps_y - 1 - ky / sy, taps_x - 1 - kx / sx);
            let to = ((phase * channels + channel) * taps_y + y) * taps_x + x;
            filters[to * depth..][..depth].copy_from_slice(from);
        }
        Ok(filters)
    }
}
