//! A filter constant as the hardware sees it: int8, with one zero point, and sums per channel.

use std::borrow::Cow;

use ferrite_ir::op::Hw;
use ferrite_ir::{Bytes, DType, TensorId};

use smallvec::SmallVec;

use crate::error::Unsupported;
use crate::index::Index;
use crate::npu::{Conv, Grouping};
use crate::sums::{self, Reading, Sums};
use crate::targets::rk3588::program::Taps;

/// Quantised weights of a convolution.
pub struct Filter<'g> {
    data: Cow<'g, [u8]>,
    /// Xored onto stored bytes: 0x80 centres uint8.
    pub flip: u8,
    /// Zero point of the centred weights.
    pub zero: i16,
    /// Padding byte of the layer's input.
    pub pad_value: i8,
    scales: &'g [f32],
    /// Little-endian int32 biases, if there are any.
    bias: Option<&'g [[u8; 4]]>,
    outputs: usize,
    /// Filter order is `[tap, oc]`.
    channel_last: bool,
    /// By output channel.
    sums: Vec<Sums>,
}

/// A reach, in halves, up to which accumulators of stored data surely have 32 bits: these reach less
/// than 1.01 times as far.
const SURE: i64 = 2 * (i32::MAX as i64) / 102 * 100;

/// The accumulators of a convolution.
pub struct Accumulators {
    /// What turns sums over stored data into the model's, by channel.
    pub bias: Vec<i32>,
    /// Largest magnitude that one, bias included, can have.
    pub reach: i64,
}

/// Bytes and centring of a filter tensor.
pub fn bytes<'g>(ctx: &Index<'g>, filter: TensorId) -> Result<(&'g Bytes, u8), Unsupported> {
    let tensor = ctx.tensor(filter);
    let flip = match tensor.dtype {
        DType::U8 => 0x80,
        DType::I8 => 0,
        other => {
            return Err(Unsupported::new(format!("{other:?} weights"))
                .with_remedy("quantise the model to 8 bits"));
        }
    };
    let data = tensor.data.as_ref().ok_or_else(|| {
        Unsupported::new("the filter is computed at run time")
            .with_remedy("make the filter a constant")
    })?;
    Ok((data, flip))
}

/// The elements of an int32 constant, as they are stored.
fn words<'g>(ctx: &Index<'g>, tensor: TensorId) -> Option<&'g [[u8; 4]]> {
    let tensor = ctx.tensor(tensor);
    let data = tensor.data.as_ref()?;
    (tensor.dtype == DType::I32).then(|| data.as_chunks().0)
}

