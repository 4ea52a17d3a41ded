//! Convolutions in plain loops, and an encoder of coefficient streams, both written from the
//! hardware document alone.

use ferrite_hw::Grade;
use ferrite_hw::vivante::{Command, Field, Words, field, nn, state};
use ferrite_sim::vivante::{Config, Npu, Outcome};
use ferrite_sim::{FlatMemory, Memory};

/// An NPU that also does what is only inferred.
pub fn npu() -> Npu {
    Npu::new(Config {
        evidence: Grade::Inferred,
        ..Config::default()
    })
}

/// Places bytes in memory.
pub fn place(memory: &FlatMemory, bytes: &[u8]) -> u32 {
    let (address, buffer) = memory.alloc(bytes.len()).unwrap();
    buffer.with_mut(0..bytes.len(), |b| b.copy_from_slice(bytes));
    address as u32
}

/// Bytes of little-endian words.
pub fn bytes(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|w| w.to_le_bytes()).collect()
}

/// A descriptor with these fields.
pub fn descriptor(mut words: Words, fields: &[(Field, i64)]) -> Words {
    for (field, value) in fields {
        field.set(&mut words, *value).unwrap();
    }
    words
}

/// The stream that Mesa emits for one job.
pub fn stream(inst: u32, descriptor: u32) -> Vec<u32> {
    let mut words = vec![0; 8];
    for (state, value) in [
        (state::GL_OCB_REMAP_START, 0),
        (state::GL_OCB_REMAP_END, 0),
        (state::GL_NN_CONFIG, 0x10),
        (inst, descriptor),
        (state::PS_SYNC_ID, 0),
        (state::GL_FLUSH_CACHE, 0xc23),
        (state::GL_FLUSH_CACHE, 0xc23),
    ] {
        Command::load(state, value).encode(&mut words);
    }
    words
}

/// Runs one descriptor.
pub fn run(npu: &Npu, memory: &FlatMemory, inst: u32, words: &Words) -> Outcome {
    let address = place(memory, &field::to_bytes(words));
    npu.run(memory, &stream(inst, address))
}

/// Reads bytes back.
pub fn read(memory: &FlatMemory, address: u32, len: usize) -> Vec<u8> {
    let mut out = vec![0; len];
    memory.read(address.into(), &mut out).unwrap();
    out
}

/// A convolution.
#[derive(Clone, Debug)]
pub struct Case {
    pub width: usize,
    pub height: usize,
    pub depth: usize,
    pub kernels: usize,
    pub kernel: usize,
    /// Taps before the first column and row.
    pub pad: usize,
    pub stride: usize,
    pub out: (usize, usize),
    pub at_once: usize,
    pub run_bits: u32,
    pub relu: bool,
    pub multiplier: u32,
    pub shift: u32,
    pub zero_points: [u8; 3],
    pub weights: Vec<u8>,
    pub biases: Vec<i32>,
    pub input: Vec<u8>,
}

impl Case {
    fn weight(&self, oc: usize, z: usize, tap: usize) -> u8 {
        let taps = self.kernel * self.kernel;
        let [_, zero, _] = self.zero_points;
        let index = (oc * self.depth + z) * taps + tap;
        if oc < self.kernels {
            self.weights[index]
        } else {
            zero
        }
    }

    /// The output by definition.
    pub fn reference(&self) -> Vec<u8> {
        let [in_zero, zero, out_zero] = self.zero_points.map(i64::from);
        let mut out = Vec::new();
        for oc in 0..self.kernels {
            for pixel in 0..self.out.0 * self.out.1 {
                let (ox, oy) = (
                    pixel % self.out.0 * self.stride,
                    pixel / self.out.0 * self.stride,
                );
                let mut sum = i64::from(self.biases[oc]);
                for z in 0..self.depth {
                    for tap in 0..self.kernel * self.kernel {
                        let x = (ox + tap % self.kernel).wrapping_sub(self.pad);
                        let y = (oy + tap / self.kernel).wrapping_sub(self.pad);
                        if x < self.width && y < self.height {
                            let raw = self.input[(z * self.height + y) * self.width + x];
                            let weight = i64::from(self.weight(oc, z, tap)) - zero;
                            sum += weight * (i64::from(raw) - in_zero);
                        }
                    }
                }
                if self.relu {
                    sum = sum.max(0);
                }
                let product = i128::from(sum) * i128::from(32768 + self.multiplier);
                let half = 1i128 << (self.shift - 1);
                let rounded = (product.abs() + half) >> self.shift;
                let value = if product < 0 { -rounded } else { rounded } + i128::from(out_zero);
                out.push(value.clamp(0, 255) as u8);
            }
        }
        out
    }

