//! Where the weights of a layer come from.

use ferrite_ir::Bytes;
use std::ops::Range;

use super::encode::coefficients::Kernels;
use crate::sums::{Reading, Sums};

/// How taps are found in the model's filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// `[output][y][x][input]`, the inputs being those of the output's group.
    Dense {
        /// Input channels of a group.
        group_inputs: usize,
        /// Output channels of a group.
        group_outputs: usize,
    },
    /// `[y][x][output]`, each output reading input `output / multiplier`.
    Depthwise {
        /// Outputs of an input.
        multiplier: usize,
    },
    /// `[output][pixel][channel]` read by inputs that are the pixels of one channel after another.
    Flattened {
        /// Pixels of a channel.
        pixels: usize,
    },
    /// One weight for each input plane, at the first tap.
    Planes,
    /// `[output][y][x][part][input]`: the inputs are maps of as many channels, one behind the other, and
    /// an output reads the channels of its group in each of them.
    Parts {
        /// The maps.
        parts: usize,
        /// Input channels of a group, in each of the maps.
        group_inputs: usize,
        /// Output channels of a group.
        group_outputs: usize,
    },
}

/// Weights and biases of a layer. The hardware's kernel is square; taps that the model's filter
/// does not have are zero points.
#[derive(Clone, Debug)]
pub struct Kernel {
    /// Filter bytes of the model, or weights made up.
    pub data: Bytes,
    /// Xored onto bytes: 0x80 turns int8 into uint8.
    pub flip: u8,
    /// Weight zero point.
    pub zero: u8,
    /// Where in `data` a tap is.
    pub order: Order,
    /// Rows and columns of the filter.
    pub filter: [usize; 2],
    /// Rows and columns from tap to tap.
    pub dilation: [usize; 2],
    /// Rows and columns of the hardware's kernel.
    pub size: usize,
    /// Input channels.
    pub inputs: usize,
    /// Output channels.
    pub outputs: usize,
    /// Output and input channel of the filter that are the kernel's first.
    pub first: [usize; 2],
    /// Biases, with the input's zero point folded in.
    pub bias: Vec<i32>,
}

impl Kernel {
    /// Index in the filter of a tap of a pair of channels that meet.
    fn index(&self, output: usize, input: usize, y: usize, x: usize) -> usize {
        let [rows, columns] = self.filter;
        let [output, input] = [output + self.first[0], input + self.first[1]];
        match self.order {
            Order::Dense { group_inputs, .. } => {
                ((output * rows + y) * columns + x) * group_inputs + input % group_inputs
            }
            Order::Depthwise { .. } => {
                let outputs = self.data.len() / (rows * columns).max(1);
                (y * columns + x) * outputs + output
            }
            Order::Flattened { pixels } => {
                let channels = self.inputs / pixels;
                output * self.inputs + input % pixels * channels + input / pixels
            }
            Order::Planes => input,
            Order::Parts {
                parts,
                group_inputs,
                ..
            } => {
                let part = self.inputs / parts;
                let first = ((output * rows + y) * columns + x) * parts + input / part;
                first * group_inputs + input % part % group_inputs
            }
        }
    }

    /// A weight of a pair of channels that meet, less the zero point.
    pub fn signed(&self, output: usize, input: usize, y: usize, x: usize) -> i32 {
        let byte = self.data[self.index(output, input, y, x)] ^ self.flip;
        i32::from(byte) - i32::from(self.zero)
    }

    /// The largest distance of each output's weights from the zero point.
    pub fn largest(&self) -> Vec<i32> {
        let mut largest = vec![0; self.outputs];
        let distance = |byte: &u8| i32::from((byte ^ self.flip).abs_diff(self.zero));
        if matches!(self.order, Order::Depthwise { .. }) {
            for row in self.data.chunks_exact(self.outputs.max(1)) {
                for (largest, byte) in largest.iter_mut().zip(row) {
                    *largest = distance(byte).max(*largest);
                }
            }
        } else {
            let rows = self.data.chunks_exact(self.weights_each().max(1));
            for (largest, row) in largest.iter_mut().zip(rows) {
                *largest = row.iter().map(distance).max().unwrap_or(0);
            }
        }
        largest
    }

    /// Pairs of channels that meet.
    pub fn pairs(&self) -> usize {
        match self.order {
            Order::Parts {
                parts,
                group_inputs,
                ..
            } => parts * group_inputs * self.outputs,
            _ => self.block()[0] * self.outputs,
        }
    }

    /// Input and output channels of the blocks that do not meet others.
    pub fn block(&self) -> [usize; 2] {
        match self.order {
            Order::Dense {
                group_inputs,
                group_outputs,
            } => [group_inputs, group_outputs],
            Order::Depthwise { multiplier } => [1, multiplier],
            // The channels of a block in parts do not follow each other.
            Order::Flattened { .. } | Order::Planes | Order::Parts { .. } => {
                [self.inputs, self.outputs]
            }
        }
    }

    /// The kernel of some of the blocks.
    pub fn part(&self, blocks: Range<usize>) -> Kernel {
        let [inputs, outputs] = self.block();
        Kernel {
            inputs: blocks.len() * inputs,
            outputs: blocks.len() * outputs,
            first: [
                self.first[0] + blocks.start * outputs,
                self.first[1] + blocks.start * inputs,
            ],
            bias: self.bias[blocks.start * outputs..blocks.end * outputs].to_vec(),
            ..self.clone()
        }
    }

