//! RESIZE_NEAREST_NEIGHBOR: copies of rows and of columns, those that lie equally far apart at once.

use ferrite_ir::TensorId;
use ferrite_ir::op::Hw;

use super::copies::Copies;
use super::interleave::{columns, rows};
use super::pointwise::copy;
use super::spread::spread_over;
use crate::error::Unsupported;
use crate::index::nhwc;
use crate::lowered::Lowered;
use crate::npu::{Grid, Item};
use crate::targets::rk3588::context::Context;
use crate::targets::rk3588::program::{Layer, PROVEN, Rect, Side};

/// Layers for a map of copies.
pub fn nearest(
    ctx: &mut Context,
    item: &Item,
    input: TensorId,
    grid: Grid,
) -> Result<Lowered<Layer>, Unsupported> {
    let output = ctx.result(item.op);
    let [images, h, w, _] = nhwc(ctx.tensor(input))?;
    let [_, oh, ow, _] = nhwc(ctx.tensor(output))?;
    let sources = |from, to| {
        ferrite_cpu::nearest_sources(from, to, grid.align_corners, grid.half_pixel_centers)
    };
    let of_image = sources(h, oh);
    let image = |n: usize| of_image.iter().map(move |row| n * h + row);
    let down: Vec<usize> = (0..images).flat_map(image).collect();
    let across = sources(w, ow);
    let (source, target) = (ctx.side(input)?, ctx.side(output)?);
    if (source.grid.h, source.grid.w) == (1, 1) && (oh, ow) != (1, 1) {
        let mut layers = Vec::new();
        spread_over(ctx, item.op, source, target, &mut layers)?;
        return Ok(Lowered::new("a pixel spread over a map", PROVEN, layers));
    }
    // The smaller map in between.
    let columns_first = oh > h;
    let size = match columns_first {
        true => [source.grid.h, target.grid.w],
        false => [target.grid.h, source.grid.w],
    };
    let mut copies = Copies {
        ctx,
        op: item.op,
        layers: Vec::new(),
    };
    let between = match size {
        size if size == [target.grid.h, target.grid.w] => target,
        size if size == [source.grid.h, source.grid.w] => source,
        [h, w] => copies.scratch(source, Hw { h, w }),
    };
    match columns_first {
        true => {
            copies.across(source, between, &across)?;
            copies.down(between, target, &down)?;
        }
        false => {
            copies.down(source, between, &down)?;
            copies.across(between, target, &across)?;
        }
    }
    if copies.layers.is_empty() {
        let layer = copy(copies.ctx.chip(), item.op, source, target, "nearest");
        copies.push(layer)?;
    }
    Ok(Lowered::new(
        "copies of rows and columns",
        PROVEN,
        copies.layers,
    ))
}

/// Outputs `phase`, `phase + every` and so on, which are copies of inputs from `first` on, `step` apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Phase {
    phase: usize,
    every: usize,
    first: usize,
    step: usize,
    count: usize,
}

/// The fewest phases that make all outputs, given the input of each.
fn phases(sources: &[usize]) -> Vec<Phase> {
    let fits = |every: usize| {
        let step = match sources.get(every) {
            Some(next) => next - sources[0],
            None => 1,
        };
        let pairs = sources.iter().zip(&sources[every..]);
        let steady = pairs.into_iter().all(|(now, next)| next - now == step);
        (step > 0 && steady).then_some((every, step))
    };
    let count = sources.len();
    let mut divisors = (1..=count).filter(|&every| count.is_multiple_of(every));
    let Some((every, step)) = divisors.find_map(fits) else {
        return Vec::new();
    };
    let phase = |phase: usize| Phase {
        phase,
        every,
        first: sources[phase],
        step,
        count: count / every,
    };
    (0..every).map(phase).collect()
}

impl Copies<'_, '_> {
    /// Rows of `target` as copies of those of `source`, unless these are one map.
    fn down(&mut self, source: Side, target: Side, sources: &[usize]) -> Result<(), Unsupported> {
        if source.cube == target.cube {
            return Ok(());
        }
        for phase in phases(sources) {
            let mut layer = copy(self.ctx.chip(), self.op, source, target, "nearest");
            layer.output = rows(target, phase.phase, phase.every);
            layer.input.rect.y = phase.first;
            layer.input.rect.h = (phase.count - 1) * phase.step + 1;
            layer.stride.h = phase.stride(self.ctx.chip().max_stride)?;
            self.push(layer)?;
        }
        Ok(())
    }

    /// Columns of `target` as copies of those of `source`, unless these are one map.
    fn across(&mut self, source: Side, target: Side, sources: &[usize]) -> Result<(), Unsupported> {
        if source.cube == target.cube {
            return Ok(());
        }
        let most = self.ctx.chip().max_stride;
        for phase in phases(sources) {
            // Every so-manieth column can be written, but not together with reading some columns only.
            let all = (phase.step, phase.count) == (1, source.grid.w);
            if phase.every == 1 {
                self.pick(source, target, phase.first, phase.stride(most)?)?;
            } else if all {
                self.spread(source, target, phase)?;
            } else if phase.count == 1 {
                let target = Side {
                    rect: Rect {
                        x: phase.phase,
                        w: 1,
                        ..target.rect
                    },
                    ..target
                };
                self.pick(source, target, phase.first, phase.stride(most)?)?;
            } else {
                let size = Hw {
                    w: phase.count,
                    ..source.grid
                };
                let picked = self.scratch(source, size);
                self.pick(source, picked, phase.first, phase.stride(most)?)?;
                self.spread(picked, target, phase)?;
            }
        }
        Ok(())
    }

    /// All columns of `source` as some of `target`.
    fn spread(&mut self, source: Side, target: Side, phase: Phase) -> Result<(), Unsupported> {
        let mut layer = copy(self.ctx.chip(), self.op, source, target, "nearest");
        layer.input = columns(source, 0, 1);
        layer.output = columns(target, phase.phase, phase.every);
        self.push(layer)
    }
}

impl Phase {
    /// The step, if there is one and a kernel, whose steps are `most` at most, can make it.
    fn stride(&self, most: usize) -> Result<usize, Unsupported> {
        match (self.count, self.step) {
            (1, _) => Ok(1),
            (_, step) if step <= most => Ok(step),
            (_, step) => Err(Unsupported::new(format!(
                "copies of every {step}th element, beyond the hardware's {most}"
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_make_each_output_once() {
        for sources in [
            vec![0, 0, 1, 1, 2, 2],
            vec![0, 2, 4],
            vec![0, 0, 1, 1, 2],
            vec![0, 1, 1, 2, 3, 3],
            vec![0, 1, 2],
            vec![0, 0, 0],
            vec![3],
        ] {
            let mut made = vec![None; sources.len()];
            for phase in phases(&sources) {
                for k in 0..phase.count {
                    let to = &mut made[k * phase.every + phase.phase];
                    assert_eq!(*to, None, "{sources:?}");
                    *to = Some(phase.first + k * phase.step);
                }
            }
            let expected: Vec<_> = sources.iter().copied().map(Some).collect();
            assert_eq!(made, expected);
        }
    }

    #[test]
    fn whole_factors_take_as_many_phases() {
        assert_eq!(phases(&[0, 0, 0, 1, 1, 1, 2, 2, 2]).len(), 3);
        assert_eq!(phases(&[0, 2, 4, 6]).len(), 1);
        assert_eq!(phases(&[0, 0, 1, 1, 2]).len(), 5);
    }
}
