//! From int32 accumulators to bytes, as TFLite's reference kernels round.

use crate::lanes::{Block, LANES};

/// Largest right shift for which [`Rescale::is_simple`]: what the shorter way gets wrong is then far
/// beyond what a byte holds.
const MOST_SIMPLE: i32 = 22;

/// A bias and a factor `mantissa / 2^31 * 2^shift` for each lane, then a zero point and a range.
#[derive(Clone, Copy, Debug)]
pub struct Rescale {
    pub(crate) bias: Block,
    pub(crate) mantissa: Block,
    /// The mantissas of odd lanes where the even ones are.
    pub(crate) odd: Block,
    /// Whether any lane is shifted to the left.
    pub(crate) is_left: bool,
    pub(crate) left: Block,
    pub(crate) right: Block,
    /// Half of the right shift's unit; 0 without a shift.
    pub(crate) half: Block,
    /// What [`Self::half`] can still be added to.
    pub(crate) limit: Block,
    /// All ones where there is a right shift.
    pub(crate) shifted: Block,
    pub(crate) simple: bool,
    pub(crate) zero_point: i32,
    pub(crate) range: (i32, i32),
}

impl Rescale {
    /// `channels` are bias, mantissa, which must not be negative, and shift, which must be above -32.
    /// Lanes without a channel give the zero point.
    pub fn new(
        channels: impl IntoIterator<Item = (i32, i32, i32)>,
        zero_point: i32,
        range: (i32, i32),
    ) -> Rescale {
        let mut r = Rescale {
            bias: [0; LANES],
            mantissa: [0; LANES],
            odd: [0; LANES],
            is_left: false,
            left: [0; LANES],
            right: [0; LANES],
            half: [0; LANES],
            limit: [i32::MAX; LANES],
            shifted: [0; LANES],
            simple: true,
            zero_point,
            range,
        };
        for (lane, (bias, mantissa, shift)) in channels.into_iter().take(LANES).enumerate() {
            r.bias[lane] = bias;
            r.mantissa[lane] = mantissa;
            if lane % 2 == 1 {
                r.odd[lane - 1] = mantissa;
            }
            r.left[lane] = shift.max(0);
            r.is_left |= shift > 0;
            r.right[lane] = -shift.min(0);
            if shift < 0 {
                r.half[lane] = 1 << ((-shift - 1) & 31);
                r.limit[lane] = i32::MAX - r.half[lane].max(0);
                r.shifted[lane] = -1;
            }
            // A mantissa below zero would need the reference's saturation. Shifts act modulo 32.
            r.simple &= -shift <= MOST_SIMPLE && shift < 32 && mantissa >= 0;
        }
        let (min, max) = range;
        r.simple &= min >= -128 && max <= 255 && (-128..=255).contains(&zero_point);
        r
    }

    /// Adds the bias, rescales, adds the zero point and clamps. All sums wrap, as the reference's
    /// do in practice.
    #[inline(always)]
    pub(crate) fn apply(&self, acc: &Block) -> [u8; LANES] {
        let (min, max) = self.range;
        let mut out = [0; LANES];
        for j in 0..LANES {
            let x = acc[j]
                .wrapping_add(self.bias[j])
                .wrapping_shl(self.left[j] as u32);
            // Mantissas of convolutions are not negative, so this cannot overflow.
            let product = i64::from(x) * i64::from(self.mantissa[j]) + (1 << 30);
            let high = (product >> 31) as i32;
            let mask = (1i32 << (self.right[j] & 31)).wrapping_sub(1);
            let threshold = (mask >> 1) + i32::from(high < 0);
            let scaled = (high >> (self.right[j] & 31)) + i32::from((high & mask) > threshold);
            out[j] = scaled.wrapping_add(self.zero_point).max(min).min(max) as u8;
        }
        out
    }
}
