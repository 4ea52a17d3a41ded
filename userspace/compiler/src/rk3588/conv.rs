//! Convolutions, whatever TFLite calls them, as layers.

use ferrite_ir::op::{Activation, Hw};
use ferrite_ir::{DType, OpId, TensorId};
use smallvec::smallvec;

use super::context::Context;
use super::filter::Filter;
use super::lower::{Lowered, Reads};
use super::plan_tiles::Tiles;
use super::program::{Layer, Mode, Rect, Side, Stage, Taps, Weights};
use super::requant;
use super::split_padding::{self, Band};
use crate::Unsupported;
use crate::executable::Evidence;

/// Largest dilation that has been run on the chip.
const DILATION: usize = 2;

/// Window of a convolution after everything has been folded into it.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// Kernel size.
    pub kernel: Hw,
    /// Stride.
    pub stride: Hw,
    /// Distance of taps.
    pub dilation: Hw,
    /// Padding above and to the left.
    pub pad: Hw,
}

/// How input channels meet output channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grouping {
    /// All with all.
    Dense,
    /// `inputs` channels with `outputs` channels of the same group.
    Groups {
        /// Input channels of a group.
        inputs: usize,
        /// Output channels of a group.
        outputs: usize,
        /// The filter is `[kh, kw, oc]`.
        channel_last: bool,
    },
}

/// One convolution, whatever TFLite calls it.
pub struct Conv {
    /// The operator.
    pub op: OpId,
    /// Where the data come from: after looking through folded PADs and RESHAPEs.
    pub input: TensorId,
    /// Result.
    pub output: TensorId,
    /// Images, and the rows of one in the input and output grids.
    pub batch: usize,
    /// Input rows and columns of one image, channels.
    pub input_shape: [usize; 3],
    /// Output rows and columns of one image, channels.
    pub output_shape: [usize; 3],
    /// Window.
    pub window: Window,
    /// Its taps, of those of the filter.
    pub taps: Taps,
    /// Channel structure.
    pub grouping: Grouping,
    /// Filter tensor.
    pub filter: TensorId,
    /// Bias tensor.
    pub bias: Option<TensorId>,
    /// Fused activation.
    pub activation: Activation,
    /// Name for reports.
    pub name: &'static str,
}

impl Window {
    /// One tap, no padding.
    pub fn unit() -> Self {
        let one = Hw { h: 1, w: 1 };
        Window {
            kernel: one,
            stride: one,
            dilation: one,
            pad: Hw { h: 0, w: 0 },
        }
    }

    /// Checks against the fields of the CNA.
    fn check(&self) -> Result<(), Unsupported> {
        let axes = [
            ("kernel height", self.kernel.h, 31),
            ("kernel width", self.kernel.w, 31),
            ("vertical stride", self.stride.h, 7),
            ("horizontal stride", self.stride.w, 7),
            ("vertical dilation", self.dilation.h, DILATION),
            ("horizontal dilation", self.dilation.w, DILATION),
        ];
        for (what, value, limit) in axes {
            if value > limit {
                return Err(Unsupported::new(format!(
                    "{what} {value} exceeds the hardware's {limit}"
                )));
            }
        }
        Ok(())
    }
}

impl Conv {
    /// Makes the layers.
    pub fn lower(mut self, ctx: &mut Context) -> Result<(Reads, Lowered), Unsupported> {
        // Where there is one output along an axis, its stride does not matter.
        if self.output_shape[0] == 1 {
            self.window.stride.h = 1;
        }
        if self.output_shape[1] == 1 {
            self.window.stride.w = 1;
        }
        self.spread_dilation();
        let filter = Filter::new(ctx, &self)?;
        let from = ctx.stored(self.input)?;
        let to = ctx.stored(self.output)?;
        let range = requant::clamp_of(ctx, self.output, to.range(self.activation));
        let factors = filter.factors(from.scale, to.scale);
        let accumulators = filter.accumulators(from.zero)?;
        let plan = requant::plan(ctx, &self, &filter, &factors, &accumulators, to.zero, range)?;

        let plain = accumulators.bias;
        let mut bias = requant::scaled_bias(&filter, &factors, &plan, from.zero, plain);

        let input = ctx.side(self.input)?;
        let output = match plan.raw {
            None => ctx.side(self.output)?,
            Some(_) => raw_side(ctx, self.output)?,
        };
        let mut layers = Vec::with_capacity(self.batch);
        for image in 0..self.batch {
            self.image(
                ctx,
                image,
                &filter,
                &plan,
                input,
                output,
                &mut bias,
                &mut layers,
            )?;
        }
        let mut lowered = Lowered {
            name: plan.name(self.name),
            evidence: plan.evidence,
            layers,
            raw: plan.raw.clone().map(|requant| (output.cube, requant)),
        };
        requant::cascade(ctx, &mut lowered, self.op, self.output, &plan.shifts)?;
        Ok((smallvec![self.input], lowered))
    }

