//! Cuts a layer into tasks whose operands fit the CBUF.
//!
//! A direct convolution needs all channels of the rows under its kernel at once, so it is cut into
//! rows, and into columns where not even one kernel height of full rows fits. A depthwise one may
//! also be cut into groups of 64 channels. Where the weights fit next to the data, row tiles after
//! the first reuse them.

use ferrite_hw::rk3588::Parameters;
use smallvec::{SmallVec, smallvec};

use crate::targets::rk3588::cbuf;
use crate::targets::rk3588::program::{Layer, Mode, Rect, Tile, Tiles};

/// What a tiling has to fit; all that matters of a [`Layer`].
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Sizes and limits of the chip.
    pub chip: &'static Parameters,
    /// Direct or depthwise.
    pub mode: Mode,
    /// Input rows and columns.
    pub input: [usize; 2],
    /// Output rows and columns.
    pub output: [usize; 2],
    /// Rows and columns the kernel spans.
    pub span: [usize; 2],
    /// Stride in rows and columns.
    pub stride: [usize; 2],
    /// Padding above and to the left.
    pub pad: [usize; 2],
    /// Kernel taps.
    pub taps: usize,
    /// Real input channels.
    pub inputs: usize,
    /// Real output channels.
    pub outputs: usize,
    /// Bytes of an element.
    pub element: usize,
    /// Column tiles allowed.
    pub columns: bool,
    /// Cores to divide the kernels over.
    pub cores: usize,
}

/// Why a layer cannot be cut to size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TilingError {
    /// Weights of one kernel group exceed the banks.
    #[error("one group of kernels takes {banks} CBUF banks of weights, at most {most} are free")]
    Weights {
        /// Banks needed.
        banks: usize,
        /// Banks that data leaves.
        most: usize,
    },
    /// Not even the smallest piece of input fits.
    #[error("the {rows} rows under the kernel do not fit in {banks} CBUF banks")]
    Data {
        /// Rows under the kernel.
        rows: usize,
        /// Banks available.
        banks: usize,
    },
    /// A tile would lie in the padding entirely.
    #[error("an output row sees nothing but padding")]
    OnlyPadding,
}

/// Largest number of kernels in a task; keeps within the 13 bits of the DPU's channel fields.
const MAX_KERNELS: usize = 4096;
/// What starting a task costs, in bytes of memory traffic: weighs task counts against re-reads.
const TASK_COST: usize = 64 * 1024;

/// One cut along an axis: output range, input range and leading padding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cut {
    out: (usize, usize),
    input: (usize, usize),
    pad: usize,
}

/// Cuts of an axis: mostly one.
type Cuts = SmallVec<[Cut; 1]>;

impl Shape {
    /// Of a layer.
    pub fn of(chip: &'static Parameters, layer: &Layer, cores: usize) -> Shape {
        let span = layer.span();
        Shape {
            chip,
            mode: layer.mode,
            input: [layer.input.rect.h, layer.input.rect.w],
            output: [layer.output.rect.h, layer.output.rect.w],
            span: [span.h, span.w],
            stride: [layer.stride.h, layer.stride.w],
            pad: [layer.pad.h, layer.pad.w],
            taps: layer.kernel.h * layer.kernel.w,
            inputs: layer.input.channels,
            outputs: layer.output.channels,
            element: 1,
            columns: false,
            cores,
        }
    }

    /// The input range that output `[from, to)` of an axis reads.
    fn cut(&self, axis: usize, from: usize, to: usize) -> Cut {
        let start = (from * self.stride[axis]) as isize - self.pad[axis] as isize;
        let end =
            ((to - 1) * self.stride[axis] + self.span[axis]) as isize - self.pad[axis] as isize;
        let low = start.max(0) as usize;
        let high = (end.max(0) as usize).min(self.input[axis]);
        Cut {
            out: (from, to - from),
            input: (low, high.saturating_sub(low)),
            pad: (-start).max(0) as usize,
        }
    }

    /// Longest possible cuts of an axis that read at most `limit` input elements and make at most
    /// `longest` output elements.
    fn cuts(&self, axis: usize, limit: usize, longest: usize) -> Option<Cuts> {
        let mut cuts = Cuts::new();
        let mut from = 0;
        while from < self.output[axis] {
            let by_limit = (limit + self.pad[axis].saturating_sub(from * self.stride[axis]))
                .checked_sub(self.span[axis])
                .map(|room| room / self.stride[axis] + 1);
            let mut to = (from + by_limit.unwrap_or(1).min(longest)).min(self.output[axis]);
            // The end of the map limits what is read, so the last cut may reach further.
            if self.cut(axis, from, self.output[axis]).input.1 <= limit
                && self.output[axis] - from <= longest
            {
                to = self.output[axis];
            }
            let cut = self.cut(axis, from, to);
            if cut.input.1 > limit || cut.input.1 == 0 {
                return None;
            }
            cuts.push(cut);
            from = to;
        }
        Some(cuts)
    }

