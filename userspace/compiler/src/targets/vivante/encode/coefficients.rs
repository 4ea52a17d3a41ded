//! The coefficient stream of the v7 NN cores: kernels dealt to cores, zero runs, biases inline.
//!
//! A stream is a header with the byte size of each core's block and the blocks, each a bit string:
//! run field width (8 bits), number of kernels (16), then symbols `[run][value]`, which stand for
//! `run` zero points and one value, with a bias word after the first weight of each kernel and the
//! place of its output plane after the last.
//!
//! The kernels that a core holds at once are interleaved by input channel. Of 1x1 kernels the chip
//! takes one channel at a time where the descriptor's RELU bit is set, and [`SIX`] where it is not.

use std::ops::Range;

use super::symbols::{Raw, Runs, Sink, Sizes};
use crate::targets::vivante::chip::{ALIGN, CORES, MAX_RUN_BITS};

/// Bytes of the header: one word for each core.
const HEADER: usize = (4 * CORES).next_multiple_of(ALIGN);

/// Input channels of a 1x1 kernel that come together where RELU is clear.
const SIX: usize = 6;

/// What the encoder asks for one layer.
pub trait Kernels {
    /// Output channels, input channels, taps along y and x.
    fn shape(&self) -> [usize; 4];
    /// Weight of a tap; None if it is the zero point.
    fn weight(&self, output: usize, input: usize, y: usize, x: usize) -> Option<u8>;
    /// Outputs whose weights for an input may differ from the zero point.
    fn meeting(&self, input: usize) -> Range<usize>;
    /// Weights of an output of a 1x1 kernel, one for each input; `row` is zero points.
    fn row(&self, output: usize, row: &mut [u8]) {
        for (input, weight) in row.iter_mut().enumerate() {
            *weight = self.weight(output, input, 0, 0).unwrap_or(*weight);
        }
    }
    /// Bias of an output channel, with the input's zero point folded in.
    fn bias(&self, output: usize) -> i32;
    /// Weight zero point.
    fn zero(&self) -> u8;
    /// Bytes of one output plane.
    fn plane(&self) -> usize;
}

/// Cores that a layer with so many output channels uses.
pub fn cores_used(outputs: usize) -> usize {
    outputs.min(CORES)
}

/// Output planes that the kernels of all cores write: a core holds as many kernels as every other.
pub fn planes_written(outputs: usize) -> usize {
    outputs.next_multiple_of(cores_used(outputs).max(1))
}

/// Whether a job's RELU bit is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relu {
    /// No: results below the zero point count.
    Clear,
    /// Yes.
    Set,
    /// It changes no result: the smaller stream decides.
    Free,
}

/// An encoded layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stream {
    /// Header and blocks.
    pub bytes: Vec<u8>,
    /// The RELU bit that the stream's order goes with.
    pub relu: bool,
    /// Width of the run field.
    pub run_bits: u32,
    /// Bytes of the largest block.
    pub largest_block: usize,
}

/// Encodes a layer, with the run field width that takes the fewest bytes. No known job has runs in
/// 1x1 kernels whose channels come six at a time.
pub fn encode(kernels: &impl Kernels, superblocks: usize, relu: Relu) -> Stream {
    let mut layout = Layout::new(kernels, superblocks);
    let run_bits = match relu {
        Relu::Clear if layout.is_pointwise() => 0,
        _ => layout.best_run_bits(),
    };
    let relu = match relu {
        Relu::Clear => false,
        Relu::Set => true,
        Relu::Free => layout.is_pointwise() && run_bits > 0,
    };
    if layout.is_pointwise() && !relu {
        layout.step = SIX;
    }
    let mut bytes = vec![0; HEADER];
    let mut largest_block = 0;
    for core in 0..layout.cores {
        let block = layout.block(core, run_bits);
        bytes[4 * core..4 * core + 4].copy_from_slice(&(block.len() as u32).to_le_bytes());
        largest_block = largest_block.max(block.len());
        bytes.extend(block);
    }
    Stream {
        bytes,
        relu,
        run_bits,
        largest_block,
    }
}