    /// Dilation has been run on the chip up to 2. A larger one becomes a larger kernel, in which the
    /// taps between those of the filter have no weight.
    fn spread_dilation(&mut self) {
        let spread = |dilation: &mut usize, kernel: &mut usize, step: &mut usize| {
            if *dilation <= DILATION {
                return;
            }
            let left = if dilation.is_multiple_of(DILATION) {
                DILATION
            } else {
                1
            };
            *step = *dilation / left;
            *kernel = (*kernel - 1) * *step + 1;
            *dilation = left;
        };
        let (window, step) = (&mut self.window, &mut self.taps.step);
        spread(&mut window.dilation.h, &mut window.kernel.h, &mut step.h);
        spread(&mut window.dilation.w, &mut window.kernel.w, &mut step.w);
    }

    /// Layers for one image. `bias` is left empty after the last.
    #[allow(clippy::too_many_arguments)]
    fn image(
        &self,
        ctx: &mut Context,
        image: usize,
        filter: &Filter<'_>,
        plan: &requant::Plan,
        input: Side,
        output: Side,
        bias: &mut Vec<i32>,
        layers: &mut Vec<Layer>,
    ) -> Result<(), Unsupported> {
        let window = &self.window;
        let (kernel, stride, dilation) = (window.kernel, window.stride, window.dilation);
        let [oh, ow, _] = self.output_shape;
        let only_padding = || Unsupported::new("an output sees nothing but padding");
        let rows = split_padding::bands(oh, kernel.h, stride.h, dilation.h, window.pad.h)
            .ok_or_else(only_padding)?;
        let columns = split_padding::bands(ow, kernel.w, stride.w, dilation.w, window.pad.w)
            .ok_or_else(only_padding)?;
        let mut left = (self.batch - image) * rows.len() * columns.len();
        for row in &rows {
            for column in &columns {
                let mut layer = self.whole(image, filter, plan, input, output);
                left -= 1;
                layer.bias = match left {
                    0 => std::mem::take(bias),
                    _ => bias.clone(),
                };
                self.narrow(filter, row, column, &mut layer)?;
                self.divide(ctx, layer, plan, layers)?;
            }
        }
        Ok(())
    }

    /// The layer for all of an image, before tiling.
    fn whole(
        &self,
        image: usize,
        filter: &Filter<'_>,
        plan: &requant::Plan,
        input: Side,
        output: Side,
    ) -> Layer {
        let place = |side: Side, [h, w, channels]: [usize; 3]| Side {
            channels,
            grid: Hw {
                h: h * self.batch,
                w,
            },
            rect: Rect {
                y: image * h,
                x: 0,
                h,
                w,
            },
            ..side
        };
        Layer {
            op: self.op,
            lowering: self.name,
            evidence: plan.evidence,
            mode: Mode::Direct,
            input: place(input, self.input_shape),
            output: place(output, self.output_shape),
            kernel: self.window.kernel,
            stride: self.window.stride,
            dilation: self.window.dilation,
            pad: self.window.pad,
            pad_value: filter.pad_value,
            weights: Weights::Dense {
                filter: self.filter,
            },
            taps: self.taps,
            weight_zero: filter.zero,
            bias: Vec::new(),
            stage: plan.stage.clone(),
            addend: None,
            tiles: Tiles::new(),
            cores: 1,
        }
    }

