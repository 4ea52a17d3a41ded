//! Checks of the NPU-level form: what every layer must satisfy, whoever made it.

use ferrite_hw::rk3588::Parameters;

use super::cbuf;
use super::program::{Layer, Mode, Program, Side, Stage};

/// Everything wrong with a sequence of layers, in words.
pub fn verify(program: &Program, layers: &[Layer]) -> Vec<String> {
    let mut found = Vec::new();
    let chip = program.chip;
    for (index, layer) in layers.iter().enumerate() {
        let mut wrong = |what: String| found.push(format!("layer {index} ({layer}): {what}"));
        side(program, &layer.input, layer.padded_inputs(chip), &mut wrong);
        let written = layer
            .output
            .channels
            .next_multiple_of(layer.mode.group(chip));
        side(program, &layer.output, written, &mut wrong);
        if let Some(addend) = &layer.addend {
            side(program, &addend.side, written, &mut wrong);
            if size(&addend.side) != size(&layer.output) {
                wrong("the operand differs in size from the output".into());
            }
        }
        if layer.mode != Mode::Direct && layer.input.channels != layer.output.channels {
            wrong("depthwise with different numbers of channels".into());
        }
        let biases = match layer.mode {
            Mode::Flying => 1,
            _ => layer.output.channels,
        };
        if layer.mode == Mode::Flying && size(&layer.input) != size(&layer.output) {
            wrong("the input differs in size from the output".into());
        }
        if layer.stage != Stage::Raw && layer.bias.len() != biases {
            wrong(format!("{} biases", layer.bias.len()));
        }
        for (what, value, limit) in [
            (
                "kernel",
                layer.kernel.h.max(layer.kernel.w),
                chip.max_kernel,
            ),
            (
                "stride",
                layer.stride.h.max(layer.stride.w),
                chip.max_stride,
            ),
            (
                "dilation",
                layer.dilation.h.max(layer.dilation.w),
                chip.max_dilation,
            ),
            ("padding", layer.pad.h.max(layer.pad.w), chip.max_pad),
        ] {
            if value > limit {
                wrong(format!("{what} {value} exceeds {limit}"));
            }
        }
        tiles(chip, layer, &mut wrong);
    }
    found
}

fn size(side: &Side) -> [usize; 2] {
    [side.rect.h, side.rect.w]
}

fn side(program: &Program, side: &Side, channels: usize, wrong: &mut impl FnMut(String)) {
    let (root, first) = program.root(side.cube);
    let cube = program.cube(root);
    let [h, w, _] = cube.shape;
    if side.grid.h * side.grid.w > cube.surface_pitch || side.grid.h * side.grid.w != h * w {
        wrong(format!("{side} rearranges {h} x {w} pixels"));
    }
    let rect = side.rect;
    if rect.y + rect.h > side.grid.h || rect.x + rect.w > side.grid.w {
        wrong(format!("{side} reaches over the edge"));
    }
    let last = first + side.surface + channels.div_ceil(cube.atom_channels(program.chip));
    if last > cube.surfaces {
        wrong(format!("{side} needs {last} surfaces of {}", cube.surfaces));
    }
}

