//! Feature fetch: memory layout in, pixel-major panel with padding out.

use super::super::counters::Counters;
use super::super::fault::{Check, DmaUnit, FaultKind};
use super::super::simd::vectorised;
use super::cna::Conv;
use super::layout::{Converter, FeatureLayout};
use crate::memory::Memory;
use ferrite_process::parallel;

/// Largest panel, in values. Real tasks stay below 2^22: their input fits in 352 KiB.
const PANEL_LIMIT: u64 = 1 << 27;

/// Padded input of a task, as int16 in `[row][column][channel]`, two channels in a word.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Panel {
    /// Pairs of channels.
    pub pairs: Vec<i32>,
    /// Columns of a row, padding included.
    pub width: usize,
    /// Channels of a pixel.
    pub channels: usize,
}

impl Panel {
    /// Index of the first pair of a padded pixel.
    pub(crate) fn pixel(&self, row: usize, column: usize) -> usize {
        (row * self.width + column) * self.channels / 2
    }

    /// The values one by one.
    pub(crate) fn values(&self) -> &[i16] {
        bytemuck::cast_slice(&self.pairs)
    }
}

/// Input of a task as the buffer holds it: dense surfaces of atoms.
pub(crate) type Source = Vec<u8>;

/// Fetches the features of a task.
pub(crate) fn fetch(conv: &Conv, memory: &dyn Memory, counters: &mut Counters) -> Check<Source> {
    match conv.layout {
        FeatureLayout::Cube { line, surface } => fetch_cube(conv, line, surface, memory, counters),
        FeatureLayout::Packed { .. } => fetch_packed(conv, memory, counters),
    }
}

/// Lays out the features of a task.
pub(crate) fn panel(conv: &Conv, source: &Source) -> Check<Panel> {
    let extent = conv.extent();
    let rows = ((conv.out_height - 1) * conv.stride[0] + extent[0]) as usize;
    let width = ((conv.out_width - 1) * conv.stride[1] + extent[1]) as usize;
    let channels = conv.channels as usize;
    if rows as u64 * width as u64 * channels as u64 > PANEL_LIMIT {
        return Err(FaultKind::NotModelled(
            "padded inputs of more than 2^27 values",
        ));
    }
    let mut panel = Panel {
        pairs: vec![0; rows * width * channels / 2],
        width,
        channels,
    };
    let fill = Fill {
        conv,
        source,
        padding: (0..channels).map(|c| pad_value(conv, c)).collect(),
    };
    let row_values = width * channels;
    let values: &mut [i16] = bytemuck::cast_slice_mut(&mut panel.pairs);
    if values.len() > PARALLEL_VALUES {
        let rows = (PARALLEL_VALUES / 4).div_ceil(row_values);
        parallel::chunks_mut(values, row_values * rows, |i, chunk| {
            fill.rows(i * rows, chunk, row_values);
        });
    } else {
        fill.rows(0, values, row_values);
    }
    Ok(panel)
}

/// Panels above this size are laid out by several threads.
const PARALLEL_VALUES: usize = 1 << 17;

/// Fills rows of a panel.
struct Fill<'a> {
    conv: &'a Conv,
    source: &'a Source,
    /// One pixel of padding.
    padding: Vec<i16>,
}

impl Fill<'_> {
    fn rows(&self, first: usize, values: &mut [i16], row_values: usize) {
        vectorised(
            #[inline(always)]
            || {
                for (i, row) in values.chunks_exact_mut(row_values).enumerate() {
                    match self.conv.atom {
                        8 => self.row::<8>(first + i, row),
                        _ => self.row::<16>(first + i, row),
                    }
                }
            },
        );
    }

    #[inline(always)]
    fn row<const ATOM: usize>(&self, row: usize, out: &mut [i16]) {
        let (top, left) = (self.conv.pad[0] as usize, self.conv.pad[1] as usize);
        let (width, height) = (self.conv.in_width as usize, self.conv.in_height as usize);
        let plane = width * height * ATOM;
        let inside = row >= top && row - top < height;
        for (column, pixel) in out.chunks_exact_mut(self.padding.len()).enumerate() {
            if !inside || column < left || column - left >= width {
                pixel.copy_from_slice(&self.padding);
                continue;
            }
            let at = ((row - top) * width + column - left) * ATOM;
            let (atoms, _) = pulp::as_arrays_mut::<ATOM, _>(pixel);
            for (s, atom) in atoms.iter_mut().enumerate() {
                let from = &self.source[s * plane + at..][..ATOM];
                for (to, &value) in atom.iter_mut().zip(from) {
                    *to = i16::from(value as i8);
                }
            }
        }
    }
}

