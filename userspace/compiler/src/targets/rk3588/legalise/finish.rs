//! Completes a layer: its tiles, and the memory of its cubes.

use ferrite_ir::DType;

use super::tiles::Shape;
use crate::error::Unsupported;
use crate::executable::Evidence;
use crate::targets::rk3588::context::Context;
use crate::targets::rk3588::program::{CubeId, Layer, Mode, OPERAND_PITCH, Stage};

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
    if layer.mode != Mode::Flying {
        align_columns(ctx, layer)?;
    }
    let chip = ctx.chip();
    let mut shape = Shape::of(chip, layer, ctx.options.cores);
    // Rows become bands later. The vendor's jobs keep layers with a table on one core.
    let alone = layer.mode == Mode::Flying
        || matches!(layer.stage, Stage::Table(_))
        || layer.output.rect.h >= shape.cores;
    if alone || !ctx.cost().worth_dividing(&shape, shape.cores) {
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
    let written = layer
        .output
        .channels
        .next_multiple_of(layer.mode.group(chip));
    reserve(ctx, layer.output.cube, layer.output.surface, written);
    reserve(
        ctx,
        layer.input.cube,
        layer.input.surface,
        layer.padded_inputs(chip),
    );
    if let Some(addend) = layer.addend.filter(|_| layer.mode != Mode::Flying) {
        // Operand surfaces are fetched in pairs.
        reserve(ctx, addend.side.cube, addend.side.surface, written);
        let (root, _) = ctx.program().root(addend.side.cube);
        let cube = &mut ctx.program_mut().cubes[root];
        cube.surface_pitch = cube.surface_pitch.max(OPERAND_PITCH);
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
    if layer.dilation.w == 1
        && layer.kernel.w + skipped <= ctx.chip().max_kernel
        && layer.pad.w == 0
    {
        layer.kernel.w += skipped;
        layer.taps.first[1] -= skipped as isize * layer.taps.every[1];
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
    let per_atom = ctx.program().cube(cube).atom_channels(ctx.chip());
    let (root, first) = ctx.program().root(cube);
    let cube = &mut ctx.program_mut().cubes[root];
    debug_assert!(matches!(cube.dtype, DType::I8 | DType::I32));
    cube.surfaces = cube
        .surfaces
        .max(first + surface + channels.div_ceil(per_atom));
}
