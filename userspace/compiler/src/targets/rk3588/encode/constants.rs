//! The constants buffer: packed weights and per-channel operands, each once.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use ferrite_hw::rk3588::Parameters;

use super::packing::{Form, Packing};
use crate::content::Source;
use crate::error::Unsupported;
use crate::index::Index;
use crate::targets::rk3588::program::{Layer, Mode, Stage};

/// Alignment of everything in the buffer.
const ALIGN: usize = 64;

/// Where a layer's constants lie, in bytes from the start of the buffer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Operands {
    /// Weights.
    pub weights: usize,
    /// Per-channel operands.
    pub bias: usize,
    /// Bytes of per-channel operands for eight channels.
    pub bias_stride: usize,
}

/// The buffer under construction.
pub struct Constants {
    chip: &'static Parameters,
    len: usize,
    /// Weights, each with its first byte.
    weights: BTreeMap<Form, (usize, Packing)>,
    /// Per-channel operands, each with their first byte.
    operands: BTreeMap<PerChannel, usize>,
}

impl Constants {
    /// Nothing yet.
    pub fn new(chip: &'static Parameters) -> Self {
        Constants {
            chip,
            len: 0,
            weights: BTreeMap::new(),
            operands: BTreeMap::new(),
        }
    }

    /// Adds what a layer needs, whose biases it takes.
    pub fn add(&mut self, ctx: &Index, layer: &mut Layer) -> Result<Operands, Unsupported> {
        if layer.mode == Mode::Flying {
            return Ok(Operands::default());
        }
        let operands = PerChannel::take(self.chip, layer);
        let bias_stride = operands.stride();
        let weights = match self.weights.entry(Form::of(layer)) {
            Entry::Occupied(known) => known.get().0,
            Entry::Vacant(new) => {
                let packing = new.key().packing(ctx, layer)?;
                let offset = append(&mut self.len, new.key().len(self.chip));
                new.insert((offset, packing)).0
            }
        };
        let bias = match self.operands.entry(operands) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(new) => {
                let offset = append(&mut self.len, new.key().len());
                *new.insert(offset)
            }
        };
        Ok(Operands {
            weights,
            bias,
            bias_stride,
        })
    }
}

impl Source for Constants {
    fn size(&self) -> usize {
        self.len
    }

    fn write(&self, memory: &mut [u8]) {
        for (form, (offset, packing)) in &self.weights {
            let memory = &mut memory[*offset..][..form.len(self.chip)];
            form.write(self.chip, packing, memory);
        }
        for (operands, offset) in &self.operands {
            operands.write(&mut memory[*offset..][..operands.len()]);
        }
    }
}

/// The first byte of `more` bytes behind `len` others.
fn append(len: &mut usize, more: usize) -> usize {
    let offset = len.next_multiple_of(ALIGN);
    *len = offset + more;
    offset
}

/// Channels of which the operands lie together.
pub const GROUP: usize = 8;

/// Operands of each channel: int32 bias, and, where there are any, int16 factors with an int16 of CPEND
/// in front, which is 0 for weights without zero point. Channels that only exist as padding have zeros.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct PerChannel {
    bias: Vec<i32>,
    factors: Vec<i16>,
}

impl PerChannel {
    /// Those of a layer.
    fn take(chip: &Parameters, layer: &mut Layer) -> PerChannel {
        let mut bias = std::mem::take(&mut layer.bias);
        let channels = bias.len().next_multiple_of(layer.mode.group(chip));
        bias.resize(channels, 0);
        let mut factors = match &layer.stage {
            Stage::PerChannel { factors, .. } => factors.clone(),
            _ => Vec::new(),
        };
        if !factors.is_empty() {
            factors.resize(channels, 0);
        }
        PerChannel { bias, factors }
    }

    /// Bytes of a group: the biases, then CPEND, then the factors.
    fn stride(&self) -> usize {
        GROUP * if self.factors.is_empty() { 4 } else { 8 }
    }

    fn len(&self) -> usize {
        self.bias.len() / GROUP * self.stride()
    }

    fn write(&self, memory: &mut [u8]) {
        if self.factors.is_empty() {
            for (to, bias) in memory.as_chunks_mut().0.iter_mut().zip(&self.bias) {
                *to = bias.to_le_bytes();
            }
            return;
        }
        let operands = self.bias.chunks(GROUP).zip(self.factors.chunks(GROUP));
        for (group, (biases, factors)) in memory.chunks_exact_mut(self.stride()).zip(operands) {
            let (words, halves) = group.split_at_mut(4 * GROUP);
            let (_, halves) = halves.split_at_mut(2 * GROUP);
            for (to, bias) in words.as_chunks_mut().0.iter_mut().zip(biases) {
                *to = bias.to_le_bytes();
            }
            for (to, factor) in halves.as_chunks_mut().0.iter_mut().zip(factors) {
                *to = factor.to_le_bytes();
            }
        }
    }
}
