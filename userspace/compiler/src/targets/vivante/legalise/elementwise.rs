//! Jobs on whole maps, element by element: one output plane made of one or two input planes.
//!
//! A map is taken for one plane of convenient width, whatever its channels are. The kernel is 2x2
//! with one weight, which is how Mesa adds maps on this chip: a 1x1 kernel of one channel is no
//! form that the hardware takes.

use ferrite_ir::{Bytes, OpId};

use crate::error::Unsupported;
use crate::npu::{MapId, Range, Stored};
use crate::targets::vivante::chip::MAX_EXTENT;
use crate::targets::vivante::context::Context;
use crate::targets::vivante::kernels::{Kernel, Order};
use crate::targets::vivante::program::{Layer, Multiplier, Side};

/// Width and height of the plane that so many elements of a map with planes of `pixels` make.
pub fn plane(elements: usize, pixels: usize) -> Result<[usize; 2], Unsupported> {
    let preferred = [128, 64, 32]
        .into_iter()
        .find(|n| pixels.is_multiple_of(*n));
    let by_pixels = || (1..=63).rev().find(|n| pixels.is_multiple_of(*n));
    let width = preferred.or_else(by_pixels).unwrap_or(1);
    // A plane of more rows than the extent field holds is made wider.
    let fits = |w: &usize| elements.is_multiple_of(*w) && elements / w <= MAX_EXTENT;
    let width = (width..=MAX_EXTENT).find(fits).ok_or_else(|| {
        Unsupported::new(format!(
            "{elements} elements do not make a plane of at most {MAX_EXTENT} rows and columns"
        ))
    })?;
    Ok([width, elements / width])
}

/// What such a job does to the elements: `sum of weight * (value - zero point)`, times a factor.
pub struct Sum<'a> {
    /// Weight bytes, one for each input plane.
    pub weights: &'a [u8],
    /// Their zero point.
    pub weight_zero: u8,
    /// Bias: what the zero points of the inputs contribute, negated.
    pub bias: i32,
    /// Output steps per accumulator step.
    pub multiplier: Multiplier,
    /// Output zero point.
    pub out_zero: u8,
    /// Whether sums below zero become zero.
    pub relu: bool,
}

/// The job that makes `output` (a map, and a byte in it) of planes of `size` that lie behind each
/// other from `input` on.
pub fn layer(
    op: OpId,
    lowering: &'static str,
    input: (MapId, usize),
    output: (MapId, usize),
    [x, y]: [usize; 2],
    sum: Sum,
) -> Layer {
    let side = |(map, offset), z| Side {
        map,
        offset,
        x,
        y,
        z,
    };
    Layer {
        op,
        lowering,
        evidence: sum.multiplier.evidence(),
        input: side(input, sum.weights.len()),
        output: side(output, 1),
        pad: [0, 0],
        border: 0,
        pooled: false,
        kernel: Kernel {
            data: Bytes::from(sum.weights),
            flip: 0,
            zero: sum.weight_zero,
            order: Order::Planes,
            filter: [1, 1],
            dilation: [1, 1],
            size: 2,
            inputs: sum.weights.len(),
            outputs: 1,
            first: [0, 0],
            bias: vec![sum.bias],
        },
        multiplier: sum.multiplier,
        out_zero: sum.out_zero,
        relu: sum.relu,
    }
}

/// The weight of jobs that copy or rescale: large, so that factors up to 128 have the form that
/// every known job uses.
const UNIT: u8 = 128;

/// The job that changes zero point and scale of so many elements: `factor` is the input's scale
/// divided by the output's.
pub fn rescale(
    op: OpId,
    lowering: &'static str,
    input: (MapId, usize, u8),
    output: (MapId, usize, u8),
    size: [usize; 2],
    factor: f64,
) -> Result<Layer, Unsupported> {
    let sum = Sum {
        weights: &[UNIT],
        weight_zero: 0,
        bias: -i32::from(UNIT) * i32::from(input.2),
        multiplier: multiplier(factor / f64::from(UNIT))?,
        out_zero: output.2,
        relu: false,
    };
    let (input, output) = ((input.0, input.1), (output.0, output.1));
    Ok(layer(op, lowering, input, output, size, sum))
}

/// The multiplier for a factor.
pub fn multiplier(factor: f64) -> Result<Multiplier, Unsupported> {
    Multiplier::nearest(factor).ok_or_else(|| {
        Unsupported::new(format!(
            "the factor {factor} is not between 0 and 2^16, the range of the post multiplier"
        ))
    })
}

