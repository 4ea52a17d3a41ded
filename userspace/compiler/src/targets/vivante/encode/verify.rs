//! Checks of the jobs as they are written: biases and places of outputs must be where the chip looks
//! for them in a coefficient stream, which depends on the descriptor.

use std::collections::HashMap;

use ferrite_hw::vivante::field::{DESCRIPTOR_BYTES, from_bytes};
use ferrite_hw::vivante::{Command, Field, Words, nn, state};

use super::coefficients::cores_used;
use crate::executable::{BufferId, Executable, RelocationKind, Role};
use crate::targets::vivante::chip::{ALIGN, CORES, MAX_RUN_BITS, SRAM};

/// Input channels of a 1x1 kernel that come together where the RELU bit is clear. Where it is set,
/// or the kernel is larger, it is one.
const SIX: usize = 6;

/// Everything wrong with the NN jobs of an executable, in words. `biases` are those of each job.
pub fn verify<'a>(
    executable: &Executable,
    biases: impl IntoIterator<Item = &'a [i32]>,
) -> Vec<String> {
    let bytes = |role| {
        let found = executable.buffers.iter().find(|(_, b)| b.role == role);
        found.map(|(id, buffer)| (id, buffer.init.bytes()))
    };
    let (Some((constants, data)), Some((commands, words))) =
        (bytes(Role::Constants), bytes(Role::Commands))
    else {
        return vec!["there are no constants or commands".into()];
    };
    let addresses: HashMap<(BufferId, usize), usize> = executable
        .relocations
        .iter()
        .filter(|r| r.target == constants && r.kind != RelocationKind::Rk3588Value)
        .map(|r| ((r.buffer, r.offset), r.addend as usize))
        .collect();
    let words: Vec<u32> = words
        .as_chunks()
        .0
        .iter()
        .map(|&w| u32::from_le_bytes(w))
        .collect();
    let (mut found, mut at, mut job) = (Vec::new(), 0, 0);
    let mut biases = biases.into_iter();
    while let Ok((command, len)) = Command::decode(&words[at..]) {
        if let Command::LoadState { state, .. } = command
            && state == state::PS_NN_INST_ADDR
        {
            let biases = biases.next().unwrap_or_default();
            let checked = addresses
                .get(&(commands, 4 * (at + 1)))
                .ok_or_else(|| "its descriptor has no address".into())
                .and_then(|&descriptor| {
                    let kernels = addresses.get(&(constants, descriptor + 4 * KERNEL_WORD));
                    check(&data, descriptor, kernels.copied(), biases)
                });
            found.extend(checked.err().map(|why| format!("job {job}: {why}")));
            job += 1;
        }
        at += len;
        if at >= words.len() {
            break;
        }
    }
    let missing = biases.count();
    if missing > 0 {
        found.push(format!("{missing} jobs are missing"));
    }
    found
}

/// Word of a descriptor that holds the address of the coefficients.
const KERNEL_WORD: usize = nn::KERNEL_ADDRESS.pieces[0].word as usize;

