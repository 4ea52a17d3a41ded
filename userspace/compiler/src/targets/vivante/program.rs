//! The NPU-level form of a model: feature maps, and layers, one for each NN job.

use std::fmt;

use ferrite_ir::{OpId, TensorId};

use super::encode::coefficients::Relu;
use super::kernels::Kernel;
use crate::executable::{Evidence, Patches};
use crate::lowered;
use crate::npu::MapId;

/// A feature map: planes of bytes, uint8 (int8 tensors have 128 added).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Map {
    /// Rows, columns, channels.
    pub shape: [usize; 3],
    /// Bytes, with room for planes that kernels beyond the last channel write.
    pub bytes: usize,
    /// The map it lies in, and at which byte.
    pub part_of: Option<(MapId, usize)>,
    /// The tensor it holds.
    pub tensor: Option<TensorId>,
    /// What the host makes it of, where that is not the tensor as it is.
    pub patches: Option<Patches>,
}

impl Map {
    /// Bytes of the real channels.
    pub fn real_bytes(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether jobs write beyond the real channels, so that nothing may lie behind.
    pub fn overflows(&self) -> bool {
        self.bytes > self.real_bytes()
    }
}

/// An image as one side of a job sees it: planes of rows, without gaps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Side {
    /// The map.
    pub map: MapId,
    /// First byte in the map.
    pub offset: usize,
    /// Columns.
    pub x: usize,
    /// Rows.
    pub y: usize,
    /// Planes.
    pub z: usize,
}

/// A factor between 2^-40 and 2^15 as the NN post-processing applies it:
/// `(2^15 + mantissa) / 2^shift`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Multiplier {
    /// 15 bits behind the leading one.
    pub mantissa: u16,
    /// Right shift.
    pub shift: u8,
}

impl Multiplier {
    /// The nearest to `factor` (Mesa truncates); None if it is not positive or too large. Factors
    /// below 2^-40 are taken for that: whatever they multiply rounds to zero.
    pub fn nearest(factor: f64) -> Option<Multiplier> {
        if !(factor.is_finite() && factor > 0.0) {
            return None;
        }
        let mut exponent = (factor.to_bits() >> 52 & 0x7ff) as i32 - 1023;
        if exponent < -40 {
            return Some(Multiplier {
                mantissa: 0,
                shift: 55,
            });
        }
        let mut mantissa =
            ((factor * f64::powi(2.0, 15 - exponent)).round_ties_even() as i64) - 32768;
        if mantissa == 32768 {
            mantissa = 0;
            exponent += 1;
        }
        (exponent <= 15).then(|| Multiplier {
            mantissa: mantissa as u16,
            shift: (15 - exponent) as u8,
        })
    }
}

impl Multiplier {
    /// The same, or the next one if it is not larger than `factor`, which it is the nearest to.
    pub fn above(self, factor: f64) -> Multiplier {
        let mantissa = f64::from(32768 + u32::from(self.mantissa));
        if mantissa * f64::powi(2.0, -i32::from(self.shift)) > factor {
            return self;
        }
        match self.mantissa.checked_add(1).filter(|m| *m < 1 << 15) {
            Some(mantissa) => Multiplier { mantissa, ..self },
            None => Multiplier {
                mantissa: 0,
                shift: self.shift - 1,
            },
        }
    }

    /// What it rests on: no known job has an accumulator that counts an output step or more.
    pub fn evidence(self) -> Evidence {
        if self.shift > 15 {
            Evidence::Silicon
        } else {
            Evidence::Inferred
        }
    }
}

/// One NN job.
#[derive(Clone, Debug)]
pub struct Layer {
    /// Graph operator it works for.
    pub op: OpId,
    /// How it came about.
    pub lowering: &'static str,
    /// Weakest evidence it rests on.
    pub evidence: Evidence,
    /// Input image.
    pub input: Side,
    /// Output image, as it is stored.
    pub output: Side,
    /// Rows and columns by which the first tap lies before the image.
    pub pad: [usize; 2],
    /// Value outside the image: the input's zero point.
    pub border: u8,
    /// Whether only every second row and column is kept.
    pub pooled: bool,
    /// Weights and biases.
    pub kernel: Kernel,
    /// Output steps per accumulator step.
    pub multiplier: Multiplier,
    /// Output zero point.
    pub out_zero: u8,
    /// Whether negative accumulators become 0.
    pub relu: bool,
}

impl Layer {
    /// What its descriptor's RELU bit may be: bytes saturate at a zero point of 0 anyway.
    pub fn relu_bit(&self) -> Relu {
        match (self.relu, self.out_zero) {
            (true, _) => Relu::Set,
            (false, 0) => Relu::Free,
            (false, _) => Relu::Clear,
        }
    }
}

impl lowered::Layer for Layer {
    fn writes(&self) -> MapId {
        self.output.map
    }

    fn op_mut(&mut self) -> &mut OpId {
        &mut self.op
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{}x{}x{}", self.map, self.y, self.x, self.z)?;
        if self.offset != 0 {
            write!(f, " at {}", self.offset)?;
        }
        f.write_str("]")
    }
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let size = self.kernel.size;
        write!(
            f,
            "{} = nn {} kernel {size}x{size}",
            self.output, self.input
        )?;
        if self.pad != [0, 0] {
            write!(
                f,
                " pad {},{} with {}",
                self.pad[0], self.pad[1], self.border
            )?;
        }
        if self.pooled {
            f.write_str(" stride 2")?;
        }
        if self.relu {
            f.write_str(" relu")?;
        }
        let Multiplier { mantissa, shift } = self.multiplier;
        write!(
            f,
            " weight zero {} * {}>>{shift} {:+} // {} ({:?})",
            self.kernel.zero,
            32768 + u32::from(mantissa),
            self.out_zero,
            self.lowering,
            self.evidence
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_golden_factor_is_rounded_where_the_vendor_truncates() {
        // The vendor has 0x80: 1/1020 is 0x80.81 there.
        let nearest = Multiplier {
            mantissa: 0x81,
            shift: 25,
        };
        assert_eq!(Multiplier::nearest(1.0 / 1020.0), Some(nearest));
    }

    #[test]
    fn multipliers_are_nearest() {
        for factor in [1.0, 0.5, 1.82, 3.3e-7, 0.999_999, 0.007_812_5, 127.3] {
            let m = Multiplier::nearest(factor).unwrap();
            let value =
                f64::from(32768 + u32::from(m.mantissa)) * f64::powi(2.0, -i32::from(m.shift));
            assert!(
                (value / factor - 1.0).abs() <= f64::powi(2.0, -16),
                "{factor}: {m:?}"
            );
        }
        let largest = Multiplier {
            mantissa: 0x7fff,
            shift: 20,
        };
        let next = Multiplier {
            mantissa: 0,
            shift: 19,
        };
        assert_eq!(largest.above(f64::from(0xffff) / 1048576.0), next);
        assert_eq!(largest.above(0.06), largest);
        for factor in [0.0, -1.0, f64::NAN, 65536.0] {
            assert_eq!(Multiplier::nearest(factor), None);
        }
    }
}
