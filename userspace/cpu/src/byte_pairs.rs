//! Functions of two 8-bit operands, 16 elements at a time: sums, products and PRELU.

use super::broadcast::Broadcast;
use super::context::{Affine, Byte, Context};
use super::{KernelError, Multiplier};
use ferrite_ir::op::Activation;
use ferrite_simd::{self as simd, Block, Isa, LANES, Rescale};

/// A function of two operands.
pub(super) trait Pairwise: Sync + Sized {
    /// What it needs for every element, in registers.
    type Constants<'a, I: Isa>: Copy
    where
        Self: 'a;

    fn constants<I: Isa>(&self, isa: I) -> Self::Constants<'_, I>;

    /// The results, as stored, of as many elements as `to` has.
    fn apply<I: Isa>(&self, isa: I, by: Self::Constants<'_, I>, pair: [&Block; 2], to: &mut [u8]);

    /// Applies it to all pairs of elements.
    fn run<T: Byte>(&self, bc: &Broadcast, a: &[T], b: &[T], out: &mut [T]) {
        bc.rows(a, b, out, |a, b, out| {
            let out = bytemuck::cast_slice_mut(out);
            let by = self;
            simd::run(Row { by, a, b, out });
        });
    }
}

/// A row of the result with its operands; one of a single element goes with all of the other.
struct Row<'a, T, F> {
    by: &'a F,
    a: &'a [T],
    b: &'a [T],
    out: &'a mut [u8],
}

impl<T: Byte, F: Pairwise> simd::Loop for Row<'_, T, F> {
    #[inline(always)]
    fn run<I: Isa, const TILE: usize, const BLOCKS: usize>(self, isa: I) {
        let constants = self.by.constants(isa);
        for (i, out) in self.out.chunks_mut(LANES).enumerate() {
            let (x, y) = (block(self.a, i * LANES), block(self.b, i * LANES));
            self.by.apply(isa, constants, [&x, &y], out);
        }
    }
}

/// The elements from `at` on, zeros behind the last.
#[inline(always)]
fn block<T: Byte>(values: &[T], at: usize) -> Block {
    if let [one] = values {
        return [one.widen(); LANES];
    }
    let mut block = [0; LANES];
    match values[at..].first_chunk::<LANES>() {
        // A loop of a known length becomes vectors.
        Some(whole) => {
            for (to, from) in block.iter_mut().zip(whole) {
                *to = from.widen();
            }
        }
        None => {
            for (to, from) in block.iter_mut().zip(&values[at..]) {
                *to = from.widen();
            }
        }
    }
    block
}

fn rescale(m: Multiplier, zero_point: i32, range: (i32, i32)) -> Rescale {
    Rescale::new([(0, m.mantissa, m.shift); LANES], zero_point, range)
}

/// Bits that both operands of a sum gain before they are brought to a common scale.
const HEADROOM: u32 = 20;

/// ADD and SUB: both operands on twice the larger input scale with 20 more bits, then one rescale.
pub(super) struct Sum {
    operands: [Operand; 2],
    subtract: bool,
    output: Rescale,
}

/// An operand of a sum. Of the product of the centred operand, its headroom and the mantissa, bit 31 and
/// above count, so that the mantissa's bits from 11 on and those below can be multiplied apart in 32 bits.
struct Operand {
    zero_point: i32,
    high: i32,
    low: i32,
    right: i32,
    /// Half a unit of the right shift, and all ones if there is one.
    half: i32,
    shifted: i32,
}

/// Bits of the mantissa that only count through the rounding.
const LOW_BITS: u32 = 31 - HEADROOM;

impl Operand {
    fn new(operand: Affine, twice: f64) -> Result<Operand, KernelError> {
        let m = Multiplier::from_real_below_one(f64::from(operand.scale) / twice)?;
        let right = -m.shift;
        Ok(Operand {
            zero_point: operand.zero_point,
            high: m.mantissa >> LOW_BITS,
            low: m.mantissa & ((1 << LOW_BITS) - 1),
            right,
            half: if right > 0 { 1 << (right - 1) } else { 0 },
            shifted: if right > 0 { -1 } else { 0 },
        })
    }

    #[inline(always)]
    fn apply(&self, x: i32) -> i32 {
        let x = x - self.zero_point;
        let rest = (x * self.low + (1 << (LOW_BITS - 1))) >> LOW_BITS;
        let scaled = x * self.high + rest;
        // One less for what is below zero, so that ties go away from it.
        (scaled + self.half + ((scaled >> 31) & self.shifted)) >> self.right
    }
}

