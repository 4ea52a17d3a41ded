//! Zero-run symbols of a core's block: how many there would be for each width of the run field, and
//! writing them.

use super::bits::BitWriter;
use crate::targets::vivante::chip::{ALIGN, MAX_RUN_BITS};

/// Widths of the run field, 0 included.
const WIDTHS: usize = MAX_RUN_BITS as usize + 1;
/// Bits in front of the symbols: width of the run field, number of kernels.
const HEAD_BITS: [u32; 2] = [8, 16];

/// What takes the weights of a core in the hardware's order.
pub trait Sink {
    /// So many weights equal to the zero point.
    fn zeros(&mut self, count: usize);
    /// Other weights, or equal ones among them.
    fn weights(&mut self, weights: &[u8]);
    /// A bias or a plane offset; no run goes across it.
    fn word(&mut self, word: u32);
}

/// Counts a block's bits for all widths at once.
pub struct Sizes {
    zero: u8,
    pending: u64,
    /// Symbols that end in a weight other than the zero point; no width changes their number.
    values: u64,
    /// The other symbols, for each width.
    runs: [u64; WIDTHS],
    words: u64,
}

impl Sizes {
    /// Nothing so far.
    pub fn new(zero: u8) -> Self {
        Sizes {
            zero,
            pending: 0,
            values: 0,
            runs: [0; WIDTHS],
            words: 0,
        }
    }

    /// Bytes of the block, with runs of each width.
    pub fn bytes(mut self) -> [usize; WIDTHS] {
        self.end_run(1);
        let head = u64::from(HEAD_BITS[0] + HEAD_BITS[1]);
        std::array::from_fn(|width| {
            let symbols = self.values + self.runs[width];
            let bits = head + symbols * (8 + width as u64) + 32 * self.words;
            (bits.div_ceil(8) as usize).next_multiple_of(ALIGN)
        })
    }

    /// A run ends. A symbol holds up to 2^n - 1 zero points and a weight, which may be one as well;
    /// what is left over takes `rest` symbols, none if a weight follows.
    fn end_run(&mut self, rest: u64) {
        if self.pending == 0 {
            return;
        }
        for (width, symbols) in self.runs.iter_mut().enumerate() {
            let over = self.pending & ((1 << width) - 1);
            *symbols += (self.pending >> width) + rest * u64::from(over > 0);
        }
        self.pending = 0;
    }
}

impl Sink for Sizes {
    fn zeros(&mut self, count: usize) {
        self.pending += count as u64;
    }

    fn weights(&mut self, weights: &[u8]) {
        for &weight in weights {
            if weight == self.zero {
                self.pending += 1;
            } else {
                self.end_run(0);
                self.values += 1;
            }
        }
    }

    fn word(&mut self, _: u32) {
        self.end_run(1);
        self.words += 1;
    }
}

/// A block without runs: all of it is bytes.
pub struct Raw {
    zero: u8,
    bytes: Vec<u8>,
}

impl Raw {
    /// The head of a block with so many kernels, of at most `size` bytes.
    pub fn new(zero: u8, kernels: usize, size: usize) -> Self {
        let mut bytes = Vec::with_capacity(size);
        bytes.push(0);
        bytes.extend((kernels as u16).to_le_bytes());
        Raw { zero, bytes }
    }

    /// The block.
    pub fn finish(mut self) -> Vec<u8> {
        self.bytes
            .resize(self.bytes.len().next_multiple_of(ALIGN), 0);
        self.bytes
    }
}

impl Sink for Raw {
    fn zeros(&mut self, count: usize) {
        self.bytes.resize(self.bytes.len() + count, self.zero);
    }

    #[inline]
    fn weights(&mut self, weights: &[u8]) {
        self.bytes.extend_from_slice(weights);
    }

    fn word(&mut self, word: u32) {
        self.bytes.extend(word.to_le_bytes());
    }
}

/// A block with runs.
pub struct Runs {
    zero: u8,
    width: u32,
    pending: usize,
    bits: BitWriter,
}

impl Runs {
    /// The head of a block with so many kernels and a run field of `width` bits.
    pub fn new(zero: u8, kernels: usize, width: u32) -> Self {
        let mut bits = BitWriter::default();
        bits.push(width, HEAD_BITS[0]);
        bits.push(kernels as u32, HEAD_BITS[1]);
        Runs {
            zero,
            width,
            pending: 0,
            bits,
        }
    }

    /// The block.
    pub fn finish(mut self) -> Vec<u8> {
        self.end_run();
        self.bits.finish(ALIGN)
    }

    fn symbol(&mut self, run: usize, weight: u8) {
        let symbol = run as u32 | u32::from(weight) << self.width;
        self.bits.push(symbol, self.width + 8);
    }

    /// Symbols that are zero points to the end.
    fn full_symbols(&mut self) {
        while self.pending >> self.width > 0 {
            self.symbol((1 << self.width) - 1, self.zero);
            self.pending -= 1 << self.width;
        }
    }

    fn end_run(&mut self) {
        self.full_symbols();
        if self.pending > 0 {
            self.symbol(self.pending - 1, self.zero);
            self.pending = 0;
        }
    }
}

impl Sink for Runs {
    fn zeros(&mut self, count: usize) {
        self.pending += count;
    }

    fn weights(&mut self, weights: &[u8]) {
        for &weight in weights {
            if weight == self.zero {
                self.pending += 1;
            } else {
                self.full_symbols();
                let run = std::mem::take(&mut self.pending);
                self.symbol(run, weight);
            }
        }
    }

    fn word(&mut self, word: u32) {
        self.end_run();
        self.bits.push(word, 32);
    }
}
