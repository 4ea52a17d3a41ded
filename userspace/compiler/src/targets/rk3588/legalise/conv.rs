//! Convolutions, whatever TFLite calls them, as layers.

use ferrite_hw::rk3588::Parameters;
use ferrite_ir::op::Hw;
use ferrite_ir::{DType, TensorId};

use super::finish::finish;
use super::pointwise::cascade;
use super::split_padding::{self, Band};
use crate::error::Unsupported;
use crate::lowered::Lowered;
use crate::npu::{self, ConvKind, Grouping, Item, Window};
use crate::targets::rk3588::context::Context;
use crate::targets::rk3588::numbers::output_stage::{self, Plan};
use crate::targets::rk3588::numbers::weights::Filter;
use crate::targets::rk3588::program::{Layer, Mode, Rect, Side, Stage, Taps, Tiles, Weights};

/// Largest dilation that has been run on the chip.
const DILATION: usize = 2;

/// A convolution on its way to layers.
struct Conv<'a> {
    item: &'a Item,
    /// What is asked for, in the forms that the hardware takes.
    conv: npu::Conv,
    /// The taps of its kernel, of those of the filter.
    taps: Taps,
    /// Rows and columns of the input before the first that is read.
    start: Hw,
    /// Where its results go, other than to the operator's: the side of the first image, and rows from one
    /// image to the next.
    target: Option<(Side, usize)>,
}

/// Layers for a convolution.
pub fn conv(
    ctx: &mut Context,
    item: &Item,
    conv: &npu::Conv,
) -> Result<Lowered<Layer>, Unsupported> {
    let mut conv = conv.clone();
    // A single column of pixels can be cut anywhere: any arrangement of a matrix' rows will do.
    if conv.kind == ConvKind::FullyConnected && conv.window == Window::unit() {
        let [h, w, inputs] = conv.input_shape;
        conv.input_shape = [h * w, 1, inputs];
        conv.output_shape = [h * w, 1, conv.output_shape[2]];
    }
    // Where there is one output along an axis, its stride does not matter.
    if conv.output_shape[0] == 1 {
        conv.window.stride.h = 1;
    }
    if conv.output_shape[1] == 1 {
        conv.window.stride.w = 1;
    }
    let taps = Taps::all(conv.window.kernel);
    let mut conv = Conv {
        item,
        conv,
        taps,
        start: Hw { h: 0, w: 0 },
        target: None,
    };
    conv.spread_dilation();
    conv.lower(ctx)
}

/// A dense convolution with some of a filter's taps, whose results are some of an operator's.
pub struct Part {
    /// The convolution, with the kernel of these taps.
    pub conv: npu::Conv,
    /// The taps.
    pub taps: Taps,
    /// Rows and columns of the input before the first that is read.
    pub start: Hw,
    /// Where the results of the first image go.
    pub target: Side,
    /// Rows there from one image to the next.
    pub pitch: usize,
}

/// Appends the layers of a part of an operator, and tells the clamps that its results still need.
pub fn part(
    ctx: &mut Context,
    item: &Item,
    part: Part,
    layers: &mut Vec<Layer>,
) -> Result<Vec<i32>, Unsupported> {
    let conv = Conv {
        item,
        conv: part.conv,
        taps: part.taps,
        start: part.start,
        target: Some((part.target, part.pitch)),
    };
    let filter = Filter::of_taps(ctx, &conv.conv, &conv.taps)?;
    let (more, plan) = conv.layers(ctx, &filter, Some(part.target))?;
    if plan.raw.is_some() {
        return Err(Unsupported::new(
            "scales per channel too far apart for the chip",
        ));
    }
    layers.extend(more);
    Ok(plan.shifts)
}

