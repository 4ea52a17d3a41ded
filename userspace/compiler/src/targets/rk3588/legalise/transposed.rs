//! TRANSPOSE_CONV: a convolution for every phase of the output, and copies that put columns in between.
//!
//! Output elements a stride apart see the same taps of the kernel, in reverse, at neighbouring inputs: that
//! is a convolution of stride 1. Rows of a phase are written a stride apart; columns cannot be, so that
//! those of a phase become a map of their own first.

use ferrite_ir::DType;
use ferrite_ir::op::Hw;

use super::conv::{Part, part};
use super::finish::finish;
use super::interleave::{columns, rows};
use super::pointwise::{cascade, copy};
use crate::error::Unsupported;
use crate::lowered::Lowered;
use crate::npu::{Conv, Item, Window};
use crate::targets::rk3588::context::Context;
use crate::targets::rk3588::program::{Layer, PROVEN, Rect, Side, Taps};

/// Outputs of an axis that are a stride apart, as windows of stride 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Phase {
    /// Taps of the window.
    taps: usize,
    /// The filter's tap for the first of them; outside it if the window starts with taps without weight.
    first: isize,
    /// Inputs before the first that a window sees.
    start: usize,
    /// Padding in front of the input.
    pad: usize,
}

impl Phase {
    /// Of outputs `phase`, `phase + stride` and so on, `outputs` in all; `cut` outputs are left out before
    /// the first.
    fn new(phase: usize, [taps, stride, cut]: [usize; 3], inputs: usize, outputs: usize) -> Phase {
        let tap = (phase + cut) % stride;
        let own = taps.saturating_sub(tap).div_ceil(stride);
        // The first output's last tap, which is the filter's first of the phase, sees this input.
        let last = (phase + cut) / stride;
        let from = last as isize - own as isize + 1;
        // The last output has to see something, if by a tap without weight.
        let beyond = outputs as isize - 1 + from - (inputs as isize - 1);
        let more = beyond.max(isize::from(own == 0)).max(0);
        let from = from - more;
        let window = own + more as usize;
        Phase {
            taps: window,
            first: tap as isize + (window as isize - 1) * stride as isize,
            start: from.max(0) as usize,
            pad: (-from).max(0) as usize,
        }
    }
}

/// Layers for a transposed convolution.
pub fn transposed(
    ctx: &mut Context,
    item: &Item,
    conv: &Conv,
) -> Result<Lowered<Layer>, Unsupported> {
    let (op, result) = (item.op, ctx.result(item.op));
    let ([h, w, _], [oh, ow, channels]) = (conv.input_shape, conv.output_shape);
    let Window {
        kernel,
        stride,
        pad,
        ..
    } = conv.window;
    // As many outputs of each phase.
    let whole = Hw {
        h: oh.next_multiple_of(stride.h),
        w: ow.next_multiple_of(stride.w),
    };
    let count = Hw {
        h: whole.h / stride.h,
        w: whole.w / stride.w,
    };
    let output = ctx.side(result)?;
    let mut layers = Vec::new();
    let target = match whole == (Hw { h: oh, w: ow }) {
        true => output,
        false => scratch(ctx, [conv.images * whole.h, whole.w, channels]),
    };
    let mut shifts = Vec::new();
    for across in 0..stride.w {
        let x = Phase::new(across, [kernel.w, stride.w, pad.w], w, count.w);
        let of_phase = match stride.w {
            1 => target,
            _ => scratch(ctx, [conv.images * whole.h, count.w, channels]),
        };
        for down in 0..stride.h {
            let y = Phase::new(down, [kernel.h, stride.h, pad.h], h, count.h);
            let every = [-(stride.h as isize), -(stride.w as isize)];
            let mut target = rows(of_phase, down, stride.h);
            target.rect.h = count.h;
            let phase = Part {
                conv: Conv {
                    output_shape: [count.h, count.w, channels],
                    window: Window {
                        kernel: Hw {
                            h: y.taps,
                            w: x.taps,
                        },
                        pad: Hw { h: y.pad, w: x.pad },
                        ..Window::unit()
                    },
                    ..conv.clone()
                },
                taps: Taps {
                    first: [y.first, x.first],
                    every,
                    ..Taps::all(kernel)
                },
                start: Hw {
                    h: y.start,
                    w: x.start,
                },
                target,
                pitch: count.h,
            };
            shifts = part(ctx, item, phase, &mut layers)?;
        }
        if stride.w > 1 {
            let mut layer = copy(ctx.chip(), op, of_phase, target, "interleave");
            layer.input = columns(of_phase, 0, 1);
            layer.output = columns(target, across, stride.w);
            finish(ctx, &mut layer)?;
            layers.push(layer);
        }
    }
    if target.cube != output.cube {
        for image in 0..conv.images {
            let mut layer = copy(ctx.chip(), op, target, output, "crop");
            let rect = |rows: usize, h: usize, w: usize| Rect {
                y: image * rows,
                x: 0,
                h,
                w,
            };
            layer.input.rect = rect(whole.h, oh, whole.w);
            layer.output.rect = rect(oh, oh, ow);
            finish(ctx, &mut layer)?;
            layers.push(layer);
        }
    }
    cascade(ctx, &mut layers, op, result, &shifts)?;
    Ok(Lowered::new(
        "transposed convolution by phases",
        PROVEN,
        layers,
    ))
}

/// A new map.
fn scratch(ctx: &mut Context, shape: [usize; 3]) -> Side {
    let [h, w, channels] = shape;
    Side {
        cube: ctx.program_mut().add_cube(shape, DType::I8, None),
        surface: 0,
        channels,
        grid: Hw { h, w },
        rect: Rect { y: 0, x: 0, h, w },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Input and tap of every product that makes an output of an axis.
    fn products(at: usize, [taps, stride, cut]: [usize; 3], inputs: usize) -> Vec<(usize, usize)> {
        let tap = |input: usize| (at + cut).checked_sub(input * stride).filter(|&t| t < taps);
        (0..inputs).filter_map(|i| Some((i, tap(i)?))).collect()
    }

    #[test]
    fn phases_see_what_their_outputs_are_made_of() {
        for taps in 1..7_usize {
            for stride in 1..5 {
                for cut in 0..taps.div_ceil(2) {
                    for inputs in 1..5 {
                        for more in 0..2 {
                            let window = [taps, stride, cut];
                            check(window, inputs, inputs + more);
                        }
                    }
                }
            }
        }
    }

    fn check(window: [usize; 3], inputs: usize, count: usize) {
        let [taps, stride, _] = window;
        for phase in 0..stride {
            let made = Phase::new(phase, window, inputs, count);
            for at in 0..count {
                let mut seen = Vec::new();
                for tap in 0..made.taps {
                    let input = (at + tap + made.start).checked_sub(made.pad);
                    let weight = made.first - (tap * stride) as isize;
                    let weight = usize::try_from(weight).ok().filter(|&w| w < taps);
                    if let (Some(input), Some(weight)) = (input.filter(|&i| i < inputs), weight) {
                        seen.push((input, weight));
                    }
                }
                let expected = products(at * stride + phase, window, inputs);
                assert_eq!(seen, expected, "{window:?} {inputs} {count} {phase} {at}");
            }
        }
    }
}
