//! The weights of a layer, to be packed when it is known where to.

use ferrite_hw::rk3588::Parameters;
use ferrite_ir::Bytes;
use ferrite_ir::op::Hw;

use smallvec::SmallVec;

use super::pack_weights as pack;
use crate::error::Unsupported;
use crate::index::Index;
use crate::targets::rk3588::numbers::weights;
use crate::targets::rk3588::program::{Layer, Taps, Weights};

/// Taps of most kernels, at most.
const TAPS: usize = 9;

/// Weights of each tap of a depthwise kernel.
type Rows<'a> = SmallVec<[Option<&'a [u8]>; TAPS]>;

/// What decides the packed bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Form {
    weights: Weights,
    kernel: Hw,
    taps: Taps,
    inputs: usize,
    outputs: usize,
}

/// What the bytes are made from.
#[derive(Clone, Debug)]
pub struct Packing {
    /// Those of the filter, if the weights have one.
    data: Bytes,
    /// Xored onto them.
    flip: u8,
    /// The weight of what the filter does not have.
    zero: i8,
}

impl Form {
    /// Of a layer.
    pub fn of(layer: &Layer) -> Form {
        Form {
            weights: layer.weights.clone(),
            kernel: layer.kernel,
            taps: layer.taps,
            inputs: layer.input.channels,
            outputs: layer.output.channels,
        }
    }

    /// Taps of the kernel.
    fn kernel_taps(&self) -> usize {
        self.kernel.h * self.kernel.w
    }

    /// Taps of the filter.
    fn filter_taps(&self) -> usize {
        self.taps.filter.h * self.taps.filter.w
    }

    /// The filter's tap for one of the kernel's.
    fn tap(&self, tap: usize) -> Option<usize> {
        self.taps.at(tap / self.kernel.w, tap % self.kernel.w)
    }

    /// Bytes when packed.
    pub fn len(&self, chip: &Parameters) -> usize {
        let (taps, inputs) = (self.kernel_taps(), self.inputs);
        match self.weights {
            Weights::Dense { .. }
            | Weights::Grouped { .. }
            | Weights::Select { .. }
            | Weights::Identity(_) => pack::direct_len(chip, self.outputs, taps, inputs),
            Weights::Depthwise { .. } | Weights::Constant(_) | Weights::Taps(_) => {
                pack::depthwise_len(chip, taps, inputs)
            }
            Weights::None => 0,
        }
    }

    /// Looks up the filter.
    pub fn packing(&self, ctx: &Index, layer: &Layer) -> Result<Packing, Unsupported> {
        let per_input = self.filter_taps();
        let (filter, least) = match self.weights {
            Weights::Dense { filter } => (filter, self.outputs * per_input * self.inputs),
            Weights::Depthwise { filter } => (filter, per_input * self.inputs),
            Weights::Grouped {
                filter,
                inputs,
                first_output,
                ..
            } => (filter, per_input * inputs * (first_output + self.outputs)),
            _ => {
                return Ok(Packing {
                    data: Bytes::from([]),
                    flip: 0,
                    zero: 0,
                });
            }
        };
        let (data, flip) = weights::bytes(ctx, filter)?;
        if data.len() < least {
            return Err(Unsupported::new(format!(
                "a filter of {} bytes where {least} are needed",
                data.len()
            )));
        }
        Ok(Packing {
            data: data.clone(),
            flip,
            zero: layer.weight_zero as i8,
        })
    }

    /// Packs the weights.
    pub fn write(&self, chip: &Parameters, packing: &Packing, packed: &mut [u8]) {
        let (taps, full, inputs) = (self.kernel_taps(), self.filter_taps(), self.inputs);
        let &Packing {
            ref data,
            flip,
            zero,
        } = packing;
        match self.weights {
            Weights::None => {}
            Weights::Dense { .. } => {
                let filter = pack::Dense {
                    data,
                    taps: full,
                    inputs,
                    flip,
                };
                let places: SmallVec<[_; TAPS]> = (0..taps).map(|tap| self.tap(tap)).collect();
                pack::direct(chip, packed, filter, self.outputs, &places, zero);
            }
            Weights::Depthwise { .. } => {
                let row = |tap| Some(&data[self.tap(tap)? * inputs..][..inputs]);
                let rows: Rows = (0..taps).map(row).collect();
                pack::depthwise(chip, packed, inputs, flip, zero, &rows);
            }
            Weights::Grouped {
                outputs: per_group,
                inputs: group_inputs,
                first_output,
                first_input,
                channel_last,
                ..
            } => {
                let total = data.len() / (full * group_inputs);
                pack::computed(chip, packed, self.outputs, taps, inputs, |oc, tap, ic| {
                    let (oc, ic) = (first_output + oc, first_input + ic);
                    let start = oc / per_group * group_inputs;
                    let inside = ic >= start && ic < start + group_inputs;
                    let Some(tap) = self.tap(tap).filter(|_| inside) else {
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
                let weights = vec![value as u8; inputs];
                let row = |tap| self.tap(tap).map(|_| &weights[..]);
                let rows: Rows = (0..taps).map(row).collect();
                pack::depthwise(chip, packed, inputs, 0, 0, &rows);
            }
            Weights::Taps(ref weights) => {
                let row = |tap| Some(vec![weights[self.tap(tap)?] as u8; inputs]);
                let weights: Vec<Option<Vec<u8>>> = (0..taps).map(row).collect();
                let rows: Rows = weights.iter().map(Option::as_deref).collect();
                pack::depthwise(chip, packed, inputs, 0, 0, &rows);
            }
            Weights::Select { ref from } => {
                pack::computed(chip, packed, self.outputs, taps, inputs, |oc, tap, ic| {
                    let own = self.tap(tap).filter(|_| ic < inputs);
                    let own = own.map(|tap| tap * inputs + ic);
                    i8::from(own.is_some_and(|own| from.get(oc) == Some(&(own as u32))))
                });
            }
            Weights::Identity(value) => {
                pack::computed(
                    chip,
                    packed,
                    self.outputs,
                    taps,
                    inputs,
                    |oc, tap, ic| match oc == ic && self.tap(tap).is_some() {
                        true => value,
                        false => 0,
                    },
                );
            }
        }
    }
}
