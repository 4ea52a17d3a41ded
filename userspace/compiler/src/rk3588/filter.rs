//! A filter constant as the hardware sees it: int8, with one zero point, and sums per channel.

use ferrite_ir::op::Hw;
use ferrite_ir::{Bytes, DType, TensorId};

use super::context::Context;
use super::conv::{Conv, Grouping};
use super::sums::{Reading, Sums};
use crate::Unsupported;

/// Quantised weights of a convolution.
pub struct Filter {
    data: Bytes,
    /// Xored onto stored bytes: 0x80 centres uint8.
    pub flip: u8,
    /// Zero point of the centred weights.
    pub zero: i16,
    /// Padding byte of the layer's input.
    pub pad_value: i8,
    scales: Vec<f64>,
    bias: Vec<i64>,
    outputs: usize,
    /// Filter order is `[tap, oc]`.
    channel_last: bool,
    /// By output channel.
    sums: Vec<Sums>,
}

/// The accumulators of a convolution.
pub struct Accumulators {
    /// What turns sums over stored data into the model's, by channel.
    pub bias: Vec<i32>,
    /// Largest magnitude that one, bias included, can have.
    pub reach: i64,
}

/// Bytes and centring of a filter tensor.
pub fn bytes(ctx: &Context, filter: TensorId) -> Result<(Bytes, u8), Unsupported> {
    let tensor = ctx.tensor(filter);
    let flip = match tensor.dtype {
        DType::U8 => 0x80,
        DType::I8 => 0,
        other => {
            return Err(Unsupported::new(format!("{other:?} weights"))
                .with_remedy("quantise the model to 8 bits"));
        }
    };
    let data = tensor.data.clone().ok_or_else(|| {
        Unsupported::new("the filter is computed at run time")
            .with_remedy("make the filter a constant")
    })?;
    Ok((data, flip))
}

impl Filter {
    /// Checks and sums the filter of a convolution.
    pub fn new(ctx: &Context, conv: &Conv) -> Result<Filter, Unsupported> {
        let (data, flip) = bytes(ctx, conv.filter)?;
        let quant = ctx.tensor(conv.filter).quant.as_ref().ok_or_else(|| {
            Unsupported::new("the filter has no quantisation")
                .with_remedy("quantise the model to 8 bits")
        })?;
        let outputs = conv.output_shape[2];
        let scales: Vec<f64> = quant.scales.iter().map(|&s| f64::from(s)).collect();
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
            None => vec![0; outputs],
            Some(bias) => ctx
                .ints(bias)
                .filter(|b| b.len() == outputs)
                .ok_or_else(|| {
                    Unsupported::new("the bias is not a constant of one integer per channel")
                })?,
        };
        let pad_value = ctx.stored(conv.input)?.zero as i8;
        let channel_last = matches!(
            conv.grouping,
            Grouping::Groups {
                channel_last: true,
                ..
            }
        );
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
            false => reading.rows(&self.data, (self.data.len() / self.outputs).max(1)),
        }
    }

    /// Output steps per accumulator step: one for all channels, or one each.
    pub fn factors(&self, input_scale: f64, output_scale: f64) -> Vec<f64> {
        let factors: Vec<f64> = self
            .scales
            .iter()
            .map(|s| input_scale * s / output_scale)
            .collect();
        match factors.first() {
            Some(&first) if factors.iter().all(|&f| f == first) => vec![first],
            _ => factors,
        }
    }

    /// The model's bias of each channel.
    pub fn model_bias(&self) -> &[i64] {
        &self.bias
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
        let mut bias = Vec::with_capacity(self.bias.len());
        let (mut stored, mut reach) = (0, 0);
        for (&given, &Sums { signed, magnitude }) in self.bias.iter().zip(&self.sums) {
            let corrected = given - zero * signed;
            stored = stored.max(corrected.abs() + magnitude * 128);
            // Data lie from -128 to 127: half a step below zero, at most 255 halves from there.
            let middle = 2 * corrected - signed;
            reach = reach.max(middle.abs() + 255 * magnitude);
            bias.push(corrected as i32);
        }
        if stored > i64::from(i32::MAX) {
            return Err(Unsupported::new(format!(
                "an accumulator may reach {stored}, beyond 32 bits"
            )));
        }
        Ok(Accumulators {
            bias,
            reach: reach / 2,
        })
    }
}
