//! The NPU form from text, as [`print`](super::print()) writes it.

use ferrite_ir::op::Hw;
use ferrite_ir::text::{Cursor, ParseError};
use ferrite_ir::{OpId, TensorId};

use super::work::{
    Conv, ConvKind, Elementwise, Form, Grid, Grouping, Item, Operands, Patches, Pool, PoolKind,
    Range, Window, Work,
};
use crate::error::Unsupported;

/// Reads a form. Empty lines are skipped.
pub fn parse(text: &str) -> Result<Form, ParseError> {
    let lines = text.lines().enumerate();
    let lines = lines.filter(|(_, line)| !line.trim().is_empty());
    let items = lines.map(|(number, line)| item(&mut Cursor::new(line, number + 1)));
    let items = items.collect::<Result<_, _>>()?;
    Ok(Form { items })
}

fn item(line: &mut Cursor) -> Result<Item, ParseError> {
    // The result is that of the operator, which the end of the line names.
    if !line.eat("none") {
        line.tensor()?;
    }
    line.expect("=")?;
    let work = work(line)?;
    let range = match line.eat("clamp ") {
        true => Range {
            low: number_before(line, "..")?,
            high: line.value("the largest value")?,
        },
        false => Range::FULL,
    };
    line.expect("//")?;
    line.expect("op")?;
    let op = OpId::from_u32(line.value("an operator number")?);
    line.end()?;
    Ok(Item { op, range, work })
}

/// A number that `end` follows, which is taken too.
fn number_before(line: &mut Cursor, end: &'static str) -> Result<i32, ParseError> {
    let before = *line;
    let word = line.until(end)?;
    word.trim()
        .parse()
        .map_err(|_| before.expected("the smallest value"))
}

fn work(line: &mut Cursor) -> Result<Work, ParseError> {
    let before = *line;
    Ok(match line.word("an item")? {
        "conv" => Work::Conv(conv(line, ConvKind::Conv)?),
        "depthwise" => Work::Conv(conv(line, ConvKind::Depthwise)?),
        "fully-connected" => Work::Conv(conv(line, ConvKind::FullyConnected)?),
        "transposed" => {
            line.expect("conv")?;
            Work::TransposedConv(conv(line, ConvKind::Conv)?)
        }
        "average" => Work::Pool(pool(line, PoolKind::Average)?),
        "mean" => Work::Pool(pool(line, PoolKind::Mean)?),
        "maximum" => Work::Pool(pool(line, PoolKind::Maximum)?),
        name @ ("add" | "subtract") => Work::Add {
            operands: [line.tensor()?, line.tensor()?],
            subtract: name == "subtract",
        },
        name @ ("add-constant" | "subtract-constant") => Work::AddConstant {
            input: line.tensor()?,
            constant: line.tensor()?,
            subtract: name == "subtract-constant",
        },
        "concat" => Work::Concat(operands(line)?),
        name @ ("join-rows" | "join-columns") => Work::Join {
            operands: operands(line)?,
            columns: name == "join-columns",
        },
        "slice" => {
            let input = line.tensor()?;
            line.expect("from")?;
            let first = numbers(line)?;
            line.expect("step")?;
            let step = size(line)?;
            Work::Slice { input, first, step }
        }
        "pad" => {
            let input = line.tensor()?;
            line.expect("before")?;
            let before = size(line)?;
            Work::Pad { input, before }
        }
        "channels" => {
            let input = line.tensor()?;
            line.expect("from")?;
            let first = line.value("the first channel")?;
            Work::Channels { input, first }
        }
        "nearest" => Work::Nearest {
            input: line.tensor()?,
            grid: grid(line),
        },
        "bilinear" => Work::Bilinear {
            input: line.tensor()?,
            grid: grid(line),
        },
        "prelu" => Work::Prelu {
            input: line.tensor()?,
            slopes: line.tensor()?,
        },
        "pad-channels" => {
            let input = line.tensor()?;
            line.expect("before")?;
            let before = line.value("a number of channels")?;
            Work::PadChannels { input, before }
        }
        "depth-to-space" => {
            let (input, block) = blocks(line)?;
            Work::DepthToSpace { input, block }
        }
        "space-to-depth" => {
            let (input, block) = blocks(line)?;
            Work::SpaceToDepth { input, block }
        }
        "unfold" => Work::Unfold(line.tensor()?),
        "split" => Work::Split(line.tensor()?),
        "table" => Work::Table(line.tensor()?),
        "rescale" => Work::Rescale(line.tensor()?),
        "view" => Work::View(line.tensor()?),
        "host" => Work::Host(Unsupported {
            reason: line.string()?,
            remedy: match line.eat("remedy") {
                true => Some(line.string()?),
                false => None,
            },
        }),
        name => {
            let mut functions = Elementwise::ALL.into_iter();
            let function = functions.find(|function| function.name() == name);
            Work::Elementwise {
                function: function.ok_or_else(|| before.expected("an item"))?,
                operands: [line.tensor()?, line.tensor()?],
            }
        }
    })
}