    fn atoms(&self, channels: usize) -> usize {
        (channels * self.element).div_ceil(self.chip.atom_bytes)
    }

    /// Channels that a task of `channels` output channels reads.
    fn read_channels(&self, channels: usize) -> usize {
        match self.mode {
            Mode::Direct => self.inputs,
            Mode::Depthwise | Mode::Flying => channels,
        }
    }

    fn kernel_bytes(&self, channels: usize) -> usize {
        self.taps * self.chip.atom_bytes * self.atoms(self.read_channels(channels))
    }

    fn weight_bytes(&self, channels: usize) -> usize {
        match self.mode {
            Mode::Direct => self.kernel_bytes(channels) * channels,
            Mode::Depthwise => self.kernel_bytes(channels),
            Mode::Flying => 0,
        }
    }

    /// Weight banks without which the array cannot run.
    fn least_weight_banks(&self, channels: usize) -> usize {
        cbuf::weight_banks(
            self.chip,
            match self.mode {
                Mode::Direct => self.kernel_bytes(channels) * channels.min(self.chip.kernel_group),
                Mode::Depthwise => self.kernel_bytes(channels),
                Mode::Flying => 0,
            },
        )
    }

    /// Tiles with `data_banks` banks for data and `channels` output channels in a task.
    fn tiling(&self, data_banks: usize, channels: usize) -> Option<Tiles> {
        let atoms = self.atoms(self.read_channels(channels));
        let mut bands = 1;
        let (columns, rows, entries) = loop {
            let widest = self.output[1].div_ceil(bands);
            if bands > 1 && (!self.columns || bands > self.output[1]) {
                return None;
            }
            let columns = if bands == 1 {
                // Whole lines, whether or not the last columns matter.
                (self.input[1] <= self.chip.max_input).then(|| {
                    let mut cut = self.cut(1, 0, self.output[1]);
                    cut.input = (0, self.input[1]);
                    smallvec![cut]
                })
            } else {
                self.cuts(1, self.chip.max_input, widest)
            };
            if let Some(columns) = columns {
                let width = columns.iter().map(|c| c.input.1).max().unwrap_or(1);
                let entries = cbuf::row_entries(self.chip, width, atoms);
                let limit = cbuf::rows_in(self.chip, data_banks, entries).min(self.chip.max_input);
                if let Some(rows) = self.cuts(0, limit, self.output[0]) {
                    break (columns, rows, entries);
                }
            }
            bands += 1;
        };
        let most = rows.iter().map(|r| r.input.1).max().unwrap_or(1);
        let banks = cbuf::data_banks(self.chip, entries, most);
        let stays = self.weight_bytes(channels)
            <= (self.chip.cbuf_banks - banks) * self.chip.cbuf_bank_bytes;
        let parts = self.outputs.div_ceil(channels);
        let mut tiles = Tiles::with_capacity(parts * columns.len() * rows.len());
        for first in (0..self.outputs).step_by(channels) {
            let count = channels.min(self.outputs - first);
            let mut reuse_weights = false;
            for column in &columns {
                for row in &rows {
                    tiles.push(Tile {
                        output: rect(row.out, column.out),
                        input: rect(row.input, column.input),
                        pad_top: row.pad,
                        pad_left: column.pad,
                        first_channel: first,
                        channels: count,
                        entries: cbuf::row_entries(
                            self.chip,
                            column.input.1,
                            self.atoms(self.read_channels(count)),
                        ),
                        data_banks: banks,
                        reuse_weights,
                    });
                    reuse_weights = stays;
                }
            }
        }
        Some(tiles)
    }

    /// Steps of the MAC array for the whole layer.
    pub fn steps(&self) -> usize {
        let pixels = self.output[0] * self.output[1];
        let groups = self.outputs.div_ceil(self.mode.group(self.chip));
        match self.mode {
            Mode::Direct => pixels * self.taps * self.inputs.div_ceil(self.chip.mac_lanes) * groups,
            Mode::Depthwise => pixels * self.taps * groups,
            Mode::Flying => 0,
        }
    }

