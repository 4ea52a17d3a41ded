//! RESIZE_BILINEAR by whole factors: a depthwise convolution for every phase of the output, and copies that
//! put columns in between.
//!
//! Outputs a factor apart lie equally far between their neighbours, so that the weights of the four around
//! them are the same small fractions. What lies beyond the first or the last element has a run of its own.

use ferrite_cpu::Between;
use ferrite_ir::op::Hw;
use ferrite_ir::{DType, TensorId};

use super::average::average_of;
use super::copies::Copies;
use super::interleave::{columns, rows};
use super::pointwise::{copy, pointwise};
use crate::error::Unsupported;
use crate::index::nhwc;
use crate::lowered::Lowered;
use crate::npu::{Grid, Item};
use crate::targets::rk3588::context::Context;
use crate::targets::rk3588::numbers::quant::{STEPS, scaling};
use crate::targets::rk3588::program::{Layer, PROVEN, Rect, Side, Stage, Taps, Weights};

/// Largest weight.
const WEIGHT: usize = 127;
/// Largest factor: each takes as many layers as its square.
const FACTOR: usize = 8;
/// How far a weight may be from a fraction.
const EXACT: f64 = 1e-4;

/// Neighbouring outputs of a phase with the same weights, and inputs one behind the other.
#[derive(Clone, Debug, PartialEq)]
struct Run {
    /// The phase.
    phase: usize,
    /// The first of them in it.
    first: usize,
    /// How many there are.
    count: usize,
    /// The first one's lower input.
    input: usize,
    /// Weights of the lower input and, if there is another, of the upper.
    weights: Vec<usize>,
}

/// An axis.
struct Axis {
    factor: usize,
    /// What the weights add up to.
    whole: usize,
    runs: Vec<Run>,
}

impl Axis {
    /// Of outputs that lie there; none unless there is a whole factor, and fractions.
    fn new(sources: &[Between], inputs: usize) -> Option<Axis> {
        let factor = sources.len() / inputs;
        if !sources.len().is_multiple_of(inputs) || factor > FACTOR {
            return None;
        }
        let pairs = || sources.iter().filter(|source| source.lower != source.upper);
        let fits = |&whole: &usize| {
            pairs().all(|source| {
                let weight = source.weight * whole as f64;
                (weight - weight.round()).abs() < EXACT * whole as f64
            })
        };
        let whole = (1..=WEIGHT).find(fits)?;
        let mut runs: Vec<Run> = Vec::new();
        for phase in 0..factor {
            for (at, source) in sources.iter().skip(phase).step_by(factor).enumerate() {
                let upper = (source.weight * whole as f64).round() as usize;
                let weights = match source.upper - source.lower {
                    0 => vec![whole],
                    1 => vec![whole.checked_sub(upper)?, upper],
                    _ => return None,
                };
                match runs.last_mut() {
                    Some(run)
                        if run.phase == phase
                            && run.weights == weights
                            && run.input + run.count == source.lower =>
                    {
                        run.count += 1;
                    }
                    _ => runs.push(Run {
                        phase,
                        first: at,
                        count: 1,
                        input: source.lower,
                        weights,
                    }),
                }
            }
        }
        Some(Axis {
            factor,
            whole,
            runs,
        })
    }
}

/// Layers for a map of means.
pub fn bilinear(
    ctx: &mut Context,
    item: &Item,
    input: TensorId,
    grid: Grid,
) -> Result<Lowered<Layer>, Unsupported> {
    let (op, output) = (item.op, ctx.result(item.op));
    let [images, h, w, _] = nhwc(ctx.tensor(input))?;
    let [_, oh, ow, _] = nhwc(ctx.tensor(output))?;
    let dtype = ctx.tensor(input).dtype;
    let axis = |from: usize, to: usize| {
        let sources = ferrite_cpu::bilinear_sources(
            dtype,
            from,
            to,
            grid.align_corners,
            grid.half_pixel_centers,
        );
        Axis::new(&sources, from)
    };
    let refused = || {
        Unsupported::new(format!(
            "a bilinear resize from {h}x{w} to {oh}x{ow}, not by whole factors of up to {FACTOR} with the \
             same weights everywhere"
        ))
    };
    let (down, across) = (
        axis(h, oh).ok_or_else(refused)?,
        axis(w, ow).ok_or_else(refused)?,
    );
    let mean = Mean::new(&down, &across, dtype).ok_or_else(refused)?;
    let (source, target) = (ctx.side(input)?, ctx.side(output)?);
    let mut copies = Copies {
        ctx,
        op,
        layers: Vec::new(),
    };
    for phase in 0..across.factor {
        let of_phase = match across.factor {
            1 => target,
            _ => copies.scratch(source, Hw { h: images * oh, w }),
        };
        for column in across.runs.iter().filter(|run| run.phase == phase) {
            let (source, first) = match column.weights.len() {
                1 => alone(&mut copies, source, column)?,
                _ => (source, column.input),
            };
            for row in &down.runs {
                for image in 0..images {
                    let mut layer = pointwise(op, source, of_phase, "bilinear");
                    layer.input.rect = Rect {
                        y: image * h + row.input,
                        x: first,
                        h: h - row.input,
                        w: source.grid.w - first,
                    };
                    layer.output = rows(of_phase, row.phase, down.factor);
                    layer.output.rect = Rect {
                        y: image * h + row.first,
                        x: layer.output.rect.x + column.first,
                        h: row.count,
                        w: column.count,
                    };
                    mean.weigh(&mut layer, row, column)?;
                    copies.push(layer)?;
                }
            }
        }
        if across.factor > 1 {
            let mut layer = copy(copies.ctx.chip(), op, of_phase, target, "interleave");
            layer.input = columns(of_phase, 0, 1);
            layer.output = columns(target, phase, across.factor);
            copies.push(layer)?;
        }
    }
    Ok(Lowered::new("means by phases", PROVEN, copies.layers))
}