/// Numbers with an `x` between them.
fn numbers<const N: usize>(line: &mut Cursor) -> Result<[usize; N], ParseError> {
    let before = *line;
    let word = line.word("numbers with x between them")?;
    let parsed: Result<Vec<usize>, _> = word.split('x').map(str::parse).collect();
    parsed
        .ok()
        .and_then(|numbers| numbers.try_into().ok())
        .ok_or_else(|| before.expected("numbers with x between them"))
}

fn size(line: &mut Cursor) -> Result<Hw, ParseError> {
    let [h, w] = numbers(line)?;
    Ok(Hw { h, w })
}

/// What follows a keyword, if that is next.
fn after<T>(
    line: &mut Cursor,
    keyword: &str,
    value: impl FnOnce(&mut Cursor) -> Result<T, ParseError>,
) -> Result<Option<T>, ParseError> {
    match line.eat(keyword) {
        true => value(line).map(Some),
        false => Ok(None),
    }
}

fn operands(line: &mut Cursor) -> Result<Operands, ParseError> {
    let mut operands = Operands::new();
    while line.is_next("%") {
        operands.push(line.tensor()?);
    }
    Ok(operands)
}

fn blocks(line: &mut Cursor) -> Result<(TensorId, usize), ParseError> {
    let input = line.tensor()?;
    line.expect("block")?;
    Ok((input, line.value("the rows and columns of a block")?))
}

fn grid(line: &mut Cursor) -> Grid {
    Grid {
        align_corners: line.eat("align-corners"),
        half_pixel_centers: line.eat("half-pixel-centers"),
    }
}

fn images(line: &mut Cursor) -> Result<usize, ParseError> {
    let images = after(line, "images ", |line| line.value("a number of images"))?;
    Ok(images.unwrap_or(1))
}

fn window(line: &mut Cursor) -> Result<Window, ParseError> {
    line.expect("kernel")?;
    let (kernel, one) = (size(line)?, Hw { h: 1, w: 1 });
    Ok(Window {
        kernel,
        stride: after(line, "stride ", size)?.unwrap_or(one),
        dilation: after(line, "dilation ", size)?.unwrap_or(one),
        pad: after(line, "pad ", size)?.unwrap_or(Hw { h: 0, w: 0 }),
    })
}

fn patches(line: &mut Cursor) -> Result<Patches, ParseError> {
    Ok(Patches {
        image: numbers(line)?,
        window: window(line)?,
    })
}

fn conv(line: &mut Cursor, kind: ConvKind) -> Result<Conv, ParseError> {
    let input = line.tensor()?;
    line.expect("weights")?;
    let filter = line.tensor()?;
    let bias: Option<TensorId> = after(line, "bias ", |line| line.tensor())?;
    let window = window(line)?;
    let channel_last = line.is_next("groups-last");
    let grouping = match line.eat("groups-last ") || line.eat("groups ") {
        true => {
            let [inputs, outputs] = numbers(line)?;
            Grouping::Groups {
                inputs,
                outputs,
                channel_last,
            }
        }
        false => Grouping::Dense,
    };
    let images = images(line)?;
    line.expect("from")?;
    let input_shape = numbers(line)?;
    line.expect("to")?;
    let output_shape = numbers(line)?;
    Ok(Conv {
        kind,
        input,
        images,
        input_shape,
        output_shape,
        window,
        patches: after(line, "patches of ", patches)?.map(Box::new),
        grouping,
        filter,
        bias,
    })
}

fn pool(line: &mut Cursor, kind: PoolKind) -> Result<Pool, ParseError> {
    let input = line.tensor()?;
    line.expect("window")?;
    let window = size(line)?;
    line.expect("stride")?;
    let stride = size(line)?;
    line.expect("pad")?;
    let pad = size(line)?;
    let images = images(line)?;
    line.expect("from")?;
    let [h, w, channels] = numbers(line)?;
    line.expect("to")?;
    let before = *line;
    let [oh, ow, outputs] = numbers(line)?;
    if outputs != channels {
        return Err(before.expected("as many channels as there are in the input"));
    }
    Ok(Pool {
        kind,
        input,
        images,
        input_size: Hw { h, w },
        output_size: Hw { h: oh, w: ow },
        channels,
        window,
        stride,
        pad,
    })
}
