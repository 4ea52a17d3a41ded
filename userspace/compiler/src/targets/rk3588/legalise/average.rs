//! AVERAGE_POOL_2D and MEAN over rows and columns: depthwise convolutions with equal weights.

use ferrite_ir::op::Hw;
use ferrite_ir::{DType, OpId};

use super::finish::finish;
use super::pointwise::cascade;
use crate::error::Unsupported;
use crate::lowered::Lowered;
use crate::npu::{Item, Pool, PoolKind};
use crate::targets::rk3588::context::Context;
use crate::targets::rk3588::numbers::clamp::clamp_shifts;
use crate::targets::rk3588::numbers::quant::{STEPS, Scaling, scaling};
use crate::targets::rk3588::program::{
    Layer, Mode, PROVEN, Rect, Side, Stage, Taps, Tiles, Weights,
};

/// Windows that a pooling may be cut into before the CPU does it better.
const PIECES: usize = 256;

/// Outputs along one axis whose windows see equally many elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Band {
    first: usize,
    count: usize,
    start: usize,
    window: usize,
    stride: usize,
}

/// Cuts the outputs of an axis into bands, with strides of at most `farthest`.
fn bands(
    farthest: usize,
    input: usize,
    output: usize,
    window: usize,
    stride: usize,
    pad: usize,
) -> Vec<Band> {
    let mut bands: Vec<Band> = Vec::new();
    for at in 0..output {
        let low = (at * stride).saturating_sub(pad);
        let high = (at * stride + window).saturating_sub(pad).min(input);
        let size = high.saturating_sub(low);
        if let Some(band) = bands.last_mut()
            && band.window == size
            && stride <= farthest
            && low == band.start + (at - band.first) * stride
        {
            band.count += 1;
            continue;
        }
        bands.push(Band {
            first: at,
            count: 1,
            start: low,
            window: size,
            stride: if stride <= farthest { stride } else { 1 },
        });
    }
    bands
}

/// Layers for an average over windows.
pub fn average(ctx: &mut Context, item: &Item, pool: &Pool) -> Result<Lowered<Layer>, Unsupported> {
    Average { op: item.op, pool }.lower(ctx, item)
}

/// An averaging over windows.
struct Average<'a> {
    op: OpId,
    pool: &'a Pool,
}

