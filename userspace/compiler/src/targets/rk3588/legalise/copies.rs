//! Copies of rows and columns of maps, on their way to layers.

use ferrite_ir::op::Hw;
use ferrite_ir::{DType, OpId};

use super::finish::finish;
use super::pointwise::copy;
use crate::error::Unsupported;
use crate::targets::rk3588::context::Context;
use crate::targets::rk3588::program::{Layer, Rect, Side};

/// The layers of an operator so far.
pub struct Copies<'a, 'g> {
    /// Where maps and layers are made.
    pub ctx: &'a mut Context<'g>,
    /// The operator.
    pub op: OpId,
    /// The layers.
    pub layers: Vec<Layer>,
}

impl Copies<'_, '_> {
    /// A new map of this size with the channels of another.
    pub fn scratch(&mut self, like: Side, size: Hw) -> Side {
        let Hw { h, w } = size;
        let shape = [h, w, like.channels];
        let cube = self.ctx.program_mut().add_cube(shape, DType::I8, None);
        Side {
            cube,
            surface: 0,
            channels: like.channels,
            grid: size,
            rect: Rect { y: 0, x: 0, h, w },
        }
    }

    /// Columns that kernels can skip in front of the one that they read.
    fn skipped(&self) -> usize {
        self.ctx.chip().max_kernel - 1
    }

    /// Columns of `source` from `first` on, `step` apart, as the rectangle of `target`.
    pub fn pick(
        &mut self,
        source: Side,
        target: Side,
        first: usize,
        step: usize,
    ) -> Result<(), Unsupported> {
        let (source, first) = match first > self.skipped() && target.rect.w == 1 {
            true => self.narrowed(source, first)?,
            false => (source, first),
        };
        let mut layer = copy(self.ctx.chip(), self.op, source, target, "pick columns");
        layer.output.rect = target.rect;
        layer.input.rect.x = first;
        layer.input.rect.w -= first;
        layer.stride.w = step;
        self.push(layer)
    }

    /// A narrower map that has a column of `source`, and where.
    fn narrowed(
        &mut self,
        mut source: Side,
        mut column: usize,
    ) -> Result<(Side, usize), Unsupported> {
        let step = self.ctx.chip().max_stride;
        while column > self.skipped() {
            let (first, count) = (column % step, column / step + 1);
            let size = Hw {
                w: count,
                ..source.grid
            };
            let some = self.scratch(source, size);
            self.pick(source, some, first, step)?;
            (source, column) = (some, column / step);
        }
        Ok((source, column))
    }

    /// Appends a layer.
    pub fn push(&mut self, mut layer: Layer) -> Result<(), Unsupported> {
        finish(self.ctx, &mut layer)?;
        self.layers.push(layer);
        Ok(())
    }
}