fn check(
    data: &[u8],
    descriptor: usize,
    kernels: Option<usize>,
    biases: &[i32],
) -> Result<(), String> {
    let words: Words = data
        .get(descriptor..)
        .and_then(|rest| rest.first_chunk::<DESCRIPTOR_BYTES>())
        .map(from_bytes)
        .ok_or("its descriptor lies beyond the constants")?;
    let stream = kernels
        .and_then(|at| data.get(at..))
        .ok_or("it has no coefficients")?;
    let get = |field: &Field| field.get_u32(&words) as usize;
    let outputs = get(&nn::OUT_IMAGE_Z_SIZE);
    let cores = cores_used(outputs);
    if biases.len() != outputs {
        return Err(format!("{} biases for {outputs} outputs", biases.len()));
    }
    if cores == 0 || get(&nn::KERNELS_PER_CORE) == 0 {
        return Err("it has no kernels".into());
    }
    let taps = get(&nn::KERNEL_X_SIZE) * get(&nn::KERNEL_Y_SIZE);
    let six = taps == 1 && get(&nn::RELU) == 0;
    let shape = Shape {
        taps,
        inputs: get(&nn::KERNEL_Z_SIZE),
        step: if six { SIX } else { 1 },
        cores,
        per_core: outputs.div_ceil(cores),
        at_once: get(&nn::KERNELS_PER_CORE),
        plane: get(&nn::OUT_IMAGE_X_STRIDE) * get(&nn::OUT_IMAGE_Y_STRIDE),
        biases,
    };
    let sizes = stream.as_chunks::<4>().0.get(..CORES).unwrap_or_default();
    let (mut at, mut largest) = ((4 * CORES).next_multiple_of(ALIGN), 0);
    for (core, &size) in sizes.iter().take(cores).enumerate() {
        let size = u32::from_le_bytes(size) as usize;
        let block = stream
            .get(at..at + size)
            .ok_or("its coefficients lie beyond the constants")?;
        shape
            .check(core, block)
            .map_err(|why| format!("coefficients of core {core}: {why}"))?;
        largest = largest.max(size);
        at += size;
    }
    let window = get(&nn::KERNEL_CACHE_START)..get(&nn::KERNEL_CACHE_END);
    let whole = get(&nn::KERNEL_CACHING_MODE) == 1;
    if window.end > SRAM || whole && window.len() < largest * cores {
        return Err(format!(
            "{} bytes of coefficients do not fit {window:?} of the on-chip SRAM",
            largest * cores
        ));
    }
    Ok(())
}

/// What decides where the words of a core's block are.
struct Shape<'a> {
    taps: usize,
    inputs: usize,
    step: usize,
    cores: usize,
    per_core: usize,
    at_once: usize,
    plane: usize,
    biases: &'a [i32],
}

impl Shape<'_> {
    fn check(&self, core: usize, bytes: &[u8]) -> Result<(), String> {
        let mut block = Block::new(bytes);
        block.run_bits = block.field(8)?;
        let kernels = block.field(16)? as usize;
        if block.run_bits > MAX_RUN_BITS || kernels != self.per_core {
            return Err(format!(
                "{kernels} kernels, runs of {} bits",
                block.run_bits
            ));
        }
        if self.step == SIX && block.run_bits > 0 {
            return Err("runs in kernels whose channels come six at a time".into());
        }
        for first in (0..kernels).step_by(self.at_once) {
            let here = self.at_once.min(kernels - first);
            let channel = first * self.cores + core * here;
            for input in (0..self.inputs).step_by(self.step) {
                let depth = self.step.min(self.inputs - input);
                for kernel in channel..channel + here {
                    let mut weights = self.taps * depth;
                    if input == 0 {
                        block.skip(1)?;
                        // Kernels beyond the last output have none.
                        let bias = self.biases.get(kernel).copied().unwrap_or(0);
                        let found = block.word()? as i32;
                        if found != bias {
                            return Err(format!("kernel {kernel} has bias {found}, not {bias}"));
                        }
                        weights -= 1;
                    }
                    block.skip(weights)?;
                    if input + depth == self.inputs {
                        let place = block.word()? as usize;
                        if place != kernel * self.plane {
                            return Err(format!("kernel {kernel} has its output at {place:#x}"));
                        }
                    }
                }
            }
        }
        block.finish()
    }
}

/// A core's block, read bit by bit from the lowest on.
struct Block<'a> {
    bytes: &'a [u8],
    at: usize,
    run_bits: u32,
    /// Weights of the last symbol that have not been taken.
    left: usize,
}