/// Each output element is made exactly once, of input that is there, within the CBUF.
fn tiles(chip: &Parameters, layer: &Layer, wrong: &mut impl FnMut(String)) {
    let made: usize = layer
        .tiles
        .iter()
        .map(|t| t.output.h * t.output.w * t.channels)
        .sum();
    let (output, input) = (layer.output.rect, layer.input.rect);
    if made != output.h * output.w * layer.output.channels {
        wrong(format!("tiles make {made} elements"));
    }
    for (i, a) in layer.tiles.iter().enumerate() {
        let apart = |b: &&super::program::Tile| {
            let rows = a.output.y < b.output.y + b.output.h && b.output.y < a.output.y + a.output.h;
            let columns =
                a.output.x < b.output.x + b.output.w && b.output.x < a.output.x + a.output.w;
            let channels = a.first_channel < b.first_channel + b.channels
                && b.first_channel < a.first_channel + a.channels;
            rows && columns && channels
        };
        if layer.tiles[..i].iter().any(|b| apart(&b)) {
            wrong(format!("tile {i} overlaps another"));
        }
        if a.input.y + a.input.h > input.h || a.input.x + a.input.w > input.w {
            wrong(format!("tile {i} reads over the edge"));
        }
        if layer.mode == Mode::Flying {
            if a.input != a.output || a.output.h.max(a.output.w) > chip.max_flying {
                wrong(format!("tile {i} moves pixels or has too many"));
            }
            continue;
        }
        let channels = match layer.mode {
            Mode::Direct => layer.input.channels,
            _ => a.channels,
        };
        let entries = cbuf::row_entries(chip, a.input.w, channels.div_ceil(chip.atom_channels(1)));
        if entries != a.entries || cbuf::data_banks(chip, entries, a.input.h) > a.data_banks {
            wrong(format!("tile {i} overflows {} data banks", a.data_banks));
        }
        if a.data_banks >= chip.cbuf_banks {
            wrong(format!("tile {i} leaves no bank for weights"));
        }
        // The first output row must start where the tile's input does.
        let first = (a.output.y * layer.stride.h) as isize - layer.pad.h as isize;
        if first != a.input.y as isize - a.pad_top as isize {
            wrong(format!(
                "tile {i} starts at row {first} but reads from {}",
                a.input.y
            ));
        }
        if i > 0 && a.reuse_weights && layer.tiles[i - 1].data_banks != a.data_banks {
            wrong(format!("tile {i} reuses weights after another bank split"));
        }
    }
    if layer.tiles.first().is_some_and(|t| t.reuse_weights) {
        wrong("the first tile reuses weights".into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broken_layers_are_noticed() {
        for (what, spoil) in spoilers() {
            let (program, mut layers) = sound();
            assert_eq!(verify(&program, &layers), [] as [String; 0]);
            spoil(&mut layers[0]);
            assert!(
                !verify(&program, &layers).is_empty(),
                "{what} goes unnoticed"
            );
        }
    }

    type Spoil = fn(&mut Layer);

    fn spoilers() -> [(&'static str, Spoil); 6] {
        [
            ("a missing tile", |l| {
                l.tiles.pop();
            }),
            ("a doubled tile", |l| {
                let tile = l.tiles[0];
                l.tiles.push(tile);
            }),
            ("too few banks", |l| l.tiles[0].data_banks = 1),
            ("a kernel that is too large", |l| l.kernel.h = 40),
            ("a bias too few", |l| {
                l.bias.pop();
            }),
            ("a shifted tile", |l| l.tiles[0].input.y += 1),
        ]
    }

    fn sound() -> (Program, Vec<Layer>) {
        use crate::targets::rk3588::legalise::{pointwise, tiles::Shape};
        use crate::targets::rk3588::numbers::quant::Scaling;
        use crate::targets::rk3588::program::Rect;
        use ferrite_ir::op::Hw;
        use ferrite_ir::{DType, OpId};
        let mut program = Program::default();
        let cubes = [(); 2].map(|()| program.add_cube([120, 120, 64], DType::I8, None));
        let side = |cube| Side {
            cube,
            surface: 0,
            channels: 64,
            grid: Hw { h: 120, w: 120 },
            rect: Rect {
                y: 0,
                x: 0,
                h: 120,
                w: 120,
            },
        };
        let [a, b] = cubes.map(side);
        let mut layer = pointwise(OpId::from_u32(0), a, b, "test");
        layer.stage = Stage::narrow(Scaling::ONE, 0);
        layer.tiles = Shape::of(program.chip, &layer, 1).tiles().expect("fits");
        (program, vec![layer])
    }
}
