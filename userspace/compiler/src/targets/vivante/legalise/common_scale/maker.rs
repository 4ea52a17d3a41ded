//! Makes the jobs of a layer whose channels have scales of their own.

use std::ops::Range;

use ferrite_ir::Bytes;

use super::groups::{self, Division, Group};
use super::split::{BASES, Base, Split};
use super::{MOST, Numbers, parts};
use crate::error::Unsupported;
use crate::targets::vivante::chip::CORES;
use crate::targets::vivante::context::Context;
use crate::targets::vivante::cost;
use crate::targets::vivante::kernels::{Kernel, Order};
use crate::targets::vivante::legalise::elementwise::multiplier;
use crate::targets::vivante::legalise::rounding;
use crate::targets::vivante::program::{Layer, Multiplier, Side};

/// Jobs up to which a layer's input stays in two parts, and its error is made smaller than it must be:
/// more of them take longer than a third part does.
const FEW: usize = 8;
/// What is tried: the error that channels are dealt to jobs for, the most jobs, and a base. Weights are
/// not as even as is expected then, so some of [`MOST`] is left.
const TRIES: [(f64, usize, Base); 4] = [
    (0.5 * MOST, FEW, BASES[0]),
    (0.5 * MOST, FEW, BASES[1]),
    (0.8 * MOST, FEW, BASES[1]),
    (0.8 * MOST, usize::MAX, BASES[1]),
];
/// Zero point of the weights in two parts.
const ZERO: i32 = 128;

/// The jobs so far.
pub struct Maker<'a> {
    layer: &'a Layer,
    numbers: &'a Numbers<'a>,
    base: Base,
    jobs: Vec<Layer>,
    /// Sum over the channels of their results' mean square error.
    squares: f64,
}