    /// Weights of an output, those that the filter does not have left out.
    pub fn weights_each(&self) -> usize {
        self.data.len() / self.outputs.max(1)
    }

    /// The sums over the weights of each output, of which there are at most [`sums::LONGEST`].
    ///
    /// [`sums::LONGEST`]: crate::sums::LONGEST
    pub fn sums(&self) -> Vec<Sums> {
        let reading = Reading {
            turn: self.flip,
            zero: self.zero,
        };
        match self.order {
            Order::Depthwise { .. } => reading.columns(&self.data, self.outputs.max(1)),
            Order::Dense { .. } | Order::Flattened { .. } | Order::Planes | Order::Parts { .. } => {
                reading.rows(&self.data, self.weights_each().max(1))
            }
        }
    }
}

/// A kernel with the size of the layer's output planes.
pub struct Placed<'a> {
    /// The kernel.
    pub kernel: &'a Kernel,
    /// Bytes of an output plane.
    pub plane: usize,
}

impl Kernels for Placed<'_> {
    fn shape(&self) -> [usize; 4] {
        let Kernel {
            outputs,
            inputs,
            size,
            ..
        } = *self.kernel;
        [outputs, inputs, size, size]
    }

    fn weight(&self, output: usize, input: usize, y: usize, x: usize) -> Option<u8> {
        let kernel = self.kernel;
        let [dy, dx] = kernel.dilation;
        let met = self.meeting(input).contains(&output);
        if !met || !y.is_multiple_of(dy) || !x.is_multiple_of(dx) {
            return None;
        }
        let (y, x) = (y / dy, x / dx);
        if y >= kernel.filter[0] || x >= kernel.filter[1] {
            return None;
        }
        let at = kernel.index(output, input, y, x);
        kernel.data.get(at).map(|byte| byte ^ kernel.flip)
    }

    fn meeting(&self, input: usize) -> Range<usize> {
        let (group, outputs) = match self.kernel.order {
            Order::Dense {
                group_inputs,
                group_outputs,
            } => (input / group_inputs, group_outputs),
            Order::Depthwise { multiplier } => (input, multiplier),
            Order::Parts {
                parts,
                group_inputs,
                group_outputs,
            } => {
                let input = input % (self.kernel.inputs / parts);
                (input / group_inputs, group_outputs)
            }
            Order::Flattened { .. } | Order::Planes => (0, self.kernel.outputs),
        };
        group * outputs..(group + 1) * outputs
    }

    fn row(&self, output: usize, row: &mut [u8]) {
        let kernel = self.kernel;
        // A group's inputs follow each other in the filter.
        let (first, count) = match kernel.order {
            Order::Dense {
                group_inputs,
                group_outputs,
            } => (output / group_outputs * group_inputs, group_inputs),
            Order::Depthwise { multiplier } => (output / multiplier, 1),
            Order::Parts { group_outputs, .. } if group_outputs == kernel.outputs => {
                (0, kernel.inputs)
            }
            Order::Parts {
                parts,
                group_inputs,
                group_outputs,
            } => {
                let first = output / group_outputs * group_inputs;
                for part in (0..kernel.inputs).step_by(kernel.inputs / parts) {
                    for input in (part + first..).take(group_inputs) {
                        row[input] = self.weight(output, input, 0, 0).unwrap_or(row[input]);
                    }
                }
                return;
            }
            Order::Flattened { .. } | Order::Planes => {
                for (input, weight) in row.iter_mut().enumerate() {
                    *weight = self.weight(output, input, 0, 0).unwrap_or(*weight);
                }
                return;
            }
        };
        let at = kernel.index(output, first, 0, 0);
        let given = kernel.data.get(at..).unwrap_or_default();
        for (weight, byte) in row[first..].iter_mut().zip(given).take(count) {
            *weight = byte ^ kernel.flip;
        }
    }

    fn bias(&self, output: usize) -> i32 {
        self.kernel.bias[output]
    }

    fn zero(&self) -> u8 {
        self.kernel.zero
    }

    fn plane(&self) -> usize {
        self.plane
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two groups of two inputs and three outputs, in two parts.
    #[test]
    fn parts_meet_the_outputs_of_their_group() {
        for filter in [[1, 1], [2, 3]] {
            let taps = filter[0] * filter[1];
            let kernel = Kernel {
                data: (0..6 * taps * 2 * 2).map(|i| i as u8).collect(),
                flip: 0,
                zero: 200,
                order: Order::Parts {
                    parts: 2,
                    group_inputs: 2,
                    group_outputs: 3,
                },
                filter,
                dilation: [1, 1],
                size: filter[1],
                inputs: 8,
                outputs: 6,
                first: [0, 0],
                bias: vec![0; 6],
            };
            let placed = Placed {
                kernel: &kernel,
                plane: 1,
            };
            let mut next = 0;
            for output in 0..6 {
                for tap in 0..taps {
                    let (y, x) = (tap / filter[1], tap % filter[1]);
                    let mut row = vec![200; 8];
                    placed.row(output, &mut row);
                    for (input, &found) in row.iter().enumerate() {
                        let met = input % 4 / 2 == output / 3;
                        let expected = met.then_some(next as u8);
                        next += usize::from(met);
                        assert_eq!(placed.weight(output, input, y, x), expected);
                        assert_eq!(placed.meeting(input).contains(&output), met);
                        if taps == 1 {
                            assert_eq!(found, expected.unwrap_or(200));
                        }
                    }
                }
            }
            assert_eq!(next, kernel.data.len());
            assert_eq!(kernel.pairs() * taps, next);
        }
    }
}
