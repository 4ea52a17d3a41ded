//! The constants buffer: packed weights and per-channel operands, each once.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use ferrite_ir::OpId;

use super::context::Context;
use super::packing::{Form, Packing};
use super::program::{Layer, Stage};
use crate::Unsupported;
use crate::content::Source;

/// Alignment of everything in the buffer.
const ALIGN: usize = 64;

/// Where a layer's constants lie, in bytes from the start of the buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operands {
    /// Weights.
    pub weights: usize,
    /// Per-channel operands.
    pub bias: usize,
    /// Bytes of per-channel operands for eight channels.
    pub bias_stride: usize,
}

/// The buffer under construction.
#[derive(Default)]
pub struct Constants {
    len: usize,
    /// Weights, each with its first byte.
    weights: BTreeMap<Form, (usize, Packing)>,
    /// Per-channel operands, each with their first byte.
    operands: BTreeMap<Vec<u8>, usize>,
}

impl Constants {
    /// Adds what a layer needs.
    pub fn add(&mut self, ctx: &Context, layer: &Layer) -> Result<Operands, Unsupported> {
        let (bytes, bias_stride) = per_channel(layer);
        let weights = match self.weights.entry(Form::of(layer)) {
            Entry::Occupied(known) => known.get().0,
            Entry::Vacant(new) => {
                let packing = new.key().packing(ctx, layer)?;
                let offset = append(&mut self.len, new.key().len());
                new.insert((offset, packing)).0
            }
        };
        let bias = match self.operands.entry(bytes) {
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
    fn len(&self) -> usize {
        self.len
    }

    fn write(&self, memory: &mut [u8]) {
        for (form, (offset, packing)) in &self.weights {
            form.write(packing, &mut memory[*offset..][..form.len()]);
        }
        for (bytes, offset) in &self.operands {
            memory[*offset..][..bytes.len()].copy_from_slice(bytes);
        }
    }
}

/// The first byte of `more` bytes behind `len` others.
fn append(len: &mut usize, more: usize) -> usize {
    let offset = len.next_multiple_of(ALIGN);
    *len = offset + more;
    offset
}

/// Groups of eight channels: int32 bias, then, where there are any, int16 factors. Channels that
/// only exist as padding read zeros.
fn per_channel(layer: &Layer) -> (Vec<u8>, usize) {
    let padded = layer.bias.len().next_multiple_of(layer.mode.group());
    let factors: &[i16] = match &layer.stage {
        Stage::PerChannel { factors, .. } => factors,
        _ => &[],
    };
    let stride = if factors.is_empty() { 32 } else { 48 };
    let mut bytes = vec![0; padded / 8 * stride];
    let mut factors = factors.chunks(8);
    for (group, biases) in bytes.chunks_exact_mut(stride).zip(layer.bias.chunks(8)) {
        let (words, halves) = group.split_at_mut(32);
        for (to, bias) in words.as_chunks_mut().0.iter_mut().zip(biases) {
            *to = bias.to_le_bytes();
        }
        let factors = factors.next().unwrap_or_default();
        for (to, factor) in halves.as_chunks_mut().0.iter_mut().zip(factors) {
            *to = factor.to_le_bytes();
        }
    }
    (bytes, stride)
}

/// Multiply-accumulates that operator `op` stands for in the model.
pub fn macs(ctx: &Context, op: OpId) -> u64 {
    use ferrite_ir::OpKind;
    let node = ctx.graph.node(op);
    let elements = |index: usize| {
        node.inputs
            .get(index)
            .copied()
            .flatten()
            .map_or(0, |t| ctx.tensor(t).elements() as u64)
    };
    let out = node.outputs.first().map(|&t| ctx.tensor(t));
    let Some(out) = out else { return 0 };
    let channels = out.shape.last().copied().unwrap_or(1).max(1) as u64;
    let pixels = out.elements() as u64 / channels;
    match node.kind {
        OpKind::Conv2d(_) | OpKind::FullyConnected { .. } | OpKind::DepthwiseConv2d { .. } => {
            pixels * elements(1)
        }
        OpKind::TransposeConv { .. } => {
            let outputs = channels;
            let kernel = elements(1) / outputs.max(1);
            elements(2) * kernel / inputs_of(ctx, op).max(1) * outputs
        }
        _ => 0,
    }
}

fn inputs_of(ctx: &Context, op: OpId) -> u64 {
    let filter = ctx.graph.node(op).inputs.get(1).copied().flatten();
    filter
        .and_then(|t| ctx.tensor(t).shape.last().copied())
        .map_or(1, |c| c as u64)
}