/// The map and the column where a run of single inputs begins: one that is far to the right is picked out.
fn alone(
    copies: &mut Copies<'_, '_>,
    source: Side,
    run: &Run,
) -> Result<(Side, usize), Unsupported> {
    if run.input == 0 || run.count > 1 {
        return Ok((source, run.input));
    }
    let size = Hw {
        w: 1,
        ..source.grid
    };
    let column = copies.scratch(source, size);
    copies.pick(source, column, run.input, 1)?;
    Ok((column, 0))
}

/// How weighted sums become means.
struct Mean {
    /// Weights are so many times the fractions' numerators.
    times: usize,
    /// What they add up to.
    whole: usize,
    /// Whether ties go up, as TFLite's float arithmetic has them, and not away from zero.
    up: bool,
}

impl Mean {
    fn new(down: &Axis, across: &Axis, dtype: DType) -> Option<Mean> {
        let most = |axis: &Axis| axis.runs.iter().flat_map(|run| &run.weights).max().copied();
        let most = most(down)? * most(across)?;
        let up = dtype == DType::U8;
        // What is added to a sum to break a tie must be less than any difference from one.
        let times = match (up, down.whole * across.whole) {
            (true, whole) if whole.is_multiple_of(2) => 2,
            _ => 1,
        };
        (most * times <= WEIGHT).then_some(Mean {
            times,
            whole: down.whole * across.whole * times,
            up,
        })
    }

    /// Gives a layer the weights of a row and a column, and the stage.
    fn weigh(&self, layer: &mut Layer, row: &Run, column: &Run) -> Result<(), Unsupported> {
        let row_of = |&a: &usize| {
            column
                .weights
                .iter()
                .map(move |b| (a * b * self.times) as i8)
        };
        layer.weights = Weights::Taps(row.weights.iter().flat_map(row_of).collect());
        layer.kernel = Hw {
            h: row.weights.len(),
            w: column.weights.len(),
        };
        layer.taps = Taps::all(layer.kernel);
        let whole = self.whole as i64;
        let scaling = match self.up {
            true => {
                layer.bias.fill(i32::from(self.times > 1));
                scaling(1.0 / whole as f64, STEPS * whole)?
            }
            false => average_of(whole)?,
        };
        layer.stage = Stage::narrow(scaling, 0);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axis(dtype: DType, inputs: usize, outputs: usize, half: bool) -> Option<Axis> {
        let sources = ferrite_cpu::bilinear_sources(dtype, inputs, outputs, false, half);
        Axis::new(&sources, inputs)
    }

    #[test]
    fn weights_are_small_fractions() {
        for (inputs, outputs, half, whole, runs) in [
            (6, 12, true, 4, 4),
            (6, 12, false, 2, 3),
            (6, 24, true, 8, 8),
            (6, 6, true, 1, 1),
        ] {
            for dtype in [DType::I8, DType::U8] {
                let axis = axis(dtype, inputs, outputs, half).expect("a whole factor");
                assert_eq!((axis.whole, axis.runs.len()), (whole, runs), "{outputs}");
                for run in &axis.runs {
                    assert_eq!(run.weights.iter().sum::<usize>(), whole);
                }
            }
        }
    }

    #[test]
    fn others_are_refused() {
        assert!(axis(DType::I8, 6, 9, true).is_none());
        assert!(axis(DType::I8, 6, 6 * (FACTOR + 1), true).is_none());
    }
}
