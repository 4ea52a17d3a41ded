//! Depthwise convolution by one product of words an instruction, lane and tap: for machines without
//! quads, and for weights that need more than two bytes.

use super::KernelError;
use super::context::Byte;
use super::image::Frame;
use super::requant::{self, Requant};
use super::window::Axis;
use ferrite_process::parallel;
use ferrite_simd::{self as simd, Isa, LANES, PairRow};

pub(super) struct Lanes {
    axes: [Axis; 2],
    channels: usize,
    multiplier: usize,
    frame: Frame,
    /// Element offset of each tap from the window's origin.
    taps: Vec<usize>,
    /// For each block of channels, one row for each tap, with zeros at odd places.
    filter: Vec<PairRow>,
    zero_point: i32,
}

impl Lanes {
    /// `weights` are without their zero point.
    pub fn new(
        input: [usize; 4],
        axes: [Axis; 2],
        weights: &[i16],
        zero_point: i32,
    ) -> Result<Lanes, KernelError> {
        let [y_axis, x_axis] = axes;
        let channels = weights.len() / (y_axis.taps * x_axis.taps);
        let multiplier = channels / input[3];
        let frame = Frame::new(&y_axis, &x_axis, input[3], multiplier, LANES)?;
        let mut taps = Vec::new();
        let mut positions = Vec::new();
        for &(ky, dy) in &y_axis.live_taps() {
            for &(kx, dx) in &x_axis.live_taps() {
                taps.push(frame.tap(dy, dx));
                positions.push(ky * x_axis.taps + kx);
            }
        }
        let mut filter = Vec::new();
        for first in (0..channels).step_by(LANES) {
            for &position in &positions {
                let mut row = [0i16; 2 * LANES];
                let from = &weights[position * channels + first..(position + 1) * channels];
                for (r, &w) in row.iter_mut().step_by(2).zip(from) {
                    *r = w;
                }
                filter.push(row);
            }
        }
        Ok(Lanes {
            axes,
            channels,
            multiplier,
            frame,
            taps,
            filter,
            zero_point,
        })
    }

    /// Convolves one map.
    pub fn run<T: Byte>(
        &self,
        requant: &Requant,
        input: &[T],
        output: &mut [T],
    ) -> Result<(), KernelError> {
        let zero = self.zero_point as i16;
        let convert = |x: T| x.widen() as i16 - zero;
        let image = self
            .frame
            .lay_out(input, 0, (self.multiplier, 0), convert)?;
        let line = self.axes[1].output * self.channels;
        parallel::chunks_mut(output, line, |y, output| {
            simd::run(Line {
                lanes: self,
                requant,
                image: &image[y * self.axes[0].stride * self.frame.row..],
                output,
            });
        });
        Ok(())
    }
}

/// A line of output pixels.
struct Line<'a, T> {
    lanes: &'a Lanes,
    requant: &'a Requant,
    /// The map, from the line's first window on.
    image: &'a [i16],
    output: &'a mut [T],
}

impl<T: Byte> simd::Loop for Line<'_, T> {
    #[inline(always)]
    fn run<I: Isa, const TILE: usize, const BLOCKS: usize>(self, isa: I) {
        let Lanes {
            channels,
            taps,
            filter,
            frame,
            axes,
            ..
        } = self.lanes;
        let step = axes[1].stride * frame.pixel;
        for (block, first) in (0..*channels).step_by(LANES).enumerate() {
            let lanes = LANES.min(channels - first);
            let rescale = isa.constants(self.requant.block(block));
            let filter = &filter[block * taps.len()..][..taps.len()];
            let tiles = self.output.chunks_mut(TILE * channels);
            for (tile, output) in tiles.enumerate() {
                // A last, partial tile computes its last pixel several times.
                let last = output.len() / channels - 1;
                let windows: [&[i16]; TILE] = std::array::from_fn(|m| {
                    &self.image[(tile * TILE + m.min(last)) * step + first..]
                });
                let mut acc = [isa.splat(0); TILE];
                for (&tap, w) in taps.iter().zip(filter) {
                    for (acc, window) in acc.iter_mut().zip(windows) {
                        if let Some(x) = window[tap..].first_chunk() {
                            *acc = isa.add_lanes(*acc, x, w);
                        }
                    }
                }
                for (output, acc) in output.chunks_exact_mut(*channels).zip(acc) {
                    let to = &mut output[first..first + lanes];
                    requant::store(isa, acc, rescale, to);
                }
            }
        }
    }
}
