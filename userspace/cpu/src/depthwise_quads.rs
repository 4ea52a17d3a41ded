//! Depthwise convolution by quads of bytes: of each column of a window, four rows at a time.
//!
//! For a line of the output, four lines of the input are interleaved, so that a lane's quad is what one
//! column of the window has in its channel. 3x3 taps are three instructions.

use super::KernelError;
use super::context::Byte;
use super::requant::{self, Requant};
use super::taps::unsigned;
use super::window::Axis;
use crate::memory;
use bytemuck::cast_slice;
use ferrite_process::parallel;
use ferrite_simd::{self as simd, Isa, LANES, QuadRow};

/// Largest number of bytes that a line of quads may take.
const MAX_BYTES: usize = 1 << 28;

pub(super) struct Quads {
    axes: [Axis; 2],
    input_channels: usize,
    channels: usize,
    /// Input rows of each tap, relative to the window's first: four to a quad.
    rows: Vec<i64>,
    /// For each four rows and each live column, the offset in bytes from the window's origin; twice
    /// where weights are the sum of two.
    taps: Vec<usize>,
    /// Pixels of a line in front of the input, and all.
    left: usize,
    line: usize,
    /// Lanes from pixel to pixel.
    pitch: usize,
    /// For each block of channels, one row for each of `taps`. Weights that do not fit a byte are the
    /// sum of two.
    filter: Vec<QuadRow>,
    /// The zero point as it is stored here, and its product with the weights of each channel.
    zero: u8,
    zero_sums: Vec<i32>,
}

impl Quads {
    /// `weights` are without their zero point, `zero` is the input's above the lowest byte. None if
    /// that is no way to compute it.
    pub fn new(
        input: [usize; 4],
        axes: [Axis; 2],
        weights: &[i16],
        zero: i32,
    ) -> Result<Option<Quads>, KernelError> {
        let [y, x] = axes;
        let channels = weights.len() / (y.taps * x.taps);
        let (rows, columns) = (y.live_taps(), x.live_taps());
        let (low, high) = (i16::from(i8::MIN), i16::from(i8::MAX));
        let fits = |parts: i16| {
            weights
                .iter()
                .all(|&w| (low * parts..=high * parts).contains(&w))
        };
        let parts = match (fits(1), fits(2)) {
            (true, _) => 1,
            (_, true) => 2,
            _ => return Ok(None),
        };
        let lowest = columns.first().map_or(0, |c| c.1).min(0);
        let reach = columns.last().map_or(0, |c| c.1) + ((x.output - 1) * x.stride) as i64;
        let left = -lowest as usize;
        let line = left + x.input.max(reach.max(0) as usize + 1);
        let pitch = channels;
        let bytes = line
            .checked_mul(pitch)
            .and_then(|n| n.checked_mul(4 * rows.len().div_ceil(4)));
        if bytes.is_none_or(|n| n > MAX_BYTES) {
            return Ok(None);
        }
        let fours = 0..rows.len().div_ceil(4);
        let taps = fours.flat_map(|four| columns.iter().map(move |column| (four, column.1)));
        let taps = taps.flat_map(|(four, column)| {
            let at = four * line + (column - lowest) as usize;
            std::iter::repeat_n(4 * at * pitch, parts as usize)
        });
        let taps: Vec<usize> = taps.collect();
        let mut filter = Vec::new();
        let mut zero_sums = vec![0i32; channels];
        for first in (0..channels).step_by(LANES) {
            for four in rows.chunks(4) {
                for (kx, _) in &columns {
                    for part in 0..parts {
                        let mut row: QuadRow = [0; 4 * LANES];
                        for (i, (ky, _)) in four.iter().enumerate() {
                            let from = &weights[(ky * x.taps + kx) * channels..][..channels];
                            let lanes = from.iter().zip(&mut zero_sums).skip(first).take(LANES);
                            for (lane, (&w, sum)) in lanes.enumerate() {
                                let first = w.clamp(low, high);
                                let w = if part == 0 { first } else { w - first };
                                row[4 * lane + i] = w as i8;
                                *sum = sum.wrapping_add(i32::from(w).wrapping_mul(zero));
                            }
                        }
                        filter.push(row);
                    }
                }
            }
        }
        Ok(Some(Quads {
            axes,
            input_channels: input[3],
            channels,
            rows: rows.iter().map(|r| r.1).collect(),
            taps,
            left,
            line,
            pitch,
            filter,
            zero: zero as u8,
            zero_sums,
        }))
    }

    /// What the input's zero point adds to a channel.
    pub fn zero_sum(&self, channel: usize) -> i32 {
        self.zero_sums[channel]
    }

    /// Convolves one map.
    pub fn run<T: Byte>(
        &self,
        requant: &Requant,
        input: &[T],
        output: &mut [T],
    ) -> Result<(), KernelError> {
        let [y, x] = self.axes;
        let line = x.output * self.channels;
        // Lines that share the memory of their quads.
        let lines = y.output.div_ceil(4 * parallel::threads());
        let mut work = memory::room(y.output.div_ceil(lines))?;
        for (i, output) in output.chunks_mut(lines * line).enumerate() {
            // Windows begin somewhere even where no tap is live, and a block of channels reaches into
            // what follows.
            let fours = self.rows.len().div_ceil(4).max(1);
            let count = fours * self.line * self.pitch + LANES;
            let quads = memory::repeated([self.zero; 4], count)?;
            work.push((i * lines, quads, output));
        }
        parallel::chunks_mut(&mut work, 1, |_, work| {
            for (first, quads, output) in work {
                simd::run(Lines {
                    by: self,
                    requant,
                    input,
                    first: *first,
                    quads,
                    output,
                });
            }
        });
        Ok(())
    }
}