/// Output channels of a core in a superblock.
fn channels(
    core: usize,
    cores: usize,
    per_core: usize,
    superblock: usize,
    superblocks: usize,
) -> Range<usize> {
    let full = per_core.div_ceil(superblocks);
    let count = full.min(per_core.saturating_sub(full * superblock));
    let first = core * count + superblock * full * cores;
    first..first + count
}

/// How the kernels of a layer are dealt out. Channels from the real number on, which exist where it
/// is no multiple of the cores, have no weights.
struct Layout<'a, K> {
    kernels: &'a K,
    outputs: usize,
    inputs: usize,
    cores: usize,
    per_core: usize,
    superblocks: usize,
    /// Input channels that come together.
    step: usize,
    /// Empty for 1x1 kernels.
    taps: Vec<(usize, usize)>,
    /// Weights of 1x1 kernels, by output and input.
    rows: Vec<u8>,
}

impl<'a, K: Kernels> Layout<'a, K> {
    fn new(kernels: &'a K, superblocks: usize) -> Self {
        let [outputs, inputs, height, width] = kernels.shape();
        let cores = cores_used(outputs);
        let per_core = outputs.div_ceil(cores.max(1));
        let (mut order, mut rows) = (Vec::new(), Vec::new());
        if (height, width) == (1, 1) {
            rows.resize(per_core * cores * inputs, kernels.zero());
            for (output, row) in (0..outputs).zip(rows.chunks_exact_mut(inputs.max(1))) {
                kernels.row(output, row);
            }
        } else {
            order = taps(height, width);
        }
        Layout {
            kernels,
            outputs,
            inputs,
            cores,
            per_core,
            superblocks,
            step: 1,
            taps: order,
            rows,
        }
    }

    fn is_pointwise(&self) -> bool {
        self.taps.is_empty()
    }

    /// The run field width that takes the fewest bytes.
    fn best_run_bits(&self) -> u32 {
        if self.is_pointwise() && (0..self.cores).all(|core| self.is_raw_best(core)) {
            return 0;
        }
        let mut totals = [0; MAX_RUN_BITS as usize + 1];
        for core in 0..self.cores {
            let mut sizes = Sizes::new(self.kernels.zero());
            self.write(core, &mut sizes);
            for (total, size) in totals.iter_mut().zip(sizes.bytes()) {
                *total += size;
            }
        }
        (0..=MAX_RUN_BITS)
            .min_by_key(|&width| totals[width as usize])
            .unwrap_or(0)
    }

    /// Whether a core's 1x1 kernels have so few zero points that runs cannot pay: each other weight
    /// takes a symbol of nine bits or more then, and eight without.
    fn is_raw_best(&self, core: usize) -> bool {
        let (mut weights, mut zeros) = (0, 0);
        for superblock in 0..self.superblocks {
            let rows = self.rows_of(self.channels(core, superblock));
            weights += rows.len();
            zeros += occurrences(self.kernels.zero(), rows);
        }
        9 * zeros <= weights
    }

    /// Output channels of a core in a superblock.
    fn channels(&self, core: usize, superblock: usize) -> Range<usize> {
        channels(
            core,
            self.cores,
            self.per_core,
            superblock,
            self.superblocks,
        )
    }

    /// Weights of 1x1 kernels.
    fn rows_of(&self, channels: Range<usize>) -> &[u8] {
        &self.rows[channels.start * self.inputs..channels.end * self.inputs]
    }

    /// A core's block.
    fn block(&self, core: usize, run_bits: u32) -> Vec<u8> {
        let zero = self.kernels.zero();
        if run_bits == 0 {
            let taps = self.taps.len().max(1);
            let size = self.per_core * (self.inputs * taps + 8) + ALIGN;
            let mut raw = Raw::new(zero, self.per_core, size);
            self.write(core, &mut raw);
            return raw.finish();
        }
        let mut runs = Runs::new(zero, self.per_core, run_bits);
        self.write(core, &mut runs);
        runs.finish()
    }

    /// Hands over the weights of a core in the order in which the hardware takes them.
    fn write(&self, core: usize, out: &mut impl Sink) {
        for superblock in 0..self.superblocks {
            let of = self.channels(core, superblock);
            if self.is_pointwise() {
                self.pointwise(of, out);
            } else {
                self.spatial(of, out);
            }
        }
    }