    /// The coefficient stream, for 8 cores.
    pub fn coefficients(&self) -> Vec<u8> {
        let cores = self.kernels.min(8);
        let per_core = self.kernels.div_ceil(cores);
        let mut header = [0u32; 16];
        let mut blocks = Vec::new();
        for (core, size) in header.iter_mut().enumerate().take(cores) {
            let mut block = Bits::default();
            block.put(self.run_bits.into(), 8);
            block.put(per_core as u64, 16);
            let mut first = 0;
            while first < per_core {
                let here = self.at_once.min(per_core - first);
                let base = first * cores + core * here;
                self.superblock(&mut block, base..base + here);
                first += here;
            }
            let mut block = block.bytes;
            block.resize(block.len().next_multiple_of(64), 0);
            *size = block.len() as u32;
            blocks.extend(block);
        }
        let mut stream = bytes(&header);
        stream.extend(blocks);
        stream
    }

    fn superblock(&self, block: &mut Bits, kernels: std::ops::Range<usize>) {
        let step = if self.kernel == 1 && !self.relu { 6 } else { 1 };
        let zero = self.zero_points[1];
        let mut symbols = Symbols {
            block,
            run_bits: self.run_bits,
            zero,
            pending: 0,
        };
        for z in (0..self.depth).step_by(step) {
            let end = self.depth.min(z + step);
            for oc in kernels.clone() {
                let mut weights = Vec::new();
                for z in z..end {
                    for rows in (0..self.kernel).step_by(2) {
                        for columns in [0..self.kernel.min(3), 3.min(self.kernel)..self.kernel] {
                            for y in rows..self.kernel.min(rows + 2) {
                                for x in columns.clone() {
                                    weights.push(self.weight(oc, z, y * self.kernel + x));
                                }
                            }
                        }
                    }
                }
                for (index, &weight) in weights.iter().enumerate() {
                    symbols.weight(weight);
                    if z == 0 && index == 0 {
                        symbols.word(self.bias(oc) as u32);
                    }
                }
                if end == self.depth {
                    symbols.word((self.out.0 * self.out.1 * oc) as u32);
                }
            }
        }
    }

    fn bias(&self, oc: usize) -> i32 {
        let [in_zero, zero, _] = self.zero_points.map(i32::from);
        let taps = self.kernel * self.kernel;
        let sum: i32 = (0..self.depth * taps)
            .map(|i| i32::from(self.weight(oc, i / taps, i % taps)) - zero)
            .sum();
        self.biases.get(oc).map_or(0, |bias| bias - sum * in_zero)
    }

    /// Runs the case; the output, or the fault.
    pub fn run(&self, npu: &Npu) -> Result<Vec<u8>, String> {
        self.run_with(npu, &self.coefficients())
    }

    /// The same with another coefficient stream.
    pub fn run_with(&self, npu: &Npu, coefficients: &[u8]) -> Result<Vec<u8>, String> {
        let memory = FlatMemory::new();
        let (address, _) = memory
            .alloc((self.out.0 * self.out.1 * self.kernels).max(1))
            .unwrap();
        let words = descriptor(
            nn::defaults(),
            &self.fields(
                place(&memory, &self.input),
                place(&memory, coefficients),
                address as u32,
            ),
        );
        let outcome = run(npu, &memory, state::PS_NN_INST_ADDR, &words);
        match outcome.fault {
            Some(fault) => Err(fault.to_string()),
            None => Ok(read(
                &memory,
                address as u32,
                self.out.0 * self.out.1 * self.kernels,
            )),
        }
    }

