//! Coefficient streams of generation 7: a header with the size of each core's block, and in each
//! block the kernels of one core as zero-run coded weights with a bias and a z-offset per kernel.

use super::decode::Layer;
use crate::memory::Memory;
use crate::vivante::fault::{Check, FaultKind, Unit};
use ferrite_hw::vivante::nn;
use ferrite_process::parallel;

/// A kernel as its core sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kernel {
    /// Output channel.
    pub channel: u32,
    /// Bias, corrected for the input's zero point.
    pub bias: i32,
    /// Where the output plane starts, in bytes from the output's address.
    pub z_offset: u32,
    /// Weights other than zero: position `(ky * KW + kx) * IC + z`, and the weight without the
    /// zero point.
    pub weights: Vec<(u32, i16)>,
}

/// A decoded stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coefficients {
    /// Kernels of all cores, by output channel. Those beyond the output are left out.
    pub kernels: Vec<Kernel>,
    /// Kernels that were left out.
    pub dropped: u64,
    /// Bytes of header and blocks.
    pub bytes: u64,
    /// Size of the largest block in bytes.
    pub largest_block: u64,
    /// Symbols (weights, or runs of zeros with a weight) of the core that has most.
    pub symbols: u64,
    /// Width of the widest run field, in bits.
    pub run_bits: u32,
}

/// A decoded block: the same of one core.
struct Decoded {
    kernels: Vec<Kernel>,
    symbols: u64,
    run_bits: u32,
}

/// Channels of a 1x1 kernel that come together where RELU is clear. Where it is set they come one
/// by one, as those of larger kernels do.
const SIX: u32 = 6;

/// Granularity of header and blocks in bytes.
const ALIGN: usize = 64;

/// Largest block that is decoded, in bytes; real ones stay far below.
const MAX_BLOCK: u32 = 1 << 26;

/// The stream of a layer as it lies in memory: a block of each core that has kernels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stream {
    blocks: Vec<Vec<u8>>,
    /// Bytes of header and blocks.
    bytes: u64,
}

/// Reads the stream of a layer.
pub fn read(memory: &dyn Memory, layer: &Layer) -> Check<Stream> {
    let fetch = |address: u64, out: &mut [u8]| {
        memory
            .read(address, out)
            .map_err(FaultKind::memory(Unit::Coefficients))
    };
    let cores = layer.cores as usize;
    let mut header = vec![0; (4 * cores).next_multiple_of(ALIGN)];
    let base = u64::from(layer.kernel_address);
    fetch(base, &mut header)?;
    let words = header.as_chunks::<4>().0;
    let sizes: Vec<u32> = words.iter().map(|b| u32::from_le_bytes(*b)).collect();
    let used = layer.cores_used();
    let mut blocks = Vec::with_capacity(used);
    let mut at = header.len() as u64;
    for (core, &size) in sizes.iter().enumerate() {
        let fault = |why| FaultKind::Stream {
            core,
            why,
            value: size.into(),
        };
        if core >= used {
            if size != 0 {
                return Err(fault("a core without kernels has a block"));
            }
            continue;
        }
        if size == 0 || !size.is_multiple_of(ALIGN as u32) {
            return Err(fault("the block's size is no multiple of 64"));
        }
        if size > MAX_BLOCK {
            return Err(fault("the block is larger than any real one"));
        }
        let mut block = vec![0; size as usize];
        fetch(base + at, &mut block)?;
        at += u64::from(size);
        blocks.push(block);
    }
    Ok(Stream { blocks, bytes: at })
}

