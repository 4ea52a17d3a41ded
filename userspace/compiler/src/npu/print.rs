//! The NPU form as text. [`parse`](super::parse()) reads it back.

use std::fmt::{self, Display};

use ferrite_ir::op::Hw;

use super::work::{Conv, Form, Grid, Grouping, Item, Patches, Pool, Range, Window, Work};
use crate::index::Index;

/// One item a line, in the order of the graph's operators.
pub fn print(index: &Index, form: &Form) -> String {
    let lines = form.items.iter().map(|item| {
        let result = index.graph.node(item.op).outputs.first();
        let result = result.map_or_else(|| "none".to_owned(), |id| id.to_string());
        format!("{result} = {} // op {}\n", Line(item), item.op.as_u32())
    });
    lines.collect()
}

/// An item as it is written behind its result.
struct Line<'a>(&'a Item);

/// Rows and columns.
struct Size(Hw);

impl Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.0.h, self.0.w)
    }
}

impl Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.work {
            Work::Conv(conv) => write!(f, "{conv}")?,
            Work::TransposedConv(conv) => write!(f, "transposed {conv}")?,
            Work::Pool(pool) => write!(f, "{pool}")?,
            Work::Add { operands, subtract } => {
                let name = if *subtract { "subtract" } else { "add" };
                write!(f, "{name} {} {}", operands[0], operands[1])?;
            }
            Work::Elementwise { function, operands } => {
                write!(f, "{} {} {}", function.name(), operands[0], operands[1])?;
            }
            Work::AddConstant {
                input,
                constant,
                subtract,
            } => {
                let name = if *subtract { "subtract" } else { "add" };
                write!(f, "{name}-constant {input} {constant}")?;
            }
            Work::Concat(operands) => {
                f.write_str("concat")?;
                for operand in operands {
                    write!(f, " {operand}")?;
                }
            }
            Work::Join { operands, columns } => {
                f.write_str(if *columns {
                    "join-columns"
                } else {
                    "join-rows"
                })?;
                for operand in operands {
                    write!(f, " {operand}")?;
                }
            }
            Work::Slice { input, first, step } => {
                let [y, x, channel] = first;
                write!(
                    f,
                    "slice {input} from {y}x{x}x{channel} step {}",
                    Size(*step)
                )?;
            }
            Work::Pad { input, before } => write!(f, "pad {input} before {}", Size(*before))?,
            Work::Channels { input, first } => write!(f, "channels {input} from {first}")?,
            Work::Prelu { input, slopes } => write!(f, "prelu {input} {slopes}")?,
            Work::PadChannels { input, before } => {
                write!(f, "pad-channels {input} before {before}")?;
            }
            Work::Nearest { input, grid } => write!(f, "nearest {input}{grid}")?,
            Work::Bilinear { input, grid } => write!(f, "bilinear {input}{grid}")?,
            Work::Split(input) => write!(f, "split {input}")?,
            Work::DepthToSpace { input, block } => {
                write!(f, "depth-to-space {input} block {block}")?
            }
            Work::SpaceToDepth { input, block } => {
                write!(f, "space-to-depth {input} block {block}")?
            }
            Work::Unfold(input) => write!(f, "unfold {input}")?,
            Work::Table(input) => write!(f, "table {input}")?,
            Work::Rescale(input) => write!(f, "rescale {input}")?,
            Work::View(source) => write!(f, "view {source}")?,
            Work::Host(why) => {
                write!(f, "host {:?}", why.reason)?;
                if let Some(remedy) = &why.remedy {
                    write!(f, " remedy {remedy:?}")?;
                }
            }
        }
        match self.0.range {
            Range::FULL => Ok(()),
            Range { low, high } => write!(f, " clamp {low}..{high}"),
        }
    }
}

impl Display for Conv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (input, filter) = (self.input, self.filter);
        write!(f, "{} {input} weights {filter}", self.kind.name())?;
        if let Some(bias) = self.bias {
            write!(f, " bias {bias}")?;
        }
        write!(f, "{}", self.window)?;
        if let Grouping::Groups {
            inputs,
            outputs,
            channel_last,
        } = self.grouping
        {
            let last = if channel_last { "-last" } else { "" };
            write!(f, " groups{last} {inputs}x{outputs}")?;
        }
        if self.images != 1 {
            write!(f, " images {}", self.images)?;
        }
        let [[h, w, c], [oh, ow, oc]] = [self.input_shape, self.output_shape];
        write!(f, " from {h}x{w}x{c} to {oh}x{ow}x{oc}")?;
        if let Some(patches) = &self.patches {
            let Patches { image, window } = **patches;
            let [h, w, c] = image;
            write!(f, " patches of {h}x{w}x{c}{window}")?;
        }
        Ok(())
    }
}

impl Display for Grid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.align_corners {
            f.write_str(" align-corners")?;
        }
        if self.half_pixel_centers {
            f.write_str(" half-pixel-centers")?;
        }
        Ok(())
    }
}

impl Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (one, none) = (Hw { h: 1, w: 1 }, Hw { h: 0, w: 0 });
        write!(f, " kernel {}", Size(self.kernel))?;
        if self.stride != one {
            write!(f, " stride {}", Size(self.stride))?;
        }
        if self.dilation != one {
            write!(f, " dilation {}", Size(self.dilation))?;
        }
        if self.pad != none {
            write!(f, " pad {}", Size(self.pad))?;
        }
        Ok(())
    }
}

impl Display for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind.name(), self.input)?;
        write!(f, " window {}", Size(self.window))?;
        write!(f, " stride {}", Size(self.stride))?;
        write!(f, " pad {}", Size(self.pad))?;
        if self.images != 1 {
            write!(f, " images {}", self.images)?;
        }
        let (from, to, c) = (Size(self.input_size), Size(self.output_size), self.channels);
        write!(f, " from {from}x{c} to {to}x{c}")
    }
}