    /// Restricts a layer to bands of its rows and columns.
    fn narrow(
        &self,
        filter: &Filter<'_>,
        row: &Band,
        column: &Band,
        layer: &mut Layer,
    ) -> Result<(), Unsupported> {
        layer.pad = Hw {
            h: row.pad,
            w: column.pad,
        };
        layer.taps.first = [row.skipped as isize, column.skipped as isize];
        layer.kernel = Hw {
            h: self.window.kernel.h - row.skipped,
            w: self.window.kernel.w - column.skipped,
        };
        let input = &mut layer.input.rect;
        if row.start >= input.h || column.start >= input.w {
            return Err(Unsupported::new("an output sees nothing but padding"));
        }
        *input = Rect {
            y: input.y + row.start,
            x: column.start,
            h: input.h - row.start,
            w: input.w - column.start,
        };
        layer.output.rect.y += row.first;
        layer.output.rect.x += column.first;
        layer.output.rect.h = row.count;
        layer.output.rect.w = column.count;
        if (row.skipped, column.skipped) == (0, 0) {
            return Ok(());
        }
        let zero = i32::from(filter.pad_value);
        if layer.stage == Stage::Raw && zero != 0 {
            return Err(Unsupported::new(format!(
                "padding beyond {} together with scales per channel on the host",
                split_padding::DEEPEST
            )));
        }
        // In taps of the filter.
        let first = Hw {
            h: row.skipped.div_ceil(self.taps.step.h),
            w: column.skipped.div_ceil(self.taps.step.w),
        };
        let left_out = filter.left_out(self.taps.filter, first, zero);
        for (bias, left_out) in layer.bias.iter_mut().zip(left_out) {
            *bias = i32::try_from(i64::from(*bias) + left_out)
                .map_err(|_| Unsupported::new("a bias exceeds 32 bits"))?;
        }
        Ok(())
    }

    /// Makes the layers of a grouping.
    fn divide(
        &self,
        ctx: &mut Context,
        whole: Layer,
        plan: &requant::Plan,
        layers: &mut Vec<Layer>,
    ) -> Result<(), Unsupported> {
        let raw = plan.raw.is_some();
        match self.grouping {
            Grouping::Dense => self.push(ctx, whole, layers),
            Grouping::Groups {
                inputs: 1,
                outputs: 1,
                channel_last: true,
            } if !raw => {
                let layer = Layer {
                    mode: Mode::Depthwise,
                    weights: Weights::Depthwise {
                        filter: self.filter,
                    },
                    ..whole
                };
                self.push(ctx, layer, layers)
            }
            Grouping::Groups {
                inputs,
                outputs,
                channel_last,
            } => {
                // Slices of whole kernel groups, each with just the channels it needs.
                let step = if outputs % 32 == 0 { outputs } else { 32 };
                let per_surface = ctx.program.cube(whole.output.cube).atom_channels();
                let oc = whole.output.channels;
                for first in (0..oc).step_by(step) {
                    let count = step.min(oc - first);
                    let low = first / outputs * inputs;
                    let high = ((first + count - 1) / outputs + 1) * inputs;
                    let start = low / 16 * 16;
                    let layer = Layer {
                        input: Side {
                            surface: start / 16,
                            channels: high - start,
                            ..whole.input
                        },
                        output: Side {
                            surface: first / per_surface,
                            channels: count,
                            ..whole.output
                        },
                        weights: Weights::Grouped {
                            filter: self.filter,
                            outputs,
                            inputs,
                            first_output: first,
                            first_input: start,
                            channel_last,
                        },
                        bias: if raw {
                            Vec::new()
                        } else {
                            whole.bias[first..first + count].to_vec()
                        },
                        stage: plan.slice(first, count),
                        ..whole.clone()
                    };
                    self.push(ctx, layer, layers)?;
                }
                Ok(())
            }
        }
    }

    fn push(
        &self,
        ctx: &mut Context,
        mut layer: Layer,
        layers: &mut Vec<Layer>,
    ) -> Result<(), Unsupported> {
        self.window.check()?;
        if matches!(layer.stage, Stage::Raw) {
            layer.bias.clear();
        }
        super::lower::finish(ctx, &mut layer)?;
        layers.push(layer);
        Ok(())
    }
}

/// A cube for the raw accumulators of `tensor`.
fn raw_side(ctx: &mut Context, tensor: TensorId) -> Result<Side, Unsupported> {
    let side = ctx.side(tensor)?;
    let shape = ctx.program.cube(side.cube).shape;
    let cube = ctx.program.add_cube(shape, DType::I32, Some(tensor));
    Ok(Side { cube, ..side })
}

/// Evidence of the ordinary integer convolution.
pub const PROVEN: Evidence = Evidence::Silicon;
