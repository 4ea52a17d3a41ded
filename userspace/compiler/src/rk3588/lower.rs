//! Chooses, for each operator, how the target does it.

use ferrite_ir::op::{Binary, OpKind, Reduce};
use ferrite_ir::{DType, OpId, TensorId};

use super::context::{Context, map_shape};
use super::plan_tiles::Shape;
use super::program::{CubeId, Layer};
use super::quant::Stored;
use super::{lower_add, lower_concat, lower_conv, lower_max_pool, lower_pool, lower_requant};
use crate::Unsupported;
pub use crate::common::choice::Reads;
use crate::common::{self, fold_activation};
use crate::executable::Evidence;

/// Cycles from which a layer is divided over cores: a job costs the kernel and the interrupt 30 to
/// 55 us, some 50000 cycles at 1 GHz, so each of two halves should take twice that.
const WORTH_DIVIDING: usize = 200_000;

/// An operator as layers.
pub type Lowered = common::Lowered<Layer>;

/// What becomes of an operator.
pub type Choice = common::Choice<Layer>;

impl common::Work for Layer {
    fn writes(&self) -> CubeId {
        self.output.cube
    }

    fn op_mut(&mut self) -> &mut OpId {
        &mut self.op
    }
}

/// Chooses for operator `op`; layers refer to cubes in the context.
pub fn choose(ctx: &mut Context, op: OpId) -> Choice {
    let node = ctx.graph.node(op);
    if let Some(source) = view(ctx, op) {
        ctx.alias(node.outputs[0], source);
        return Choice::View(source);
    }
    let lowered = match &node.kind {
        OpKind::Conv2d(_) | OpKind::DepthwiseConv2d { .. } => lower_conv::lower_conv(ctx, op),
        OpKind::FullyConnected { .. } => lower_conv::lower_fully_connected(ctx, op),
        OpKind::Binary {
            op: Binary::Add | Binary::Sub,
            ..
        } => lower_add::lower_add(ctx, op),
        OpKind::Concatenation { .. } => lower_concat::lower_concat(ctx, op),
        OpKind::AveragePool2d(_) => lower_pool::lower_average_pool(ctx, op),
        OpKind::Reduce {
            op: Reduce::Mean, ..
        } => lower_pool::lower_mean(ctx, op),
        OpKind::Quantize | OpKind::Unary(_) => lower_requant::lower_requant(ctx, op),
        OpKind::MaxPool2d(_) => lower_max_pool::lower_max_pool(ctx, op),
        _ => Err(Unsupported::new(format!(
            "no lowering of {} to the RK3588",
            ctx.graph.op_name(op)
        ))),
    };
    match lowered {
        Ok((reads, mut lowered)) => {
            let weakest = lowered.layers.iter().map(|layer| layer.evidence).max();
            lowered.evidence = weakest.unwrap_or(lowered.evidence);
            Choice::Npu { reads, lowered }
        }
        Err(why) => Choice::Cpu(why),
    }
}

/// The tensor whose bytes the operator's result has, if it moves and changes nothing.
fn view(ctx: &Context, op: OpId) -> Option<TensorId> {
    let node = ctx.graph.node(op);
    let source = (*node.inputs.first()?)?;
    let output = *node.outputs.first()?;
    let (from, to) = (ctx.tensor(source), ctx.tensor(output));
    if from.is_constant() {
        return None;
    }
    match &node.kind {
        OpKind::Reshape | OpKind::Squeeze | OpKind::ExpandDims => {
            let (a, b) = (map_shape(from)?, map_shape(to)?);
            let same = a[0] * a[1] == b[0] * b[1] && a[2] == b[2];
            (same && Stored::of(from)? == Stored::of(to)?).then_some(source)
        }
        OpKind::Quantize => {
            let (a, b) = (Stored::of(from)?, Stored::of(to)?);
            (a.scale == b.scale && a.zero == b.zero).then_some(source)
        }
        OpKind::Unary(unary) => {
            fold_activation::fold(ctx, source, output, *unary).then_some(source)
        }
        _ => None,
    }
}

/// Plans the tiles of a complete layer and makes its cubes large enough for what the hardware
/// touches beyond the real channels.
pub fn finish(ctx: &mut Context, layer: &mut Layer) -> Result<(), Unsupported> {
    for side in [&layer.input, &layer.output] {
        if side.grid.h > 4096 * 8 || side.grid.w > 4096 {
            return Err(Unsupported::new(format!(
                "a map of {} x {} exceeds the hardware's extents",
                side.grid.h, side.grid.w
            )));
        }
    }
    align_columns(ctx, layer)?;
    let mut shape = Shape::of(layer, ctx.options.cores);
    if shape.cycles() < WORTH_DIVIDING {
        shape.cores = 1;
    }
    layer.cores = shape.cores;
    let mut tiles = shape.tiles();
    // Cutting columns means reading lines partly, which nobody has been seen doing.
    if tiles.is_err() && ctx.admits(Evidence::Inferred) {
        shape.columns = layer.addend.is_none();
        layer.evidence = Evidence::Inferred;
        tiles = shape.tiles();
    }
    layer.tiles = tiles.map_err(|why| Unsupported::new(why.to_string()))?;
    let written = layer.output.channels.next_multiple_of(layer.mode.group());
    reserve(ctx, layer.output.cube, layer.output.surface, written);
    reserve(
        ctx,
        layer.input.cube,
        layer.input.surface,
        layer.padded_inputs(),
    );
    if let Some(addend) = layer.addend {
        // Operand surfaces are fetched in pairs, and Mesa keeps their pitch at 12 atoms or more.
        reserve(ctx, addend.side.cube, addend.side.surface, written);
        let (root, _) = ctx.program.root(addend.side.cube);
        let cube = &mut ctx.program.cubes[root.0 as usize];
        cube.surface_pitch = cube.surface_pitch.max(12);
    }
    Ok(())
}

/// Has a layer start at the first column of its input, by taps without weight in front of those it
/// has, since reading whole lines is what is proven.
fn align_columns(ctx: &Context, layer: &mut Layer) -> Result<(), Unsupported> {
    let skipped = layer.input.rect.x;
    if skipped == 0 {
        layer.input.rect.w = layer.input.grid.w;
        return Ok(());
    }
    if layer.dilation.w == 1 && layer.kernel.w + skipped <= 31 && layer.pad.w == 0 {
        layer.kernel.w += skipped;
        layer.taps.first[1] -= skipped as isize;
        layer.input.rect.x = 0;
        layer.input.rect.w = layer.input.grid.w;
        return Ok(());
    }
    if ctx.admits(Evidence::Inferred) {
        layer.evidence = Evidence::Inferred;
        return Ok(());
    }
    Err(Unsupported::new(format!(
        "reading lines from column {skipped} on is only inferred from registers"
    ))
    .with_remedy("prove it with `ferrite selftest` on a board"))
}

fn reserve(ctx: &mut Context, cube: CubeId, surface: usize, channels: usize) {
    let per_atom = ctx.program.cube(cube).atom_channels();
    let (root, first) = ctx.program.root(cube);
    let cube = &mut ctx.program.cubes[root.0 as usize];
    debug_assert!(matches!(cube.dtype, DType::I8 | DType::I32));
    cube.surfaces = cube
        .surfaces
        .max(first + surface + channels.div_ceil(per_atom));
}