/// Lines of output pixels.
struct Lines<'a, T> {
    by: &'a Quads,
    requant: &'a Requant,
    input: &'a [T],
    first: usize,
    /// For each four rows of a window, a line of the input.
    quads: &'a mut [[u8; 4]],
    output: &'a mut [T],
}

impl<T: Byte> simd::Loop for Lines<'_, T> {
    #[inline(always)]
    fn run<I: Isa, const TILE: usize, const BLOCKS: usize>(self, isa: I) {
        let by = self.by;
        let lines = self
            .output
            .chunks_exact_mut(by.axes[1].output * by.channels);
        for (i, output) in lines.enumerate() {
            let top = ((self.first + i) * by.axes[0].stride) as i64;
            let fours = self.quads.chunks_exact_mut(by.line * by.pitch);
            for (rows, quads) in by.rows.chunks(4).zip(fours) {
                interleave(by, self.input, rows, top, quads);
            }
            let data: &[u8] = cast_slice(self.quads);
            let step = by.axes[1].stride * by.pitch;
            for (block, first) in (0..by.channels).step_by(LANES).enumerate() {
                let filter = &by.filter[block * by.taps.len()..][..by.taps.len()];
                let lanes = LANES.min(by.channels - first);
                let rescale = isa.constants(self.requant.block(block));
                let tiles = output.chunks_mut(TILE * by.channels);
                for (tile, output) in tiles.enumerate() {
                    // A last, partial tile computes its last pixel several times.
                    let last = output.len() / by.channels - 1;
                    let windows: [&[u8]; TILE] = std::array::from_fn(|m| {
                        &data[4 * ((tile * TILE + m.min(last)) * step + first)..]
                    });
                    let mut acc = [isa.splat(0); TILE];
                    for (&tap, w) in by.taps.iter().zip(filter) {
                        for (acc, window) in acc.iter_mut().zip(windows) {
                            if let Some(x) = window[tap..].first_chunk() {
                                *acc = isa.add_lane_quads(*acc, x, w);
                            }
                        }
                    }
                    for (output, acc) in output.chunks_exact_mut(by.channels).zip(acc) {
                        let to = &mut output[first..first + lanes];
                        requant::store(isa, acc, rescale, to);
                    }
                }
            }
        }
    }
}

/// Makes quads of up to four lines of the input; those beyond its edge are its zero point.
#[inline(always)]
fn interleave<T: Byte>(by: &Quads, input: &[T], rows: &[i64], top: i64, quads: &mut [[u8; 4]]) {
    let [y, x] = by.axes;
    let len = x.input * by.input_channels;
    let lines: [Option<&[T]>; 4] = std::array::from_fn(|i| {
        let at = usize::try_from(top + rows.get(i)?)
            .ok()
            .filter(|&at| at < y.input)?;
        Some(&input[at * len..][..len])
    });
    let inside = &mut quads[by.left * by.pitch..][..x.input * by.pitch];
    let copies = by.channels / by.input_channels;
    if copies == 1 {
        fill(by.zero, lines, inside);
        return;
    }
    for (i, pixel) in inside.chunks_exact_mut(by.pitch).enumerate() {
        let lines = lines.map(|line| Some(&line?[i * by.input_channels..][..by.input_channels]));
        for (c, to) in pixel.chunks_exact_mut(copies).enumerate() {
            to.fill(lines.map(|line| line.map_or(by.zero, |line| unsigned(line[c]))));
        }
    }
}

#[inline(always)]
fn fill<T: Byte>(zero: u8, lines: [Option<&[T]>; 4], to: &mut [[u8; 4]]) {
    // Words and shifts become vector instructions; stores of single bytes do not.
    let word = |i: usize, x: T| u32::from(unsigned(x)) << (8 * i);
    let zeros = |i: usize| u32::from(zero) << (8 * i);
    let to: &mut [[u8; 4]] = to;
    match lines {
        [Some(a), Some(b), Some(c), None] => {
            for (((to, &a), &b), &c) in to.iter_mut().zip(a).zip(b).zip(c) {
                *to = (word(0, a) | word(1, b) | word(2, c) | zeros(3)).to_le_bytes();
            }
        }
        [Some(a), Some(b), Some(c), Some(d)] => {
            for ((((to, &a), &b), &c), &d) in to.iter_mut().zip(a).zip(b).zip(c).zip(d) {
                *to = (word(0, a) | word(1, b) | word(2, c) | word(3, d)).to_le_bytes();
            }
        }
        lines => {
            let empty = zeros(0) | zeros(1) | zeros(2) | zeros(3);
            to.fill(empty.to_le_bytes());
            for (i, line) in lines.iter().enumerate() {
                let Some(line) = line else { continue };
                for (to, &x) in to.iter_mut().zip(*line) {
                    to[i] = unsigned(x);
                }
            }
        }
    }
}
