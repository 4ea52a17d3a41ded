//! The coefficient stream of the v7 NN cores: kernels dealt to cores, zero runs, biases inline.
//!
//! A stream is a header with the byte size of each core's block and the blocks, each a bit string:
//! run field width (8 bits), number of kernels (16), then symbols `[run][value]`, which stand for
//! `run` zero points and one value, with a bias word after the first weight of each kernel and the
//! place of its output plane after the last.

use super::bits::BitWriter;
use super::chip::{ALIGN, CORES, MAX_RUN_BITS};

/// Bytes of the header: one word for each core.
const HEADER: usize = (4 * CORES).next_multiple_of(ALIGN);

/// What the encoder asks for one layer.
pub trait Kernels {
    /// Output channels, input channels, taps along y and x.
    fn shape(&self) -> [usize; 4];
    /// Weight of a tap; None if it is the zero point.
    fn weight(&self, output: usize, input: usize, y: usize, x: usize) -> Option<u8>;
    /// Whether any weight of this pair of channels may differ from the zero point.
    fn meets(&self, output: usize, input: usize) -> bool;
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

/// An encoded layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stream {
    /// Header and blocks.
    pub bytes: Vec<u8>,
    /// Width of the run field.
    pub run_bits: u32,
    /// Bytes of the largest block.
    pub largest_block: usize,
}

/// Encodes a layer, with the run field width that takes the fewest bytes.
pub fn encode(kernels: &dyn Kernels, superblocks: usize) -> Stream {
    let outputs = kernels.shape()[0];
    let cores = cores_used(outputs);
    let per_core = outputs.div_ceil(cores.max(1));
    let blocks: Vec<Vec<Token>> = (0..cores)
        .map(|core| tokens(kernels, core, cores, per_core, superblocks))
        .collect();
    let total = |run_bits: u32| -> usize {
        let bytes = |block: &Vec<Token>| size_in_bits(block, run_bits).div_ceil(8);
        blocks
            .iter()
            .map(|block| bytes(block).next_multiple_of(ALIGN))
            .sum()
    };
    let run_bits = (0..=MAX_RUN_BITS)
        .min_by_key(|&n| (total(n), n))
        .unwrap_or(0);
    let mut bytes = vec![0; HEADER];
    let mut largest_block = 0;
    for (core, block) in blocks.iter().enumerate() {
        let block = write(block, run_bits, per_core, kernels.zero());
        bytes[4 * core..4 * core + 4].copy_from_slice(&(block.len() as u32).to_le_bytes());
        largest_block = largest_block.max(block.len());
        bytes.extend(block);
    }
    Stream {
        bytes,
        run_bits,
        largest_block,
    }
}

/// A piece of a block before runs are formed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    /// So many weights equal to the zero point.
    Zeros(u32),
    /// Another weight.
    Value(u8),
    /// A bias or a plane offset; no run goes across it.
    Word(u32),
}

struct Tokens<'a> {
    kernels: &'a dyn Kernels,
    list: Vec<Token>,
}

impl Tokens<'_> {
    fn zeros(&mut self, count: usize) {
        match self.list.last_mut() {
            Some(Token::Zeros(n)) => *n += count as u32,
            _ if count > 0 => self.list.push(Token::Zeros(count as u32)),
            _ => {}
        }
    }

    fn weight(&mut self, output: usize, input: usize, y: usize, x: usize) {
        match self.kernels.weight(output, input, y, x) {
            Some(value) if value != self.kernels.zero() => self.list.push(Token::Value(value)),
            _ => self.zeros(1),
        }
    }

    fn bias(&mut self, output: usize) {
        let real = output < self.kernels.shape()[0];
        let bias = if real { self.kernels.bias(output) } else { 0 };
        self.list.push(Token::Word(bias as u32));
    }

    fn place(&mut self, output: usize) {
        let place = (output * self.kernels.plane()) as u32;
        self.list.push(Token::Word(place));
    }
}

/// Output channels of a core in a superblock.
fn channels(
    core: usize,
    cores: usize,
    per_core: usize,
    superblock: usize,
    superblocks: usize,
) -> std::ops::Range<usize> {
    let full = per_core.div_ceil(superblocks);
    let count = full.min(per_core.saturating_sub(full * superblock));
    let first = core * count + superblock * full * cores;
    first..first + count
}

