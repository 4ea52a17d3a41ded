//! The constants buffer: packed weights and per-channel operands, each once.

use std::collections::BTreeMap;

use ferrite_ir::OpId;
use ferrite_ir::op::Hw;

use super::context::Context;
use super::filter;
use super::pack_weights as pack;
use super::program::{Layer, Mode, Stage, Taps, Weights};
use crate::Unsupported;

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

/// Room for the other operands of a layer: most have fewer than this.
const PER_LAYER: usize = 4096;

/// What decides the packed bytes of a layer's weights.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    weights: Weights,
    kernel: Hw,
    taps: Taps,
    inputs: usize,
    outputs: usize,
}

/// The buffer under construction.
#[derive(Default)]
pub struct Constants {
    bytes: Vec<u8>,
    packed: BTreeMap<Key, usize>,
    operands: BTreeMap<Vec<u8>, usize>,
}

impl Constants {
    /// For about as many bytes as the filters of `layers` have.
    pub fn for_layers<'l>(ctx: &Context, layers: impl Iterator<Item = &'l Layer>) -> Self {
        let bytes = |layer: &Layer| match layer.weights {
            Weights::Dense { filter } | Weights::Depthwise { filter } => {
                let data = ctx.tensor(filter).data.as_ref();
                data.map_or(0, |data| data.len()) + PER_LAYER
            }
            _ => PER_LAYER,
        };
        Constants {
            bytes: Vec::with_capacity(layers.map(bytes).sum()),
            ..Constants::default()
        }
    }

    /// The bytes.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Adds what a layer needs.
    pub fn add(&mut self, ctx: &Context, layer: &Layer) -> Result<Operands, Unsupported> {
        let key = Key {
            weights: layer.weights.clone(),
            kernel: layer.kernel,
            taps: layer.taps,
            inputs: layer.input.channels,
            outputs: layer.output.channels,
        };
        let weights = match self.packed.get(&key) {
            Some(&offset) => offset,
            None => {
                let offset = self.align();
                pack_layer(ctx, layer, &mut self.bytes)?;
                self.packed.insert(key, offset);
                offset
            }
        };
        let (bytes, bias_stride) = per_channel(layer);
        let bias = match self.operands.get(&bytes) {
            Some(&offset) => offset,
            None => {
                let offset = self.align();
                self.bytes.extend_from_slice(&bytes);
                self.operands.insert(bytes, offset);
                offset
            }
        };
        Ok(Operands {
            weights,
            bias,
            bias_stride,
        })
    }

    /// Where the next operands go.
    fn align(&mut self) -> usize {
        let offset = self.bytes.len().next_multiple_of(ALIGN);
        self.bytes.resize(offset, 0);
        offset
    }
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

/// Appends the weights of a layer.
fn pack_layer(ctx: &Context, layer: &Layer, packed: &mut Vec<u8>) -> Result<(), Unsupported> {
    let taps = layer.kernel.h * layer.kernel.w;
    let (inputs, outputs) = (layer.input.channels, layer.output.channels);
    let zero = layer.weight_zero as i8;
    let full = layer.taps.filter.h * layer.taps.filter.w;
    let at = |tap: usize| layer.taps.at(tap / layer.kernel.w, tap % layer.kernel.w);
    let checked = |filter, least: usize| {
        let (data, flip) = filter::bytes(ctx, filter)?;
        match data.len() >= least {
            true => Ok((data, flip)),
            false => Err(Unsupported::new(format!(
                "a filter of {} bytes where {least} are needed",
                data.len()
            ))),
        }
    };
    match layer.weights {
        Weights::Dense { filter } => {
            let (data, flip) = checked(filter, outputs * full * inputs)?;
            let filter = pack::Dense {
                data: &data,
                taps: full,
                inputs,
                flip,
            };
            let places: Vec<Option<usize>> = (0..taps).map(at).collect();
            pack::direct(packed, filter, outputs, &places, zero);
        }
        Weights::Depthwise { filter } => {
            let (data, flip) = checked(filter, full * inputs)?;
            let none = vec![zero as u8 ^ flip; inputs];
            pack::depthwise(packed, taps, inputs, flip, zero, |tap| {
                at(tap).map_or(&none[..], |at| &data[at * inputs..][..inputs])
            });
        }
        Weights::Grouped {
            filter,
            outputs: per_group,
            inputs: group_inputs,
            first_output,
            first_input,
            channel_last,
        } => {
            let (data, flip) = checked(filter, full * group_inputs * (first_output + outputs))?;
            let total = data.len() / (full * group_inputs);
            pack::computed(packed, outputs, taps, inputs, |oc, tap, ic| {
                let (oc, ic) = (first_output + oc, first_input + ic);
                let start = oc / per_group * group_inputs;
                let Some(tap) = at(tap).filter(|_| ic >= start && ic < start + group_inputs) else {
                    return zero;
                };
                let at = match channel_last {
                    true => tap * total + oc,
                    false => (oc * full + tap) * group_inputs + ic - start,
                };
                (data[at] ^ flip) as i8
            });
        }
        Weights::Constant(value) => {
            debug_assert_eq!(layer.mode, Mode::Depthwise);
            let (row, none) = (vec![value as u8; inputs], vec![0; inputs]);
            pack::depthwise(packed, taps, inputs, 0, 0, |tap| {
                at(tap).map_or(&none[..], |_| &row[..])
            });
        }
        Weights::Taps(ref weights) => {
            debug_assert_eq!(layer.mode, Mode::Depthwise);
            let rows: Vec<Vec<u8>> = (0..taps)
                .map(|tap| vec![at(tap).map_or(0, |at| weights[at] as u8); inputs])
                .collect();
            pack::depthwise(packed, taps, inputs, 0, 0, |tap| &rows[tap]);
        }
        Weights::Select { ref from } => {
            pack::computed(packed, outputs, taps, inputs, |oc, _, ic| {
                i8::from(from.get(oc).is_some_and(|&from| from as usize == ic))
            });
        }
        Weights::Identity(value) => {
            pack::computed(packed, outputs, taps, inputs, |oc, _, ic| match oc == ic {
                true => value,
                false => 0,
            });
        }
    }
    Ok(())
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