impl<'a> Block<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Block {
            bytes,
            at: 0,
            run_bits: 0,
            left: 0,
        }
    }

    fn field(&mut self, bits: u32) -> Result<u32, String> {
        let mut word = [0; 8];
        let rest = self.bytes.get(self.at / 8..).unwrap_or_default();
        let len = rest.len().min(8);
        word[..len].copy_from_slice(&rest[..len]);
        let shifted = u64::from_le_bytes(word) >> (self.at % 8);
        self.at += bits as usize;
        if self.at > 8 * self.bytes.len() {
            return Err("they go beyond their block".into());
        }
        Ok((shifted & ((1 << bits) - 1)) as u32)
    }

    fn skip(&mut self, mut weights: usize) -> Result<(), String> {
        if self.run_bits == 0 {
            self.at += 8 * weights;
            return Ok(());
        }
        while weights > 0 {
            if self.left == 0 {
                self.left = self.field(self.run_bits)? as usize + 1;
                self.field(8)?;
            }
            let taken = self.left.min(weights);
            self.left -= taken;
            weights -= taken;
        }
        Ok(())
    }

    fn word(&mut self) -> Result<u32, String> {
        if self.left > 0 {
            return Err("a run reaches beyond a bias or the place of an output".into());
        }
        self.field(32)
    }

    fn finish(self) -> Result<(), String> {
        let used = self.at.div_ceil(8);
        let rest = self.bytes.get(used..).unwrap_or_default();
        if rest.len() >= ALIGN || rest.iter().any(|&byte| byte != 0) {
            return Err(format!("{} bytes are left", rest.len()));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::executable::Evidence;
    use crate::index::Index;
    use crate::lowered::LegalWork;
    use crate::target::{Builder, Family};
    use crate::targets::vivante::Vivante;
    use crate::targets::vivante::context::{Context, TensorMaps};
    use crate::{Options, Target, compile, pipeline};
    use ferrite_ir::op::{Activation, ConvParams, Hw, OpKind, Padding};
    use ferrite_ir::{Bytes, DType, Graph, Node, PrimaryMap, Quant, Tensor, TensorId};

    /// A 1x1 convolution into 24 channels, whose results have their zero point at `zero`. Of
    /// its weights, every `sparse`th is no zero point.
    fn convolution(inputs: usize, zero: i32, activation: Activation, sparse: usize) -> Graph {
        let tensor = |shape: &[usize], dtype, scale, zero, data: Option<Vec<u8>>| Tensor {
            name: String::new(),
            shape: shape.into(),
            dtype,
            quant: Some(Quant::per_tensor(scale, zero)),
            data: data.map(Bytes::from),
            variable: false,
        };
        let weight = |i: usize| {
            if i.is_multiple_of(sparse) {
                128 + (i % 99) as u8
            } else {
                127
            }
        };
        let weights = (0..24 * inputs).map(weight).collect();
        let id = TensorId::from_u32;
        let node = Node {
            kind: OpKind::Conv2d(ConvParams {
                padding: Padding::Same,
                stride: Hw { h: 1, w: 1 },
                dilation: Hw { h: 1, w: 1 },
                activation,
            }),
            inputs: [0, 1, 2].map(|n| Some(id(n))).into_iter().collect(),
            outputs: [id(3)].into_iter().collect(),
        };
        let tensors = vec![
            tensor(&[1, 5, 4, inputs], DType::U8, 0.1, 3, None),
            tensor(&[24, 1, 1, inputs], DType::U8, 0.01, 127, Some(weights)),
            tensor(&[24], DType::I32, 0.001, 0, Some(vec![1; 96])),
            tensor(&[1, 5, 4, 24], DType::U8, 0.3, zero, None),
        ];
        let nodes = PrimaryMap::from(vec![node]);
        Graph::new("", tensors.into(), nodes, vec![id(0)], vec![id(3)])
    }

    /// The graph's executable, and the biases of its jobs.
    fn compiled(graph: &Graph) -> (Executable, Vec<Vec<i32>>) {
        let options = Options {
            evidence: Evidence::Silicon,
            ..Options::new(Target::A311d)
        };
        let index = Index::new(graph, graph.uses().into());
        let form = pipeline::form(&index, &Vivante::RULES, &Options::new(Target::A311d));
        let mut builder = Context::new(index, &options, TensorMaps::default());
        let (steps, _) = pipeline::layers::<Vivante>(&form, &mut builder).expect("ordered");
        let layers = steps.iter().flat_map(|step| match &step.work {
            LegalWork::Npu { layers, .. } => layers.as_slice(),
            _ => &[],
        });
        let biases = layers.map(|layer| layer.kernel.bias.clone()).collect();
        (compile(graph, &options).expect("compiles"), biases)
    }

    fn verified(executable: &Executable, biases: &[Vec<i32>]) -> Vec<String> {
        verify(executable, biases.iter().map(Vec::as_slice))
    }

    /// The executable with bytes of its constants changed.
    fn spoiled(
        (executable, biases): &(Executable, Vec<Vec<i32>>),
        spoil: impl Fn(&mut [u8], usize, usize),
    ) -> Vec<String> {
        let mut executable = executable.clone();
        let addend = |r: &&crate::executable::Relocation| r.addend as usize;
        let into = |buffer| {
            let found = executable.relocations.iter();
            let mut found =
                found.filter(|r| r.buffer == buffer && r.target == BufferId::from_u32(0));
            found.next().as_ref().map(addend).expect("an address")
        };
        let [constants, commands] = [0, 2].map(BufferId::from_u32);
        let (stream, descriptor) = (into(constants), into(commands));
        let mut bytes = executable.buffers[constants].init.bytes().into_owned();
        spoil(&mut bytes, descriptor, stream);
        executable.buffers[constants].init = bytes.into();
        verified(&executable, biases)
    }

    /// Byte and bit of RELU in a descriptor.
    const RELU: (usize, u8) = {
        let piece = nn::RELU.pieces[0];
        (
            4 * piece.word as usize + piece.low as usize / 8,
            1 << (piece.low % 8),
        )
    };

    #[test]
    fn the_order_goes_with_the_relu_bit() {
        for (zero, activation, sparse, relu) in [
            (0, Activation::None, 1, false),
            (9, Activation::None, 1, false),
            (9, Activation::None, 5, false),
            // The bit changes nothing, but allows runs.
            (0, Activation::None, 5, true),
            (0, Activation::Relu, 5, true),
            (9, Activation::Relu, 1, true),
            (9, Activation::Relu, 5, true),
        ] {
            // Of 31 channels in sixes one is left: the places are the same in both orders.
            for inputs in [31, 33] {
                let compiled = compiled(&convolution(inputs, zero, activation, sparse));
                let what = format!("{inputs} {zero} {activation:?} {sparse}");
                assert_eq!(
                    verified(&compiled.0, &compiled.1),
                    [] as [String; 0],
                    "{what}"
                );
                let found = spoiled(&compiled, |bytes, descriptor, _| {
                    assert_eq!(bytes[descriptor + RELU.0] & RELU.1 != 0, relu, "{what}");
                    bytes[descriptor + RELU.0] ^= RELU.1;
                });
                assert!(!found.is_empty(), "{what}: the other order goes unnoticed");
            }
        }
    }

    #[test]
    fn broken_jobs_are_noticed() {
        type Spoil = fn(&mut [u8], usize, usize);
        let spoils: [(&str, Spoil); 7] = [
            ("has bias", |bytes, _, stream| bytes[stream + 69] ^= 1),
            ("for 0 outputs", |bytes, descriptor, _| {
                bytes[descriptor + 16] = 0
            }),
            ("beyond the constants", |bytes, _, stream| {
                bytes[stream + 3] = 1
            }),
            ("kernels, runs of", |bytes, _, stream| {
                bytes[stream + 65] += 1
            }),
            ("runs in kernels", |bytes, _, stream| bytes[stream + 64] = 1),
            ("bytes are left", |bytes, _, stream| bytes[stream + 191] = 1),
            ("on-chip SRAM", |bytes, descriptor, _| {
                bytes[descriptor + 50] = 0xff
            }),
        ];
        let compiled = compiled(&convolution(33, 9, Activation::None, 1));
        for (what, spoil) in spoils {
            let found = spoiled(&compiled, spoil);
            assert!(
                found.len() == 1 && found[0].contains(what),
                "{what}: {found:?}"
            );
        }
    }
}