/// Decodes the stream of a layer.
pub fn decode(layer: &Layer, stream: &Stream) -> Check<Coefficients> {
    let Stream { blocks, bytes } = stream;
    let order = tap_order(layer.kernel_x, layer.kernel_y);
    let decode = |step| -> Check<Vec<Decoded>> {
        let decoded = parallel::map(blocks.len(), |core| {
            Block::new(core, &blocks[core], layer, &order, step).decode()
        });
        decoded.into_iter().collect()
    };
    let decoded = if layer.is_pointwise() {
        let (step, other) = if layer.relu { (1, SIX) } else { (SIX, 1) };
        let decoded = decode(step);
        if !in_place(layer, &decoded) && in_place(layer, &decode(other)) {
            return Err(FaultKind::Field {
                field: nn::RELU.name,
                value: layer.relu.into(),
                why: "the 1x1 coefficients have the order of the other value: six channels at a time with 0, one with 1",
            });
        }
        decoded?
    } else {
        decode(1)?
    };
    let mut all = Coefficients {
        bytes: *bytes,
        largest_block: blocks.iter().map(|b| b.len() as u64).max().unwrap_or(0),
        ..Coefficients::default()
    };
    for Decoded {
        kernels,
        symbols,
        run_bits,
    } in decoded
    {
        all.symbols = all.symbols.max(symbols);
        all.run_bits = all.run_bits.max(run_bits);
        let total = kernels.len();
        let before = all.kernels.len();
        all.kernels
            .extend(kernels.into_iter().filter(|k| k.channel < layer.out_z));
        all.dropped += (total - (all.kernels.len() - before)) as u64;
    }
    all.kernels.sort_by_key(|k| k.channel);
    Ok(all)
}

/// Whether each kernel says of its output plane that it is where the output's strides put it.
fn in_place(layer: &Layer, decoded: &Check<Vec<Decoded>>) -> bool {
    let in_place = |kernel: &Kernel| u64::from(kernel.z_offset) == layer.place(kernel.channel);
    decoded
        .as_ref()
        .is_ok_and(|cores| cores.iter().all(|core| core.kernels.iter().all(in_place)))
}

/// Taps in the order of the stream, as `ky * KW + kx`: blocks of two rows by three columns; what
/// is beyond the third column comes in one go.
fn tap_order(kernel_x: u32, kernel_y: u32) -> Vec<u32> {
    let mut order = Vec::with_capacity((kernel_x * kernel_y) as usize);
    for top in (0..kernel_y).step_by(2) {
        for columns in [0..kernel_x.min(3), 3..kernel_x] {
            for ky in top..(top + 2).min(kernel_y) {
                order.extend(columns.clone().map(|kx| ky * kernel_x + kx));
            }
        }
    }
    order
}

/// Reads fields of up to 32 bits, the lowest first.
struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    fn take(&mut self, bits: u32) -> Option<u32> {
        let end = self.at + bits as usize;
        if end > self.bytes.len() * 8 {
            return None;
        }
        let tail = &self.bytes[self.at / 8..];
        let word = match tail.first_chunk::<8>() {
            Some(chunk) => u64::from_le_bytes(*chunk),
            None => {
                let mut chunk = [0; 8];
                chunk[..tail.len()].copy_from_slice(tail);
                u64::from_le_bytes(chunk)
            }
        };
        let value = word >> (self.at % 8) & ((1 << bits) - 1);
        self.at = end;
        Some(value as u32)
    }
}

/// One core's block.
struct Block<'a> {
    core: usize,
    bits: Bits<'a>,
    layer: &'a Layer,
    order: &'a [u32],
    /// Channels that come together.
    step: u32,
    /// Width of a zero run.
    run_bits: u32,
    /// Zeros of the current symbol that are still to come, and its weight.
    zeros: u32,
    weight: Option<u8>,
    symbols: u64,
}

impl<'a> Block<'a> {
    fn new(core: usize, bytes: &'a [u8], layer: &'a Layer, order: &'a [u32], step: u32) -> Self {
        Block {
            core,
            bits: Bits { bytes, at: 0 },
            layer,
            order,
            step,
            run_bits: 0,
            zeros: 0,
            weight: None,
            symbols: 0,
        }
    }

    fn fault(&self, why: &'static str, value: u64) -> FaultKind {
        FaultKind::Stream {
            core: self.core,
            why,
            value,
        }
    }

    fn field(&mut self, bits: u32) -> Check<u32> {
        match self.bits.take(bits) {
            Some(value) => Ok(value),
            None => Err(self.fault(
                "the stream goes beyond its block, at bit",
                self.bits.at as u64,
            )),
        }
    }