impl<'a> Maker<'a> {
    /// Without jobs.
    pub fn new(layer: &'a Layer, numbers: &'a Numbers<'a>) -> Maker<'a> {
        Maker {
            layer,
            numbers,
            base: BASES[0],
            jobs: Vec::new(),
            squares: 0.0,
        }
    }

    /// The jobs, and the root of the mean square error of their results.
    pub fn finish(self) -> (Vec<Layer>, f64) {
        let error = self.squares / self.layer.kernel.outputs as f64;
        (self.jobs, error.sqrt())
    }

    /// Channels that all meet: jobs for some of the outputs each.
    pub fn dense(&mut self, ctx: &mut Context, reach: &[f64]) -> Result<(), Unsupported> {
        let Division { groups, alone } =
            self.divide(reach, |left, limit| groups::fewest(left, CORES, limit));
        let (layer, zero) = (self.layer, self.numbers.zero);
        let (input, mut jobs) = parts::of_map(ctx, layer.op, self.base, layer.input, zero)?;
        self.jobs.append(&mut jobs);
        let inputs = layer.kernel.inputs;
        for group in groups {
            let shape = [inputs, group.channels.len()];
            self.group(input, 0, &group, shape, &alone)?;
        }
        alone
            .iter()
            .try_for_each(|&output| self.single(output, 0..inputs))
    }

    /// Channels that meet in groups of `inputs` and `outputs`: jobs for some of these each.
    pub fn grouped(
        &mut self,
        ctx: &mut Context,
        reach: &[f64],
        [inputs, outputs]: [usize; 2],
    ) -> Result<(), Unsupported> {
        let (layer, zero) = (self.layer, self.numbers.zero);
        let blocks = layer.kernel.outputs / outputs;
        let each = cost::groups_of_parts(&ctx.timing(), layer, [inputs, outputs]);
        let Division { groups, alone } =
            self.divide(reach, |left, _| groups::equal(left, each * outputs));
        for group in groups {
            let first = group.channels.start / outputs * inputs;
            let end = group.channels.end / outputs * inputs;
            let (input, mut jobs) = if each < blocks {
                parts::of_channels(ctx, layer.op, self.base, layer.input, zero, first..end)?
            } else {
                parts::of_map(ctx, layer.op, self.base, layer.input, zero)?
            };
            self.jobs.append(&mut jobs);
            self.group(input, first, &group, [inputs, outputs], &alone)?;
        }
        alone.iter().try_for_each(|&output| {
            let first = output / outputs * inputs;
            self.single(output, first..first + inputs)
        })
    }

    /// Chooses the base, and how channels are dealt to jobs with it.
    fn divide(&mut self, reach: &[f64], group: impl Fn(&[f64], f64) -> Vec<Group>) -> Division {
        for (aim, most, base) in TRIES {
            self.base = base;
            let limit = self.limit(aim);
            let division = groups::divide(reach, limit, most, |left| group(left, limit));
            if let Some(division) = division {
                return division;
            }
        }
        // The error will say that this does not do.
        Division {
            groups: group(reach, 0.0),
            alone: Vec::new(),
        }
    }

    /// Mean square of common scales at which the results are so far off.
    fn limit(&self, error: f64) -> f64 {
        let kernel = &self.layer.kernel;
        let weights = kernel.pairs() / kernel.outputs.max(1) * kernel.filter[0] * kernel.filter[1];
        let expected = self.base.expected(weights, self.numbers.zero);
        (error / self.numbers.ratio).powi(2) / expected
    }

    /// The model's weights of an output, tap by tap.
    fn weights(&self, output: usize, inputs: Range<usize>) -> impl Iterator<Item = i32> {
        let kernel = &self.layer.kernel;
        let [rows, columns] = kernel.filter;
        let taps = (0..rows).flat_map(move |y| (0..columns).map(move |x| (y, x)));
        taps.flat_map(move |(y, x)| {
            let inputs = inputs.clone();
            inputs.map(move |input| kernel.signed(output, input, y, x))
        })
    }

    /// Adds the job for a group of output channels, which read groups of `shape` of the parts
    /// of the channels from `first` on. Those that have a job of their own get no weights.
    fn group(
        &mut self,
        input: Side,
        first: usize,
        group: &Group,
        shape: [usize; 2],
        alone: &[usize],
    ) -> Result<(), Unsupported> {
        // Without weights any scale does.
        let scale = match group.scale > 0.0 {
            true => group.scale,
            false => self.numbers.scales[group.channels.start],
        };
        let multiplier = multiplier(self.numbers.ratio * scale)?;
        let [inputs, outputs] = shape;
        let mut data = Vec::new();
        let mut bias = Vec::with_capacity(group.channels.len());
        for output in group.channels.clone() {
            let meeting = (output - group.channels.start) / outputs * inputs + first;
            let factor = match alone.binary_search(&output) {
                Ok(_) => 0.0,
                Err(_) => self.numbers.scales[output] / scale,
            };
            let weights = self.weights(output, meeting..meeting + inputs);
            let weights: Vec<f64> = weights.map(|weight| f64::from(weight) * factor).collect();
            let splits = self.base.split(&weights);
            for tap in splits.chunks(inputs) {
                for part in (0..self.base.parts).rev() {
                    data.extend(tap.iter().map(|split| (split.digits[part] + ZERO) as u8));
                }
            }
            let (value, rounded) = self.bias(output, factor, &splits)?;
            bias.push(value);
            let squares = self.base.error(&splits, self.numbers.zero) + rounded * rounded;
            self.squares += squares * (self.numbers.ratio * scale).powi(2);
        }
        let kernel = Kernel {
            data: Bytes::from(data),
            flip: 0,
            zero: ZERO as u8,
            order: Order::Parts {
                parts: self.base.parts,
                group_inputs: inputs,
                group_outputs: outputs,
            },
            inputs: input.z,
            outputs: group.channels.len(),
            bias,
            ..self.layer.kernel.clone()
        };
        self.push(input, group.channels.start, kernel, multiplier);
        Ok(())
    }

    /// Adds the job for one output channel with the model's own weights.
    fn single(&mut self, output: usize, inputs: Range<usize>) -> Result<(), Unsupported> {
        let Numbers {
            scales,
            biases,
            ratio,
            zero,
            rounding,
            steps,
        } = *self.numbers;
        let factor = ratio * scales[output];
        let (multiplier, added) = rounding::fit(rounding, factor, multiplier(factor)?, steps);
        let model = &self.layer.kernel;
        let weights = self.weights(output, inputs.clone());
        let data: Vec<u8> = weights
            .map(|weight| (weight + i32::from(model.zero)) as u8)
            .collect();
        let sum: i64 = self.weights(output, inputs.clone()).map(i64::from).sum();
        let bias = biases[output] + i64::from(added) - i64::from(zero) * sum;
        let kernel = Kernel {
            data: Bytes::from(data),
            flip: 0,
            order: Order::Dense {
                group_inputs: inputs.len(),
                group_outputs: 1,
            },
            // A 1x1 kernel of one channel is no form that the hardware takes.
            size: model.size.max(if inputs.len() == 1 { 2 } else { 1 }),
            inputs: inputs.len(),
            outputs: 1,
            // No larger than that of the model's layer, which was checked.
            bias: vec![bias as i32],
            ..model.clone()
        };
        let mut input = self.layer.input;
        input.offset += inputs.start * input.x * input.y;
        input.z = inputs.len();
        self.push(input, output, kernel, multiplier);
        Ok(())
    }

    fn push(&mut self, input: Side, first: usize, kernel: Kernel, multiplier: Multiplier) {
        let mut job = self.layer.clone();
        job.evidence = job.evidence.max(multiplier.evidence());
        job.input = input;
        job.output.offset += first * job.output.x * job.output.y;
        job.output.z = kernel.outputs;
        job.multiplier = multiplier;
        job.kernel = kernel;
        self.jobs.push(job);
    }

    /// Bias of an output in steps of the common scale, which is the model's divided by `factor`, and
    /// what rounding it leaves.
    fn bias(
        &self,
        output: usize,
        factor: f64,
        splits: &[Split],
    ) -> Result<(i32, f64), Unsupported> {
        let numbers = self.numbers;
        let added = match numbers.steps[0] {
            0 => rounding::added(numbers.rounding, numbers.ratio * numbers.scales[output]),
            _ => 0.0,
        };
        let exact = (numbers.biases[output] as f64 + added) * factor;
        let all = splits.iter().flat_map(|split| split.digits);
        let (sum, magnitude) = all.fold((0, 0), |(sum, magnitude), weight| {
            (sum + i64::from(weight), magnitude + i64::from(weight.abs()))
        });
        let bias = exact.round() as i64 - i64::from(numbers.zero) * sum;
        let largest = bias.abs() + magnitude * 255;
        if largest > i64::from(i32::MAX) {
            return Err(Unsupported::new(format!(
                "an accumulator may reach {largest}, beyond 32 bits"
            )));
        }
        Ok((bias as i32, exact.round() - exact))
    }
}