impl<'g> Filter<'g> {
    /// Checks and sums the filter of a convolution.
    pub fn new(ctx: &Index<'g>, conv: &Conv) -> Result<Filter<'g>, Unsupported> {
        let (data, flip) = bytes(ctx, conv.filter)?;
        Filter::of(ctx, conv, Cow::Borrowed(data), flip)
    }

    /// The same of a convolution with some of a dense filter's taps in another order.
    pub fn of_taps(ctx: &Index<'g>, conv: &Conv, taps: &Taps) -> Result<Filter<'g>, Unsupported> {
        let (data, flip) = bytes(ctx, conv.filter)?;
        let (kernel, [_, _, inputs]) = (conv.window.kernel, conv.input_shape);
        let (all, outputs) = (taps.filter.h * taps.filter.w, conv.output_shape[2]);
        if data.len() != outputs * all * inputs {
            return Err(Unsupported::new(format!(
                "a filter of {} bytes in place of {}",
                data.len(),
                outputs * all * inputs
            )));
        }
        let places = (0..kernel.h).flat_map(|y| (0..kernel.w).filter_map(move |x| taps.at(y, x)));
        let places: Vec<usize> = places.collect();
        let mut some = Vec::with_capacity(outputs * places.len() * inputs);
        for of_output in data.chunks_exact(all * inputs) {
            for &place in &places {
                some.extend_from_slice(&of_output[place * inputs..][..inputs]);
            }
        }
        Filter::of(ctx, conv, Cow::Owned(some), flip)
    }

    fn of(
        ctx: &Index<'g>,
        conv: &Conv,
        data: Cow<'g, [u8]>,
        flip: u8,
    ) -> Result<Filter<'g>, Unsupported> {
        let quant = ctx.tensor(conv.filter).quant.as_ref().ok_or_else(|| {
            Unsupported::new("the filter has no quantisation")
                .with_remedy("quantise the model to 8 bits")
        })?;
        let outputs = conv.output_shape[2];
        let scales = &quant.scales[..];
        if scales.len() != 1 && scales.len() != outputs {
            return Err(Unsupported::new(format!(
                "{} filter scales for {outputs} output channels",
                scales.len()
            )));
        }
        let points = &quant.zero_points;
        let zero = points.first().copied().unwrap_or(0);
        if points.iter().any(|&z| z != zero) {
            return Err(Unsupported::new(
                "zero points of the filter differ by channel",
            ));
        }
        let zero = zero - i32::from(flip);
        if !(-128..=127).contains(&zero) {
            return Err(Unsupported::new(format!(
                "filter zero point {zero} is out of range"
            )));
        }
        let bias = match conv.bias {
            None => None,
            Some(bias) => Some(words(ctx, bias).filter(|b| b.len() == outputs).ok_or_else(
                || Unsupported::new("the bias is not a constant of one integer per channel"),
            )?),
        };
        let pad_value = ctx.stored(conv.input)?.zero as i8;
        let channel_last = matches!(
            conv.grouping,
            Grouping::Groups {
                channel_last: true,
                ..
            }
        );
        sums::check_length(data.len() / outputs.max(1))?;
        let mut filter = Filter {
            data,
            flip,
            zero: zero as i16,
            pad_value,
            scales,
            bias,
            outputs,
            channel_last,
            sums: Vec::new(),
        };
        filter.sums = filter.sum();
        Ok(filter)
    }

    fn sum(&self) -> Vec<Sums> {
        // With the sign bit turned, signed bytes are unsigned ones 128 higher.
        let reading = Reading {
            turn: self.flip ^ 0x80,
            zero: (self.zero + 128) as u8,
        };
        match self.channel_last {
            true => reading.columns(&self.data, self.outputs),
            false if self.data.is_empty() => vec![Sums::default(); self.outputs],
            false => reading.rows(&self.data, (self.data.len() / self.outputs).max(1)),
        }
    }

    /// Output steps per accumulator step: one for all channels, or one each.
    pub fn factors(&self, input_scale: f64, output_scale: f64) -> SmallVec<[f64; 1]> {
        let factor = |&scale: &f32| input_scale * f64::from(scale) / output_scale;
        let mut factors: SmallVec<[f64; 1]> = self.scales.iter().map(factor).collect();
        if factors.iter().all(|&f| f == factors[0]) {
            factors.truncate(1);
        }
        factors
    }

    /// The model's bias of a channel.
    pub fn model_bias(&self, channel: usize) -> i64 {
        let word = self.bias.map_or([0; 4], |bias| bias[channel]);
        i64::from(i32::from_le_bytes(word))
    }

    /// Sums over the weights of each channel.
    pub fn sums(&self) -> &[Sums] {
        &self.sums
    }

    /// What has to be added to the bias of each channel when only the taps from `first` on are
    /// used: the taps left out would see the zero point, and the bias takes that into account.
    pub fn left_out(&self, kernel: Hw, first: Hw, input_zero: i32) -> Vec<i64> {
        let taps = kernel.h * kernel.w;
        let out = |tap: usize| tap / kernel.w < first.h || tap % kernel.w < first.w;
        let per_output = self.data.len() / self.outputs;
        let inputs = per_output / taps.max(1);
        (0..self.outputs)
            .map(|oc| {
                let sum: i64 = (0..taps)
                    .filter(|&tap| out(tap))
                    .flat_map(|tap| {
                        (0..inputs).map(move |ic| match self.channel_last {
                            true => tap * self.outputs + oc,
                            false => (oc * taps + tap) * inputs + ic,
                        })
                    })
                    .map(|at| i64::from((self.data[at] ^ self.flip) as i8) - i64::from(self.zero))
                    .sum();
                sum * i64::from(input_zero)
            })
            .collect()
    }

    /// What the sums over stored data become, if neither the bias nor any accumulator exceeds 32
    /// bits.
    pub fn accumulators(&self, input_zero: i32) -> Result<Accumulators, Unsupported> {
        let zero = i64::from(input_zero);
        let mut reach = 0;
        // One loop for each case: both are done in vector instructions.
        let mut correct = |given: i32, sums: &Sums| {
            let (signed, magnitude) = (i64::from(sums.signed), i64::from(sums.magnitude));
            let corrected = i64::from(given) - zero * signed;
            // Data lie from -128 to 127: half a step below zero, at most 255 halves from there.
            let middle = 2 * corrected - signed;
            reach = reach.max(middle.abs() + 255 * magnitude);
            corrected as i32
        };
        let bias = match self.bias {
            Some(given) => {
                let given = given.iter().map(|word| i32::from_le_bytes(*word));
                let both = given.zip(&self.sums);
                both.map(|(given, sums)| correct(given, sums)).collect()
            }
            None => self.sums.iter().map(|sums| correct(0, sums)).collect(),
        };
        if reach > SURE {
            self.check_stored(zero)?;
        }
        Ok(Accumulators {
            bias,
            reach: reach / 2,
        })
    }

    /// Whether the accumulators of stored data, which are at most 128 from zero, have 32 bits.
    fn check_stored(&self, input_zero: i64) -> Result<(), Unsupported> {
        let given = |output: usize| self.bias.map_or(0, |bias| i32::from_le_bytes(bias[output]));
        let stored = self.sums.iter().enumerate().map(|(output, sums)| {
            let corrected = i64::from(given(output)) - input_zero * i64::from(sums.signed);
            corrected.abs() + i64::from(sums.magnitude) * 128
        });
        match stored.max() {
            Some(most) if most > i64::from(i32::MAX) => Err(Unsupported::new(format!(
                "an accumulator may reach {most}, beyond 32 bits"
            ))),
            _ => Ok(()),
        }
    }
}