    /// Bytes that the whole layer reads and writes, each once: whole atoms, and whole groups of kernels.
    pub fn bytes(&self) -> usize {
        let maps = match self.mode {
            Mode::Flying => 2,
            _ => 1,
        };
        let [read, written] = [self.input, self.output].map(|[rows, columns]| rows * columns);
        let written = written * self.outputs.next_multiple_of(self.mode.group(self.chip));
        maps * read * self.chip.atom_bytes * self.atoms(self.inputs)
            + self.weight_bytes(self.outputs)
            + written
    }

    /// Memory traffic of a tiling and the price of its tasks, in bytes.
    fn cost(&self, tiles: &[Tile]) -> usize {
        tiles
            .iter()
            .map(|tile| {
                let atoms = self.atoms(self.read_channels(tile.channels));
                let data = tile.input.h * tile.input.w * atoms * self.chip.atom_bytes;
                let weights = if tile.reuse_weights {
                    0
                } else {
                    self.weight_bytes(tile.channels)
                };
                data + weights + TASK_COST
            })
            .sum()
    }

    /// Tiles of a layer without kernels, which the CBUF does not limit: rows.
    fn flying_tiles(&self) -> Tiles {
        let [rows, columns] = self.output;
        let starts = (0..rows).step_by(self.chip.max_flying);
        let tiles = starts.map(|from| {
            let part = rect((from, self.chip.max_flying.min(rows - from)), (0, columns));
            Tile {
                output: part,
                input: part,
                pad_top: 0,
                pad_left: 0,
                first_channel: 0,
                channels: self.outputs,
                entries: 0,
                data_banks: 0,
                reuse_weights: false,
            }
        });
        tiles.collect()
    }

    /// Weights that take so many banks.
    fn too_heavy(&self, banks: usize) -> TilingError {
        TilingError::Weights {
            banks,
            most: self.chip.cbuf_banks - 1,
        }
    }

    /// The cheapest tiling.
    pub fn tiles(&self) -> Result<Tiles, TilingError> {
        if self.mode == Mode::Flying {
            return Ok(self.flying_tiles());
        }
        for axis in 0..2 {
            for at in [0, self.output[axis] - 1] {
                if self.cut(axis, at, at + 1).input.1 == 0 {
                    return Err(TilingError::OnlyPadding);
                }
            }
        }
        let group = self.mode.group(self.chip);
        let share = self.outputs.div_ceil(self.cores.max(1));
        let share = share.next_multiple_of(group);
        let most = share.min(self.outputs).min(MAX_KERNELS);
        let mut chunks: SmallVec<[usize; 8]> = SmallVec::new();
        match self.mode {
            Mode::Direct => chunks.push(most),
            Mode::Depthwise | Mode::Flying => {
                let mut parts = 1;
                loop {
                    let chunk = self.outputs.div_ceil(parts).next_multiple_of(group);
                    chunks.push(chunk.min(most));
                    if chunk <= group {
                        break;
                    }
                    parts += 1;
                }
            }
        }
        chunks.dedup();
        let mut best: Option<(usize, Tiles)> = None;
        let mut error = None;
        'search: for chunk in chunks {
            let least = self.least_weight_banks(chunk);
            if least >= self.chip.cbuf_banks {
                error.get_or_insert(self.too_heavy(least));
                continue;
            }
            let all = cbuf::weight_banks(self.chip, self.weight_bytes(chunk));
            let roomy = all.clamp(least, self.chip.cbuf_banks - 1);
            let both = [least, roomy];
            for &weight_banks in if roomy == least { &both[..1] } else { &both } {
                let data_banks = self.chip.cbuf_banks - weight_banks;
                match self.tiling(data_banks, chunk) {
                    Some(tiles) => {
                        let cost = self.cost(&tiles);
                        if best.as_ref().is_none_or(|(least, _)| cost < *least) {
                            let single = tiles.len() == 1;
                            best = Some((cost, tiles));
                            if single {
                                // One task reads everything once: nothing costs less.
                                break 'search;
                            }
                        }
                    }
                    None => {
                        error = Some(TilingError::Data {
                            rows: self.span[0].min(self.input[0]),
                            banks: data_banks,
                        });
                    }
                }
            }
        }
        match (best, error) {
            (Some((_, tiles)), _) => Ok(tiles),
            (None, Some(error)) => Err(error),
            (None, None) => Err(self.too_heavy(self.chip.cbuf_banks)),
        }
    }
}

fn rect((y, h): (usize, usize), (x, w): (usize, usize)) -> Rect {
    Rect { y, x, h, w }
}