    /// One or six input channels of every 1x1 kernel in turn.
    fn pointwise(&self, channels: Range<usize>, out: &mut impl Sink) {
        let rows = self.rows_of(channels.clone());
        for first in (0..self.inputs).step_by(self.step) {
            let end = self.inputs.min(first + self.step);
            for (row, output) in rows.chunks_exact(self.inputs).zip(channels.clone()) {
                let weights = &row[first..end];
                if first == 0 {
                    out.weights(&weights[..1]);
                    out.word(self.bias(output));
                    out.weights(&weights[1..]);
                } else if let Some(whole) = weights.first_chunk::<SIX>() {
                    // A number that is known saves a call.
                    out.weights(whole);
                } else {
                    out.weights(weights);
                }
                if end == self.inputs {
                    out.word(self.place(output));
                }
            }
        }
    }

    /// All taps of an input channel of every kernel in turn.
    fn spatial(&self, channels: Range<usize>, out: &mut impl Sink) {
        let taps = self.taps.len();
        let mut weights = vec![0; taps];
        for input in 0..self.inputs {
            let meeting = self.kernels.meeting(input);
            let meeting = meeting.start..meeting.end.min(self.outputs);
            let (first, last) = (input == 0, input == self.inputs - 1);
            if !first && !last {
                // Most channels of a depthwise layer.
                let start = meeting.start.clamp(channels.start, channels.end);
                let end = meeting.end.clamp(start, channels.end);
                out.zeros((start - channels.start) * taps);
                for output in start..end {
                    self.fill(output, input, &mut weights);
                    out.weights(&weights);
                }
                out.zeros((channels.end - end) * taps);
                continue;
            }
            for output in channels.clone() {
                weights.fill(self.kernels.zero());
                if meeting.contains(&output) {
                    self.fill(output, input, &mut weights);
                }
                if first {
                    out.weights(&weights[..1]);
                    out.word(self.bias(output));
                    out.weights(&weights[1..]);
                } else {
                    out.weights(&weights);
                }
                if last {
                    out.word(self.place(output));
                }
            }
        }
    }

    fn fill(&self, output: usize, input: usize, weights: &mut [u8]) {
        for (weight, &(y, x)) in weights.iter_mut().zip(&self.taps) {
            let given = self.kernels.weight(output, input, y, x);
            *weight = given.unwrap_or(self.kernels.zero());
        }
    }

    fn bias(&self, output: usize) -> u32 {
        if output < self.outputs {
            self.kernels.bias(output) as u32
        } else {
            0
        }
    }

    fn place(&self, output: usize) -> u32 {
        (output * self.kernels.plane()) as u32
    }
}

/// How often a byte is among others.
fn occurrences(byte: u8, among: &[u8]) -> usize {
    // Few enough at a time for a sum of bytes, of which a vector instruction adds many.
    let part = |part: &[u8]| usize::from(part.iter().map(|&b| u8::from(b == byte)).sum::<u8>());
    among.chunks(usize::from(u8::MAX)).map(part).sum()
}