impl Average<'_> {
    fn lower(self, ctx: &mut Context, item: &Item) -> Result<Lowered<Layer>, Unsupported> {
        let &Pool {
            images: n,
            input_size: Hw { h, w },
            output_size: out,
            channels: c,
            window,
            stride,
            pad,
            ..
        } = self.pool;
        let output = ctx.result(self.op);
        let (from, to) = (ctx.stored(self.pool.input)?, ctx.stored(output)?);
        // A pooling averages the model's values themselves. Averages of averages are above the zero
        // point.
        let chip = ctx.chip();
        let fits = window.h.min(h).max(window.w.min(w)) <= chip.max_kernel;
        let raw = self.pool.kind == PoolKind::Average && from == to && fits;
        let origin = if raw { -to.offset } else { to.zero };
        let (offset, shifts) = clamp_shifts(origin, item.range);
        let (source, target) = (ctx.side(self.pool.input)?, ctx.side(output)?);
        let place = |side: Side, size: Hw, rect: Rect| Side {
            channels: c,
            grid: Hw {
                h: size.h * n,
                w: size.w,
            },
            rect,
            ..side
        };
        let mut layers = Vec::new();
        let rows = bands(chip.max_stride, h, out.h, window.h, stride.h, pad.h);
        let columns = bands(chip.max_stride, w, out.w, window.w, stride.w, pad.w);
        if rows.len() * columns.len() > PIECES {
            return Err(Unsupported::new(format!(
                "{} pieces of window, too many",
                rows.len() * columns.len()
            )));
        }
        let size = Hw { h, w };
        for image in 0..n {
            for row in &rows {
                for column in &columns {
                    let window = Hw {
                        h: row.window,
                        w: column.window,
                    };
                    if window.h == 0 || window.w == 0 {
                        return Err(Unsupported::new("a window sees nothing but padding"));
                    }
                    let seen = Rect {
                        y: image * h + row.start,
                        x: column.start,
                        h: (row.count - 1) * row.stride + window.h,
                        w: (column.count - 1) * column.stride + window.w,
                    };
                    let made = Rect {
                        y: image * out.h + row.first,
                        x: column.first,
                        h: row.count,
                        w: column.count,
                    };
                    let (input, first, unit) =
                        self.shrink(ctx, place(source, size, seen), window, &mut layers)?;
                    let stride = |b: &Band| if b.count == 1 { 1 } else { b.stride };
                    let stride = Hw {
                        h: stride(row),
                        w: stride(column),
                    };
                    let output = place(target, out, made);
                    let elements = (window.h * window.w) as i64;
                    let mut layer;
                    if raw {
                        layer = self.layer(input, output, first, stride, -from.offset);
                        layer.stage = Stage::narrow(average_of(elements)?, offset);
                    } else {
                        layer = self.layer(input, output, first, stride, from.zero);
                        let factor = from.scale * unit / (to.scale * elements as f64);
                        let scaling = scaling(factor, STEPS * elements)?;
                        layer.stage = Stage::narrow(scaling, offset);
                    }
                    finish(ctx, &mut layer)?;
                    layers.push(layer);
                }
            }
        }
        cascade(ctx, &mut layers, self.op, output, &shifts)?;
        let name = "average pooling by depthwise convolution";
        Ok(Lowered::new(name, PROVEN, layers))
    }

    /// One depthwise layer that sums what windows hold above `zero`.
    fn layer(&self, input: Side, output: Side, window: Hw, stride: Hw, zero: i32) -> Layer {
        Layer {
            op: self.op,
            lowering: "average",
            evidence: PROVEN,
            mode: Mode::Depthwise,
            input,
            output,
            kernel: window,
            stride,
            dilation: Hw { h: 1, w: 1 },
            pad: Hw { h: 0, w: 0 },
            pad_value: 0,
            weights: Weights::Constant(1),
            taps: Taps::all(window),
            weight_zero: 0,
            bias: vec![-zero * (window.h * window.w) as i32; input.channels],
            stage: Stage::Raw,
            addend: None,
            tiles: Tiles::new(),
            cores: 1,
            band: None,
        }
    }

    /// Replaces a window over a whole map that is too large for the kernel by sums over parts of it,
    /// in a scratch cube; returns that with its window, and what one of its steps stands for.
    ///
    /// The pixels of a map can be read in rows of any length that divides its width, so that parts
    /// are whole rows. The rounding of the parts, to steps of the input, adds less than one step to a
    /// result whose own are more than half as large, which stays within one of the reference's.
    fn shrink(
        &self,
        ctx: &mut Context,
        input: Side,
        window: Hw,
        layers: &mut Vec<Layer>,
    ) -> Result<(Side, Hw, f64), Unsupported> {
        let largest = ctx.chip().max_kernel;
        if window.h.max(window.w) <= largest {
            return Ok((input, window, 1.0));
        }
        let too_large = || {
            Unsupported::new(format!(
                "a window of {} x {} exceeds the hardware's {largest} x {largest} and does not divide into such",
                window.h, window.w
            ))
        };
        if input.rect.h != window.h || input.rect.w != window.w || window.w != input.grid.w {
            return Err(too_large());
        }
        let [from, to] = [self.pool.input, ctx.result(self.op)].map(|tensor| ctx.stored(tensor));
        if from?.scale >= 2.0 * to?.scale {
            return Err(Unsupported::new(
                "a window that the hardware takes in parts, whose steps are twice the result's or more",
            ));
        }
        let fold = (1..=window.w)
            .find(|a| window.w.is_multiple_of(*a) && window.w / a <= largest)
            .ok_or_else(too_large)?;
        let (rows, width) = (window.h * fold, window.w / fold);
        let count = rows.div_ceil(largest);
        let most = rows.div_ceil(count);
        if count > largest {
            return Err(too_large());
        }
        let zero = ctx.stored(self.pool.input)?.zero;
        let cube = ctx
            .program_mut()
            .add_cube([count, 1, input.channels], DType::I8, None);
        let scratch = Side {
            cube,
            surface: 0,
            channels: input.channels,
            grid: Hw { h: count, w: 1 },
            rect: Rect {
                y: 0,
                x: 0,
                h: count,
                w: 1,
            },
        };
        for part in 0..count {
            let first = part * rows / count;
            let size = Hw {
                h: (part + 1) * rows / count - first,
                w: width,
            };
            let seen = Side {
                grid: Hw {
                    h: input.grid.h * fold,
                    w: width,
                },
                rect: Rect {
                    y: input.rect.y * fold + first,
                    x: 0,
                    h: size.h,
                    w: width,
                },
                ..input
            };
            let made = Rect {
                y: part,
                x: 0,
                h: 1,
                w: 1,
            };
            let one = Hw { h: 1, w: 1 };
            let target = Side {
                rect: made,
                ..scratch
            };
            let mut layer = self.layer(seen, target, size, one, zero);
            // All parts in the same unit, also where they differ by a row.
            let elements = most * width;
            let scaling = scaling(1.0 / elements as f64, STEPS * elements as i64)?;
            layer.stage = Stage::narrow(scaling, zero);
            finish(ctx, &mut layer)?;
            layers.push(layer);
        }
        let unit = (most * width) as f64;
        Ok((scratch, Hw { h: count, w: 1 }, unit))
    }
}