/// How a fused activation is done: the hardware saturates bytes and can clamp at the zero point;
/// other bounds are moved to the end of the byte range by other zero points, one job each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clamp {
    /// Whether the layer itself clamps at the zero point.
    pub relu: bool,
    /// How far results reach below and above the zero point in the end.
    pub steps: [i32; 2],
    /// Zero points of the layer's result and of those of the jobs behind it. The last is the
    /// tensor's.
    pub zeros: Vec<u8>,
}

impl Clamp {
    /// To a range of stored values of a tensor with this quantisation.
    pub fn of(stored: Stored, range: Range) -> Clamp {
        Clamp::about(stored.zero, range)
    }

    /// The same with results that count from `middle`, or from the end of the range that is nearest
    /// to it, in place of the zero point.
    pub fn about(middle: i32, Range { low, high }: Range) -> Clamp {
        Clamp::new(middle.min(high).max(low) + 128, low + 128, high + 128)
    }

    /// What results count from in the end.
    pub fn last_zero(&self) -> u8 {
        self.zeros[self.zeros.len() - 1]
    }

    /// To `low..=high`, which the zero point lies in.
    fn new(zero: i32, low: i32, high: i32) -> Clamp {
        let relu = low == zero && low > 0;
        let mut zeros = Vec::new();
        if high < 255 {
            zeros.push((zero + 255 - high).clamp(0, 255) as u8);
        }
        if low > 0 && !relu {
            zeros.push((zero - low).clamp(0, 255) as u8);
        }
        zeros.push(zero as u8);
        Clamp {
            relu,
            steps: [zero - low, high - zero],
            zeros,
        }
    }

    /// Appends the jobs behind `layer`, which makes the map that `layer.output` names.
    pub fn finish(&self, ctx: &mut Context, layer: Layer) -> Result<Vec<Layer>, Unsupported> {
        let (op, target) = (layer.op, layer.output);
        let shape = [target.y, target.x, target.z];
        let mut layers = vec![layer];
        if self.zeros.len() == 1 {
            return Ok(layers);
        }
        let size = plane(target.x * target.y * target.z, target.x * target.y)?;
        let mut from = ctx.add_map(shape, None);
        layers[0].output.map = from;
        layers[0].output.offset = 0;
        for (i, pair) in self.zeros.windows(2).enumerate() {
            let (to, offset) = if i + 2 == self.zeros.len() {
                (target.map, target.offset)
            } else {
                (ctx.add_map(shape, None), 0)
            };
            layers.push(rescale(
                op,
                "clamp",
                (from, 0, pair[0]),
                (to, offset, pair[1]),
                size,
                1.0,
            )?);
            from = to;
        }
        Ok(layers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn planes_have_the_proven_widths_and_at_most_8191_rows() {
        assert_eq!(plane(56 * 56 * 24, 56 * 56), Ok([64, 1176]));
        assert_eq!(plane(7 * 7 * 160, 49), Ok([49, 160]));
        assert_eq!(plane(14 * 14 * 64, 196), Ok([49, 256]));
        let [x, y] = plane(80 * 80 * 256, 6400).unwrap();
        assert_eq!(
            (x * y, y <= MAX_EXTENT, x > 128),
            (80 * 80 * 256, true, true)
        );
        assert!(plane(8219 * 8209, 8209).is_err());
    }

    /// What comes out of the layer and the jobs behind it, by their rule.
    fn applied(clamp: &Clamp, value: i32) -> i32 {
        let zero = |i: usize| i32::from(clamp.zeros[i]);
        let relu = |v: i32| if clamp.relu { v.max(0) } else { v };
        let mut byte = (relu(value) + zero(0)).clamp(0, 255);
        for i in 1..clamp.zeros.len() {
            byte = (byte - zero(i - 1) + zero(i)).clamp(0, 255);
        }
        byte
    }

    #[test]
    fn every_range_is_reached_by_saturation() {
        for zero in [0, 1, 77, 128, 254, 255] {
            for low in [0, zero / 2, zero] {
                for high in [255, zero, (zero + 255) / 2] {
                    let clamp = Clamp::new(zero, low, high);
                    for value in -600..600 {
                        let expected = (value + zero).clamp(low, high);
                        assert_eq!(
                            applied(&clamp, value),
                            expected,
                            "{zero} {low} {high} {value}"
                        );
                    }
                }
            }
        }
    }
}