/// Padding value of a channel: the first byte, but for the odd channels in the lower half of each
/// group of 64 of a depthwise convolution (derived from a capture).
fn pad_value(conv: &Conv, channel: usize) -> i16 {
    let second = conv.depthwise && channel % 2 == 1 && channel % 64 < 32;
    i16::from(conv.pad_value[usize::from(second)])
}

/// Reads a cube into dense surfaces.
fn fetch_cube(
    conv: &Conv,
    line: i64,
    surface: i64,
    memory: &dyn Memory,
    counters: &mut Counters,
) -> Check<Vec<u8>> {
    let (width, height) = (conv.in_width as usize, conv.in_height as usize);
    let atom = conv.atom as usize;
    let mut bytes = vec![0; width * height * conv.channels as usize];
    counters.feature_bytes += bytes.len() as u64;
    let dense = line == width as i64;
    let run = if dense { width * height } else { width } * atom;
    for (s, plane) in bytes.chunks_exact_mut(width * height * atom).enumerate() {
        for (y, row) in plane.chunks_exact_mut(run).enumerate() {
            let offset = (s as i64 * surface + y as i64 * line) * atom as i64;
            read(memory, conv.feature_address, offset, row)?;
        }
    }
    Ok(bytes)
}

/// Reads packed pixels into the lanes of one atom per pixel; other lanes are 0.
fn fetch_packed(conv: &Conv, memory: &dyn Memory, counters: &mut Counters) -> Check<Vec<u8>> {
    let FeatureLayout::Packed {
        channels,
        pitch,
        dma_width,
        converter,
    } = conv.layout
    else {
        return Err(FaultKind::NotModelled("packed fetch of a cube"));
    };
    let (width, lanes) = (conv.in_width as usize, channels as usize);
    let atom = conv.atom as usize;
    let mut bytes = vec![0; width * conv.in_height as usize * atom];
    let mut row = vec![0; dma_width as usize * lanes];
    for (y, atoms) in bytes.chunks_exact_mut(width * atom).enumerate() {
        let offset = y as i64 * pitch * lanes as i64;
        read(memory, conv.feature_address, offset, &mut row)?;
        counters.feature_bytes += row.len() as u64;
        for (pixel, atom) in row.chunks_exact(lanes).zip(atoms.chunks_exact_mut(atom)) {
            for (lane, (&value, to)) in pixel.iter().zip(atom).enumerate() {
                *to = convert(&converter, lane, value) as u8;
            }
        }
    }
    Ok(bytes)
}

fn convert(converter: &Converter, lane: usize, byte: u8) -> i8 {
    if converter.bypass {
        return byte as i8;
    }
    let value = if converter.signed {
        i64::from(byte as i8)
    } else {
        i64::from(byte)
    };
    let (scale, offset, shift) = converter.lanes[lane % 4];
    let scaled = super::super::dpu::round_shift(value * scale, shift) + offset;
    scaled.clamp(-128, 127) as i8
}

fn read(memory: &dyn Memory, base: u32, offset: i64, out: &mut [u8]) -> Check {
    // Addresses wrap in 32 bits.
    let address = u64::from((i64::from(base) + offset) as u32);
    memory
        .read(address, out)
        .map_err(FaultKind::memory(DmaUnit::Features))
}