    pub fn fields(&self, input: u32, coefficients: u32, output: u32) -> Vec<(Field, i64)> {
        let [in_zero, zero, out_zero] = self.zero_points.map(i64::from);
        let pad = -(self.pad as i64);
        let (out_x, out_y) = (self.out.0 as i64, self.out.1 as i64);
        let stride = self.stride as i64;
        vec![
            (nn::KERNEL_X_SIZE, self.kernel as i64),
            (nn::KERNEL_Y_SIZE, self.kernel as i64),
            (nn::KERNEL_Z_SIZE, self.depth as i64),
            (nn::KERNELS_PER_CORE, self.at_once as i64),
            (nn::POOLING, if stride == 2 { 3 } else { 0 }),
            (nn::POOLING_XY_SIZE, i64::from(stride == 1)),
            (nn::IN_IMAGE_X_SIZE, self.width as i64),
            (nn::IN_IMAGE_Y_SIZE, self.height as i64),
            (nn::IN_IMAGE_X_STRIDE, self.width as i64),
            (nn::IN_IMAGE_Y_STRIDE, self.height as i64),
            (nn::IN_IMAGE_X_OFFSET, pad),
            (nn::IN_IMAGE_Y_OFFSET, pad),
            (nn::IN_IMAGE_BORDER_CONST, in_zero),
            (nn::OUT_IMAGE_X_SIZE, out_x * stride),
            (nn::OUT_IMAGE_Y_SIZE, out_y * stride),
            (nn::OUT_IMAGE_Z_SIZE, self.kernels as i64),
            (nn::OUT_IMAGE_X_STRIDE, out_x),
            (nn::OUT_IMAGE_Y_STRIDE, out_y),
            (nn::OUT_IMAGE_TILE_X_SIZE, (out_x * stride).min(64)),
            (nn::OUT_IMAGE_TILE_Y_SIZE, (out_y * stride).min(2)),
            (nn::RELU, self.relu.into()),
            (nn::POST_MULTIPLIER, self.multiplier.into()),
            (nn::POST_SHIFT, self.shift.into()),
            (nn::COEF_ZERO_POINT, zero),
            (nn::OUT_ZERO_POINT, out_zero),
            (nn::KERNEL_ADDRESS, coefficients.into()),
            (nn::IN_IMAGE_ADDRESS, input.into()),
            (nn::OUT_IMAGE_ADDRESS, output.into()),
            (nn::KERNEL_CACHING_MODE, 1),
            (nn::KERNEL_CACHE_START, 0x800),
            (nn::KERNEL_CACHE_END, 0x8_0000),
            (nn::IMAGE_CACHE_END, 0x800),
        ]
    }
}

/// A bit string, the lowest bit first.
#[derive(Default)]
pub struct Bits {
    pub bytes: Vec<u8>,
    used: usize,
}

impl Bits {
    pub fn put(&mut self, value: u64, bits: usize) {
        for bit in 0..bits {
            if self.used.is_multiple_of(8) {
                self.bytes.push(0);
            }
            self.bytes[self.used / 8] |= ((value >> bit & 1) as u8) << (self.used % 8);
            self.used += 1;
        }
    }
}

struct Symbols<'a> {
    block: &'a mut Bits,
    run_bits: u32,
    zero: u8,
    pending: u64,
}

impl Symbols<'_> {
    fn weight(&mut self, weight: u8) {
        let longest = (1 << self.run_bits) - 1;
        if weight == self.zero && self.run_bits > 0 && self.pending < longest {
            self.pending += 1;
            return;
        }
        self.block.put(self.pending, self.run_bits as usize);
        self.block.put(weight.into(), 8);
        self.pending = 0;
    }

    fn word(&mut self, word: u32) {
        if self.pending > 0 {
            self.block.put(self.pending - 1, self.run_bits as usize);
            self.block.put(self.zero.into(), 8);
            self.pending = 0;
        }
        self.block.put(word.into(), 32);
    }
}