/// Taps of a kernel larger than 1x1 in the hardware's order: by pairs of rows, in each pair first
/// the three left columns, then the others.
fn taps(height: usize, width: usize) -> Vec<(usize, usize)> {
    let mut taps = Vec::with_capacity(height * width);
    for first in (0..height).step_by(2) {
        let rows = first..height.min(first + 2);
        for y in rows.clone() {
            taps.extend((0..width.min(3)).map(|x| (y, x)));
        }
        for y in rows {
            taps.extend((3..width).map(|x| (y, x)));
        }
    }
    taps
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Plain {
        shape: [usize; 4],
        weights: Vec<u8>,
        zero: u8,
        bias: Vec<i32>,
        plane: usize,
    }

    impl Kernels for Plain {
        fn shape(&self) -> [usize; 4] {
            self.shape
        }
        fn weight(&self, output: usize, input: usize, y: usize, x: usize) -> Option<u8> {
            let [_, inputs, height, width] = self.shape;
            Some(self.weights[((output * inputs + input) * height + y) * width + x])
        }
        fn meeting(&self, _: usize) -> Range<usize> {
            0..self.shape[0]
        }
        fn bias(&self, output: usize) -> i32 {
            self.bias[output]
        }
        fn zero(&self) -> u8 {
            self.zero
        }
        fn plane(&self) -> usize {
            self.plane
        }
    }

    fn words(bytes: &[u8]) -> Vec<u32> {
        bytes
            .as_chunks()
            .0
            .iter()
            .map(|&w| u32::from_le_bytes(w))
            .collect()
    }

    fn block(kernels: &Plain, run_bits: u32) -> Vec<u32> {
        let layout = Layout::new(kernels, 1);
        let mut sizes = Sizes::new(kernels.zero);
        layout.write(0, &mut sizes);
        let bytes = layout.block(0, run_bits);
        assert_eq!(bytes.len(), sizes.bytes()[run_bits as usize]);
        words(&bytes)
    }

    /// The vendor's job that runs on the A311D after reset.
    #[test]
    fn the_golden_job_comes_out_word_by_word() {
        let kernels = Plain {
            shape: [1, 1, 2, 2],
            weights: vec![0xff; 4],
            zero: 0,
            bias: vec![0],
            plane: 2,
        };
        let stream = encode(&kernels, 1, Relu::Clear);
        assert_eq!((stream.run_bits, stream.bytes.len()), (0, 128));
        let words = words(&stream.bytes);
        assert_eq!(words[0], 0x40);
        assert!(words[1..16].iter().all(|&w| w == 0));
        assert_eq!(words[16..20], [0xff00_0100, 0, 0x00ff_ffff, 0]);
        assert!(words[20..].iter().all(|&w| w == 0));
    }

    #[test]
    fn a_pointwise_kernel_is_written_raw() {
        let kernels = Plain {
            shape: [1, 2, 1, 1],
            weights: vec![0x90, 0x7f],
            zero: 0x80,
            bias: vec![-50],
            plane: 1,
        };
        let expected = [0x9000_0100, 0xffff_ffce, 0x7f, 0];
        assert_eq!(block(&kernels, 0)[..4], expected);
    }

    #[test]
    fn runs_end_before_words() {
        let mut weights = vec![0x80; 9];
        weights[2] = 0x85;
        let kernels = Plain {
            shape: [1, 1, 3, 3],
            weights,
            zero: 0x80,
            bias: vec![7],
            plane: 1,
        };
        let expected = [0x0000_0103, 0x0000_003c, 0x0101_6148, 0];
        assert_eq!(block(&kernels, 3)[..4], expected);
    }

    #[test]
    fn taps_come_in_blocks_of_three_columns_and_two_rows() {
        let order = taps(3, 5);
        let row = |y: usize, x: std::ops::Range<usize>| x.map(move |x| (y, x));
        let expected: Vec<_> = row(0, 0..3)
            .chain(row(1, 0..3))
            .chain(row(0, 3..5))
            .chain(row(1, 3..5))
            .chain(row(2, 0..5))
            .collect();
        assert_eq!(order, expected);
    }

    #[test]
    fn every_channel_has_one_place_among_cores_and_superblocks() {
        for (outputs, superblocks) in [(1usize, 1usize), (7, 1), (64, 2), (1001, 6), (256, 7)] {
            let cores = cores_used(outputs);
            let per_core = outputs.div_ceil(cores);
            let mut seen: Vec<usize> = (0..cores)
                .flat_map(|core| {
                    (0..superblocks)
                        .flat_map(move |s| channels(core, cores, per_core, s, superblocks))
                })
                .collect();
            seen.sort_unstable();
            let all: Vec<usize> = (0..planes_written(outputs)).collect();
            assert_eq!(seen, all, "{outputs} {superblocks}");
        }
    }

    #[test]
    fn the_narrowest_stream_is_chosen() {
        let weights = (0..64 * 9)
            .map(|i| if i % 16 == 0 { 9 } else { 3 })
            .collect();
        let kernels = Plain {
            shape: [8, 8, 3, 3],
            weights,
            zero: 3,
            bias: vec![0; 8],
            plane: 100,
        };
        let best = encode(&kernels, 1, Relu::Clear);
        let layout = Layout::new(&kernels, 1);
        for n in 0..=MAX_RUN_BITS {
            let bytes: usize = (0..8).map(|core| layout.block(core, n).len()).sum();
            assert!(best.bytes.len() <= HEADER + bytes, "{n}");
        }
        assert!(best.run_bits > 0);
    }
}