/// Weights of a core in the order in which the hardware takes them. Channels from the real number
/// on, which exist where it is no multiple of the cores, have no weights.
fn tokens(
    kernels: &dyn Kernels,
    core: usize,
    cores: usize,
    per_core: usize,
    superblocks: usize,
) -> Vec<Token> {
    let [outputs, inputs, height, width] = kernels.shape();
    let mut out = Tokens {
        kernels,
        list: Vec::new(),
    };
    for superblock in 0..superblocks {
        let channels = channels(core, cores, per_core, superblock, superblocks);
        if (height, width) == (1, 1) {
            // Six input channels of every kernel in turn.
            let step = inputs.min(6);
            for first in (0..inputs).step_by(step.max(1)) {
                for output in channels.clone() {
                    for input in first..inputs.min(first + step) {
                        if output < outputs {
                            out.weight(output, input, 0, 0);
                        } else {
                            out.zeros(1);
                        }
                        if input == 0 {
                            out.bias(output);
                        }
                    }
                    if first + step >= inputs {
                        out.place(output);
                    }
                }
            }
            continue;
        }
        let taps = taps(height, width);
        for input in 0..inputs {
            for output in channels.clone() {
                let meets = output < outputs && kernels.meets(output, input);
                if !meets && input > 0 {
                    out.zeros(taps.len());
                } else {
                    for (i, &(y, x)) in taps.iter().enumerate() {
                        if meets {
                            out.weight(output, input, y, x);
                        } else {
                            out.zeros(1);
                        }
                        if i == 0 && input == 0 {
                            out.bias(output);
                        }
                    }
                }
                if input == inputs - 1 {
                    out.place(output);
                }
            }
        }
    }
    out.list
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

/// Bits of a block, its head included.
fn size_in_bits(tokens: &[Token], run_bits: u32) -> usize {
    let (mut symbols, mut words, mut pending) = (0u64, 0u64, 0u64);
    for token in tokens {
        match token {
            // A symbol holds up to 2^n - 1 zero points and a value, which may be one as well.
            Token::Zeros(count) => {
                pending += u64::from(*count);
                symbols += pending >> run_bits;
                pending &= (1 << run_bits) - 1;
            }
            Token::Value(_) => {
                symbols += 1;
                pending = 0;
            }
            Token::Word(_) => {
                symbols += u64::from(pending > 0);
                words += 1;
                pending = 0;
            }
        }
    }
    symbols += u64::from(pending > 0);
    (24 + symbols * u64::from(8 + run_bits) + 32 * words) as usize
}

/// Writes a block.
fn write(tokens: &[Token], run_bits: u32, per_core: usize, zero: u8) -> Vec<u8> {
    let mut out = BitWriter::default();
    out.push(run_bits, 8);
    out.push(per_core as u32, 16);
    let full = 1u32 << run_bits;
    let symbol = |out: &mut BitWriter, run: u32, value: u8| {
        out.push(run | u32::from(value) << run_bits, run_bits + 8);
    };
    let mut pending = 0u32;
    for token in tokens {
        match *token {
            Token::Zeros(count) => {
                pending += count;
                while pending >= full {
                    symbol(&mut out, full - 1, zero);
                    pending -= full;
                }
            }
            Token::Value(value) => {
                symbol(&mut out, pending, value);
                pending = 0;
            }
            Token::Word(word) => {
                if pending > 0 {
                    symbol(&mut out, pending - 1, zero);
                    pending = 0;
                }
                out.push(word, 32);
            }
        }
    }
    if pending > 0 {
        symbol(&mut out, pending - 1, zero);
    }
    out.finish(ALIGN)
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
        fn meets(&self, _: usize, _: usize) -> bool {
            true
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
        let tokens = tokens(kernels, 0, 1, 1, 1);
        let bytes = write(&tokens, run_bits, 1, kernels.zero);
        let bits = size_in_bits(&tokens, run_bits);
        assert_eq!(bytes.len(), bits.div_ceil(8).next_multiple_of(64));
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
        let stream = encode(&kernels, 1);
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
        let best = encode(&kernels, 1);
        let tokens: Vec<_> = (0..8).map(|core| tokens(&kernels, core, 8, 1, 1)).collect();
        for n in 0..=MAX_RUN_BITS {
            let bytes: usize = tokens
                .iter()
                .map(|t| write(t, n, 1, 3).len())
                .sum::<usize>();
            assert!(best.bytes.len() <= HEADER + bytes, "{n}");
        }
        assert!(best.run_bits > 0);
    }
}