/// Checks a window and its channels against the fields of the CNA.
fn check(chip: &Parameters, window: &Window, layer: &Layer) -> Result<(), Unsupported> {
    let axes = [
        (
            "the number of input channels",
            layer.input.channels,
            chip.max_channels,
        ),
        ("kernel height", window.kernel.h, chip.max_kernel),
        ("kernel width", window.kernel.w, chip.max_kernel),
        ("vertical stride", window.stride.h, chip.max_stride),
        ("horizontal stride", window.stride.w, chip.max_stride),
        ("vertical dilation", window.dilation.h, DILATION),
        ("horizontal dilation", window.dilation.w, DILATION),
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

impl Conv<'_> {
    /// Makes the layers.
    fn lower(&self, ctx: &mut Context) -> Result<Lowered<Layer>, Unsupported> {
        let (conv, result) = (&self.conv, ctx.result(self.item.op));
        let filter = Filter::new(ctx, conv)?;
        let (mut layers, plan) = self.layers(ctx, &filter, None)?;
        cascade(ctx, &mut layers, self.item.op, result, &plan.shifts)?;
        if let (Some(_), Some(layer)) = (&conv.patches, layers.first()) {
            ctx.enter_in(conv.input, layer.input.cube);
        }
        let name = plan.name(conv.kind.name());
        let written = layers.last().map(|layer| layer.output.cube);
        Ok(Lowered {
            requantise: written.zip(plan.raw),
            ..Lowered::new(name, plan.evidence, layers)
        })
    }

    /// The layers before clamps, and how their results come about.
    fn layers(
        &self,
        ctx: &mut Context,
        filter: &Filter<'_>,
        target: Option<Side>,
    ) -> Result<(Vec<Layer>, Plan), Unsupported> {
        let (conv, result) = (&self.conv, ctx.result(self.item.op));
        let (from, to) = (ctx.stored(conv.input)?, ctx.stored(result)?);
        let factors = filter.factors(from.scale, to.scale);
        let mut plan = output_stage::plan(
            conv,
            filter,
            &factors,
            filter.accumulators(from.zero),
            [from, to],
            self.item.range,
            ctx.options.evidence,
        )?;
        let chip = ctx.chip();
        let surfaces = chip.kernel_group / chip.atom_channels(DType::I32.size());
        if plan.raw.is_some() && surfaces > chip.group_surfaces {
            return Err(Unsupported::new(format!(
                "scales per channel for the host, whose sums would fill {surfaces} surfaces at a time, \
                 beyond the hardware's {}",
                chip.group_surfaces
            )));
        }
        let mut bias = std::mem::take(&mut plan.bias);
        let input = match &conv.patches {
            None => ctx.side(conv.input)?,
            Some(patches) => {
                let [h, w, c] = conv.input_shape;
                let (images, shape) = (conv.images, [conv.images * h, w, c]);
                ctx.patches(conv.input, patches.of(images), shape)
            }
        };
        let output = match (&plan.raw, target) {
            (None, Some(target)) => target,
            (None, None) => ctx.side(result)?,
            (Some(_), _) => raw_side(ctx, result)?,
        };
        let mut layers = Vec::with_capacity(conv.images);
        for image in 0..conv.images {
            self.image(
                ctx,
                image,
                filter,
                &plan,
                input,
                output,
                &mut bias,
                &mut layers,
            )?;
        }
        Ok((layers, plan))
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
        let (window, step) = (&mut self.conv.window, &mut self.taps.step);
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
        plan: &Plan,
        input: Side,
        output: Side,
        bias: &mut Vec<i32>,
        layers: &mut Vec<Layer>,
    ) -> Result<(), Unsupported> {
        let window = &self.conv.window;
        let (kernel, stride, dilation) = (window.kernel, window.stride, window.dilation);
        let [oh, ow, _] = self.conv.output_shape;
        let deepest = ctx.chip().max_pad;
        let only_padding = || Unsupported::new("an output sees nothing but padding");
        let rows = split_padding::bands(deepest, oh, kernel.h, stride.h, dilation.h, window.pad.h)
            .ok_or_else(only_padding)?;
        let columns =
            split_padding::bands(deepest, ow, kernel.w, stride.w, dilation.w, window.pad.w)
                .ok_or_else(only_padding)?;
        let mut left = (self.conv.images - image) * rows.len() * columns.len();
        for row in &rows {
            for column in &columns {
                let mut layer = self.whole(image, filter, plan, input, output);
                left -= 1;
                layer.bias = match left {
                    0 => std::mem::take(bias),
                    _ => bias.clone(),
                };
                self.narrow(filter, row, column, deepest, &mut layer)?;
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
        plan: &Plan,
        input: Side,
        output: Side,
    ) -> Layer {
        let place = |side: Side, [h, w, channels]: [usize; 3]| Side {
            channels,
            grid: Hw {
                h: h * self.conv.images,
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
            op: self.item.op,
            lowering: self.conv.kind.name(),
            evidence: plan.evidence,
            mode: Mode::Direct,
            input: place(input, self.conv.input_shape),
            output: match self.target {
                None => place(output, self.conv.output_shape),
                Some((_, pitch)) => Side {
                    rect: Rect {
                        y: output.rect.y + image * pitch,
                        ..output.rect
                    },
                    ..output
                },
            },
            kernel: self.conv.window.kernel,
            stride: self.conv.window.stride,
            dilation: self.conv.window.dilation,
            pad: self.conv.window.pad,
            pad_value: filter.pad_value,
            weights: Weights::Dense {
                filter: self.conv.filter,
            },
            taps: self.taps,
            weight_zero: filter.zero,
            bias: Vec::new(),
            stage: plan.stage.clone(),
            addend: None,
            tiles: Tiles::new(),
            cores: 1,
            band: None,
        }
    }

    /// Restricts a layer to bands of its rows and columns.
    fn narrow(
        &self,
        filter: &Filter<'_>,
        row: &Band,
        column: &Band,
        deepest: usize,
        layer: &mut Layer,
    ) -> Result<(), Unsupported> {
        layer.pad = Hw {
            h: row.pad,
            w: column.pad,
        };
        layer.taps.first[0] += row.skipped as isize;
        layer.taps.first[1] += column.skipped as isize;
        layer.kernel = Hw {
            h: self.conv.window.kernel.h - row.skipped,
            w: self.conv.window.kernel.w - column.skipped,
        };
        let input = &mut layer.input.rect;
        let start = Hw {
            h: row.start + self.start.h,
            w: column.start + self.start.w,
        };
        if start.h >= input.h || start.w >= input.w {
            return Err(Unsupported::new("an output sees nothing but padding"));
        }
        *input = Rect {
            y: input.y + start.h,
            x: start.w,
            h: input.h - start.h,
            w: input.w - start.w,
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
                "padding beyond {deepest} together with scales per channel on the host"
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
        plan: &Plan,
        layers: &mut Vec<Layer>,
    ) -> Result<(), Unsupported> {
        let raw = plan.raw.is_some();
        match self.conv.grouping {
            Grouping::Dense => self.push(ctx, whole, layers),
            Grouping::Groups {
                inputs: 1,
                outputs: 1,
                channel_last: true,
            } if !raw => {
                let layer = Layer {
                    mode: Mode::Depthwise,
                    weights: Weights::Depthwise {
                        filter: self.conv.filter,
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
                let chip = ctx.chip();
                let step = match outputs.is_multiple_of(chip.kernel_group) {
                    true => outputs,
                    false => chip.kernel_group,
                };
                let per_surface = ctx.program().cube(whole.output.cube).atom_channels(chip);
                let atom = chip.atom_channels(1);
                let oc = whole.output.channels;
                for first in (0..oc).step_by(step) {
                    let count = step.min(oc - first);
                    let low = first / outputs * inputs;
                    let high = ((first + count - 1) / outputs + 1) * inputs;
                    let start = low / atom * atom;
                    let layer = Layer {
                        input: Side {
                            surface: start / atom,
                            channels: high - start,
                            ..whole.input
                        },
                        output: Side {
                            surface: first / per_surface,
                            channels: count,
                            ..whole.output
                        },
                        weights: Weights::Grouped {
                            filter: self.conv.filter,
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
        check(ctx.chip(), &self.conv.window, &layer)?;
        if matches!(layer.stage, Stage::Raw) {
            layer.bias.clear();
        }
        finish(ctx, &mut layer)?;
        layers.push(layer);
        Ok(())
    }
}

/// A cube for the raw accumulators of `tensor`.
fn raw_side(ctx: &mut Context, tensor: TensorId) -> Result<Side, Unsupported> {
    let side = ctx.side(tensor)?;
    let shape = ctx.program().cube(side.cube).shape;
    let cube = ctx.program_mut().add_cube(shape, DType::I32, Some(tensor));
    Ok(Side { cube, ..side })
}