    fn decode(mut self) -> Check<Decoded> {
        self.run_bits = self.field(8)?;
        if self.run_bits > self.layer.zrl_bits {
            return Err(self.fault("the zero-run field is too wide", self.run_bits.into()));
        }
        let count = self.field(16)?;
        let per_core = self.layer.kernels_of_core();
        if count != per_core {
            return Err(self.fault(
                "kernels differ from the output channels per core",
                count.into(),
            ));
        }
        let at_once = self.layer.kernels_per_core;
        let cores = self.layer.cores_used() as u32;
        let mut kernels = Vec::with_capacity(count as usize);
        let mut first = 0;
        while first < count {
            let here = at_once.min(count - first);
            let base = first * cores + self.core as u32 * here;
            let mut pass: Vec<Kernel> = (0..here)
                .map(|k| Kernel {
                    channel: base + k,
                    ..Kernel::default()
                })
                .collect();
            self.superblock(&mut pass)?;
            kernels.extend(pass);
            first += here;
        }
        self.finish()?;
        Ok(Decoded {
            kernels,
            symbols: self.symbols,
            run_bits: self.run_bits,
        })
    }

    /// Kernels that a core works on at once: their weights are interleaved.
    fn superblock(&mut self, kernels: &mut [Kernel]) -> Check {
        let channels = self.layer.kernel_z;
        let taps = self.order.len() as u32;
        let mut z = 0;
        while z < channels {
            let depth = self.step.min(channels - z);
            let last = z + depth == channels;
            for kernel in &mut *kernels {
                let mut start = 0;
                if z == 0 {
                    self.weights(kernel, z, 0..1)?;
                    self.word_boundary()?;
                    kernel.bias = self.field(32)? as i32;
                    start = 1;
                }
                self.weights(kernel, z, start..depth * taps)?;
                if last {
                    self.word_boundary()?;
                    kernel.z_offset = self.field(32)?;
                }
            }
            z += depth;
        }
        Ok(())
    }

    /// Decodes the weights at positions `range` of a kernel's part that starts at channel `z`.
    fn weights(&mut self, kernel: &mut Kernel, z: u32, range: std::ops::Range<u32>) -> Check {
        let zero = self.layer.coef_zero_point;
        let pointwise = self.layer.is_pointwise();
        let mut at = range.start;
        while at < range.end {
            if self.zeros > 0 {
                let step = self.zeros.min(range.end - at);
                self.zeros -= step;
                at += step;
                continue;
            }
            let Some(weight) = self.weight.take() else {
                self.zeros = self.field(self.run_bits)?;
                self.weight = Some(self.field(8)? as u8);
                self.symbols += 1;
                continue;
            };
            if weight != zero {
                let position = if pointwise {
                    z + at
                } else {
                    self.order[at as usize] * self.layer.kernel_z + z
                };
                kernel
                    .weights
                    .push((position, i16::from(weight) - i16::from(zero)));
            }
            at += 1;
        }
        Ok(())
    }

    /// A bias or z-offset is next: no symbol may reach beyond it.
    fn word_boundary(&self) -> Check {
        if self.zeros == 0 && self.weight.is_none() {
            return Ok(());
        }
        Err(self.fault(
            "a zero run reaches beyond a bias or z-offset, at bit",
            self.bits.at as u64,
        ))
    }

    /// What follows is padding to the block's size: zeros, less than 64 bytes.
    fn finish(&mut self) -> Check {
        let used = self.bits.at.div_ceil(8);
        if self.bits.bytes.len() - used >= ALIGN {
            return Err(self.fault("the block is longer than its stream of bytes", used as u64));
        }
        let rest = (8 - self.bits.at % 8) % 8;
        let partial = self.field(rest as u32)?;
        if partial != 0 || self.bits.bytes[used..].iter().any(|&b| b != 0) {
            return Err(self.fault("padding is not zero behind byte", used as u64));
        }
        Ok(())
    }
}