impl Sum {
    pub fn new(
        ctx: &Context<'_>,
        subtract: bool,
        activation: Activation,
    ) -> Result<Self, KernelError> {
        let (a, b) = (ctx.input_affine(0)?, ctx.input_affine(1)?);
        let result = ctx.output_tensor(0)?;
        let y = Affine::of(result)?;
        let twice = f64::from(2.0 * a.scale.max(b.scale));
        let real = twice / f64::from((1 << HEADROOM) as f32 * y.scale);
        let range = y.activation_range(activation, result.dtype)?;
        let output = Multiplier::from_real_below_one(real)?;
        Ok(Sum {
            operands: [Operand::new(a, twice)?, Operand::new(b, twice)?],
            subtract,
            output: rescale(output, y.zero_point, range),
        })
    }
}

impl Pairwise for Sum {
    type Constants<'a, I: Isa> = I::Constants<'a>;

    #[inline(always)]
    fn constants<I: Isa>(&self, isa: I) -> I::Constants<'_> {
        isa.constants(&self.output)
    }

    #[inline(always)]
    fn apply<I: Isa>(
        &self,
        isa: I,
        by: Self::Constants<'_, I>,
        [x, y]: [&Block; 2],
        to: &mut [u8],
    ) {
        let [a, b] = &self.operands;
        let sign = if self.subtract { -1 } else { 1 };
        let mut sums = [0; LANES];
        for ((sum, &x), &y) in sums.iter_mut().zip(x).zip(y) {
            *sum = a.apply(x) + sign * b.apply(y);
        }
        isa.store(isa.block(&sums), by, to);
    }
}

/// MUL: the product of both centred operands, rescaled.
pub(super) struct Product {
    zero_points: [i32; 2],
    output: Rescale,
}

impl Product {
    pub fn new(ctx: &Context<'_>, activation: Activation) -> Result<Self, KernelError> {
        let (a, b) = (ctx.input_affine(0)?, ctx.input_affine(1)?);
        let result = ctx.output_tensor(0)?;
        let y = Affine::of(result)?;
        let range = y.activation_range(activation, result.dtype)?;
        let output = Multiplier::from_real(f64::from(a.scale * b.scale / y.scale))?;
        Ok(Product {
            zero_points: [a.zero_point, b.zero_point],
            output: rescale(output, y.zero_point, range),
        })
    }
}

impl Pairwise for Product {
    type Constants<'a, I: Isa> = I::Constants<'a>;

    #[inline(always)]
    fn constants<I: Isa>(&self, isa: I) -> I::Constants<'_> {
        isa.constants(&self.output)
    }

    #[inline(always)]
    fn apply<I: Isa>(
        &self,
        isa: I,
        by: Self::Constants<'_, I>,
        [x, y]: [&Block; 2],
        to: &mut [u8],
    ) {
        let [a, b] = self.zero_points;
        let mut products = [0; LANES];
        for ((product, &x), &y) in products.iter_mut().zip(x).zip(y) {
            *product = (x - a) * (y - b);
        }
        isa.store(isa.block(&products), by, to);
    }
}

/// PRELU: `x`, or `x * alpha` where negative, each with a rescale of its own.
pub(super) struct Prelu {
    zero_points: [i32; 2],
    identity: Rescale,
    product: Rescale,
}

impl Prelu {
    /// `range` is that of the result's type.
    pub fn new(ctx: &Context<'_>, range: (i32, i32)) -> Result<Self, KernelError> {
        let (x, alpha) = (ctx.input_affine(0)?, ctx.input_affine(1)?);
        let y = ctx.output_affine(0)?;
        let identity = Multiplier::from_real(f64::from(x.scale / y.scale))?;
        let product = Multiplier::from_real(f64::from(x.scale * alpha.scale / y.scale))?;
        Ok(Prelu {
            zero_points: [x.zero_point, alpha.zero_point],
            identity: rescale(identity, y.zero_point, range),
            product: rescale(product, y.zero_point, range),
        })
    }
}

impl Pairwise for Prelu {
    type Constants<'a, I: Isa> = [I::Constants<'a>; 2];

    #[inline(always)]
    fn constants<I: Isa>(&self, isa: I) -> [I::Constants<'_>; 2] {
        [isa.constants(&self.identity), isa.constants(&self.product)]
    }

    #[inline(always)]
    fn apply<I: Isa>(
        &self,
        isa: I,
        by: Self::Constants<'_, I>,
        [x, y]: [&Block; 2],
        to: &mut [u8],
    ) {
        let [zero, alpha_zero] = self.zero_points;
        let (mut centred, mut products) = ([0; LANES], [0; LANES]);
        for j in 0..LANES {
            centred[j] = x[j] - zero;
            products[j] = centred[j] * (y[j] - alpha_zero);
        }
        let mut all = isa.rescale(isa.block(&centred), by[0]);
        let below = isa.rescale(isa.block(&products), by[1]);
        for j in 0..LANES {
            all[j] = if centred[j] < 0 { below[j] } else { all[j] };
        }
        match to.first_chunk_mut::<LANES>() {
            Some(whole) => *whole = all,
            None => to.copy_from_slice(&all[..to.len()]),
        }
    }
}