/// The factor that averages `elements` values of up to 8 bits, with ties away from zero.
///
/// The output converter rounds to nearest, ties to even, where TFLite rounds half away from zero. A
/// factor a little above the exact one moves all ties outwards, and nothing else as long as it
/// stays within half an element's share of the largest value.
pub(super) fn average_of(elements: i64) -> Result<Scaling, Unsupported> {
    let exact = 1.0 / elements as f64;
    let most = exact / (2.0 * STEPS as f64 + 2.0);
    let scaling = scaling(exact * (1.0 + most / 2.0), STEPS * elements)?;
    let above = scaling.value() / exact - 1.0;
    match above > 0.0 && above < most {
        true => Ok(scaling),
        false => Err(Unsupported::new(format!(
            "an average of {elements} elements is too fine for the output converter"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn border_windows_are_bands_of_their_own() {
        // SAME, window 3, stride 1 on 6: one element less at each end.
        let b = bands(7, 6, 6, 3, 1, 1);
        let windows: Vec<_> = b
            .iter()
            .map(|b| (b.first, b.count, b.start, b.window))
            .collect();
        assert_eq!(windows, [(0, 1, 0, 2), (1, 4, 0, 3), (5, 1, 4, 2)]);
    }

    /// Every sum of small windows and of square ones against TFLite's integer division.
    #[test]
    fn averages_round_half_away_from_zero() {
        for elements in (1..=50).chain((8..=31).map(|side| side * side)) {
            let scaling = average_of(elements).expect("in range");
            let (factor, multiplier) = (i64::from(scaling.factor), scaling.multiplier);
            let half = 1_i64 << (multiplier.shift - 1);
            for sum in -128 * elements..=255 * elements {
                let product = sum * factor * i64::from(multiplier.scale);
                assert_ne!(
                    product & (2 * half - 1),
                    half,
                    "{sum} / {elements} is a tie"
                );
                let ours = (product + half) >> multiplier.shift;
                let nudge = if sum > 0 {
                    elements / 2
                } else {
                    -(elements / 2)
                };
                assert_eq!(ours, (sum + nudge) / elements, "{sum} / {elements}");
            }
        }
    }

    #[test]
    fn strides_beyond_the_field_become_single_windows() {
        let b = bands(7, 32, 4, 8, 8, 0);
        assert_eq!(b.len(), 4);
        assert!(b.iter().all(|b| b.count == 1 && b.window == 8));
    }
}
