//! Some channels of a map, or more than it has: whole atoms are where they are, others are selected by a 1x1 convolution.

use ferrite_hw::rk3588::Parameters;
use ferrite_ir::{DType, OpId, TensorId};

use super::finish::finish;
use super::pointwise::pointwise;
use crate::error::Unsupported;
use crate::lowered::Lowered;
use crate::npu::Item;
use crate::targets::rk3588::context::Context;
use crate::targets::rk3588::numbers::quant::Scaling;
use crate::targets::rk3588::program::{Layer, Mode, PROVEN, Side, Stage, Weights};

/// Layers for channels from `first` on.
pub fn channels(
    ctx: &mut Context,
    item: &Item,
    input: TensorId,
    first: usize,
) -> Result<Lowered<Layer>, Unsupported> {
    let layer = part(ctx, item.op, input, ctx.result(item.op), first)?;
    Ok(lowered(layer.into_iter().collect()))
}

/// Layers for all channels, cut into the operator's results.
pub fn split(
    ctx: &mut Context,
    item: &Item,
    input: TensorId,
) -> Result<Lowered<Layer>, Unsupported> {
    let (mut layers, mut first) = (Vec::new(), 0);
    let results = &ctx.graph.node(item.op).outputs;
    for &output in results {
        layers.extend(part(ctx, item.op, input, output, first)?);
        first += ctx.side(output)?.channels;
    }
    Ok(lowered(layers))
}

fn lowered(layers: Vec<Layer>) -> Lowered<Layer> {
    let name = match layers.is_empty() {
        true => "channels in their place",
        false => "channels by a selecting convolution",
    };
    Lowered::new(name, PROVEN, layers)
}

/// The layer that makes a map of channels from `first` on, unless they are a map where they are.
fn part(
    ctx: &mut Context,
    op: OpId,
    input: TensorId,
    output: TensorId,
    first: usize,
) -> Result<Option<Layer>, Unsupported> {
    let source = ctx.side(input)?;
    let target = ctx.side(output)?;
    let atom = ctx.chip().atom_channels(1);
    // What lies in the same atoms as the last channel would be taken for padding.
    if first.is_multiple_of(atom) && target.channels.is_multiple_of(atom) {
        let part = &mut ctx.program_mut().cubes[target.cube];
        debug_assert!(part.dtype == DType::I8 && part.part_of.is_none());
        part.part_of = Some((source.cube, source.surface + first / atom));
        return Ok(None);
    }
    let mut layer = select_from(ctx.chip(), op, source, target, "select channels", first);
    finish(ctx, &mut layer)?;
    Ok(Some(layer))
}

/// A 1x1 convolution that gives `target` the channels of `source` from `first` on.
pub fn select_from(
    chip: &Parameters,
    op: OpId,
    source: Side,
    target: Side,
    lowering: &'static str,
    first: usize,
) -> Layer {
    let atom = chip.atom_channels(1);
    let whole = first / atom * atom;
    let source = Side {
        surface: source.surface + whole / atom,
        channels: first + target.channels - whole,
        ..source
    };
    let from = (first - whole..).map(|channel| channel as u32);
    let from = from.take(target.channels).collect();
    select(op, source, target, lowering, from)
}

/// A 1x1 convolution that gives each channel of `target` the channel `from` of `source`.
pub fn select(
    op: OpId,
    source: Side,
    target: Side,
    lowering: &'static str,
    from: Vec<u32>,
) -> Layer {
    let mut layer = pointwise(op, source, target, lowering);
    layer.mode = Mode::Direct;
    layer.weights = Weights::Select { from };
    layer.stage = Stage::narrow(Scaling::ONE, 0);
    layer
}

/// What stands for no channel of a map.
const NONE: u32 = u32::MAX;

/// Layers for a map with channels of its zero point around its own: a 1x1 convolution in which these have
/// no weights.
pub fn pad(
    ctx: &mut Context,
    item: &Item,
    input: TensorId,
    before: usize,
) -> Result<Lowered<Layer>, Unsupported> {
    let (op, output) = (item.op, ctx.result(item.op));
    let zero = ctx.stored(output)?.zero;
    let (source, target) = (ctx.side(input)?, ctx.side(output)?);
    let from = |channel: usize| match channel.checked_sub(before) {
        Some(own) if own < source.channels => own as u32,
        _ => NONE,
    };
    let from: Vec<u32> = (0..target.channels).map(from).collect();
    let bias = |&from: &u32| if from == NONE { 0 } else { -zero };
    let bias = from.iter().map(bias).collect();
    let mut layer = select(op, source, target, "pad channels", from);
    layer.bias = bias;
    layer.stage = Stage::narrow(Scaling::ONE, zero);
    finish(ctx, &mut layer)?;
    Ok(Lowered::new(
        "channels by a selecting convolution",
        PROVEN,
        vec![layer],
    ))
}
