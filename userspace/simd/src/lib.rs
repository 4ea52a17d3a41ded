//! Runs hot loops compiled for the vector extensions that this machine turns out to have.
//!
//! A loop is written once, in terms of [`Isa`]: its body is compiled for each instruction set, and
//! the few operations that compilers do not find by themselves are intrinsics. The CPU's operators and
//! the simulators are made of the same few.

#![deny(unsafe_code)]

mod isa;
mod lanes;
mod lookup;
mod portable;
mod rescale;
#[cfg(target_arch = "x86_64")]
mod x86;

pub use isa::{Isa, Loop};
pub use lanes::{Block, LANES, PairRow, QuadRow};
pub use lookup::{Table, look_up};
pub use rescale::Rescale;

/// Runs the loop with the widest instruction set available.
#[inline]
pub fn run<L: Loop>(work: L) {
    #[cfg(target_arch = "x86_64")]
    {
        if let Some(isa) = x86::Avx512::detect() {
            return isa.run(work);
        }
        if let Some(isa) = x86::Avx2::detect() {
            return isa.run(work);
        }
    }
    work.run::<portable::Portable, 4, 1>(portable::Portable);
}

/// Runs plain code compiled for the widest instruction set available. `work` and all that it calls
/// should be `#[inline(always)]`: what is not inlined is compiled for the baseline.
#[inline]
pub fn vectorised(work: impl FnOnce()) {
    struct Plain<F>(F);
    impl<F: FnOnce()> Loop for Plain<F> {
        #[inline(always)]
        fn run<I: Isa, const TILE: usize, const BLOCKS: usize>(self, _: I) {
            (self.0)();
        }
    }
    run(Plain(work));
}

/// Whether sums of four products of bytes are one instruction: otherwise pairs of words are faster.
#[inline]
pub fn has_quads() -> bool {
    #[cfg(target_arch = "x86_64")]
    return x86::Avx512::detect().is_some();
    #[cfg(not(target_arch = "x86_64"))]
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Clone, Copy)]
    struct Operands {
        x: [i16; LANES],
        pair: [i16; 2],
        w: PairRow,
        even: PairRow,
        bytes: [u8; 4 * LANES],
        quads: QuadRow,
        rescale: Rescale,
        block: Block,
        few: usize,
    }

    #[derive(Clone, Copy, Debug, Default, PartialEq)]
    struct Found {
        sums: [Block; 4],
        bytes: [[u8; LANES]; 4],
        few: [u8; LANES],
    }

    /// One step of each operation from accumulators that are not zero.
    struct Steps<'a>(Operands, &'a mut Found);

    impl Loop for Steps<'_> {
        #[inline(always)]
        fn run<I: Isa, const TILE: usize, const BLOCKS: usize>(self, isa: I) {
            let Steps(o, out) = self;
            let once = isa.add_pairs(isa.splat(5), o.pair, &o.w);
            let quad = [o.bytes[0], o.bytes[1], o.bytes[2], o.bytes[3]];
            let sums = [
                isa.add_pairs(once, o.pair, &o.w),
                isa.add_lanes(once, &o.x, &o.even),
                isa.add_quads(once, quad, &o.quads),
                isa.add_lane_quads(once, &o.bytes, &o.quads),
            ];
            out.sums = sums.map(|acc| isa.lanes(acc));
            out.bytes = sums.map(|acc| isa.rescale(acc, isa.constants(&o.rescale)));
            out.few = [9; LANES];
            let constants = isa.constants(&o.rescale);
            isa.store(isa.block(&o.block), constants, &mut out.few[..o.few]);
        }
    }

    fn all(operands: Operands) -> Vec<Found> {
        let mut found = vec![Found::default(); 2];
        run(Steps(operands, &mut found[0]));
        Steps(operands, &mut found[1]).run::<_, 4, 1>(portable::Portable);
        #[cfg(target_arch = "x86_64")]
        if let Some(isa) = x86::Avx2::detect() {
            let mut avx2 = Found::default();
            isa.run(Steps(operands, &mut avx2));
            found.push(avx2);
        }
        found
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn instruction_sets_agree(
            x: [i16; LANES],
            pair: [i16; 2],
            w: [[i16; 2]; LANES],
            bytes in proptest::array::uniform32(any::<[u8; 2]>()),
            quads in proptest::array::uniform32(any::<[i8; 2]>()),
            channels in proptest::array::uniform16((any::<i32>(), 1i32 << 30..=i32::MAX, -31i32..4)),
            small in 0u32..31,
        ) {
            let w: PairRow = bytemuck::cast(w);
            let even: PairRow = std::array::from_fn(|i| if i % 2 == 0 { w[i] } else { 0 });
            // Biases of all magnitudes, and in half of the cases shifts that real layers have.
            let channels = channels.map(|(bias, mantissa, shift)| {
                (bias >> small, mantissa, if small % 2 == 0 { shift } else { shift.clamp(-22, 0) })
            });
            let operands = Operands {
                x,
                pair,
                w,
                even,
                bytes: bytemuck::cast(bytes),
                quads: bytemuck::cast(quads),
                rescale: Rescale::new(channels, 3, (-128, 127)),
                block: channels.map(|c| c.1.rotate_left(small)),
                few: small as usize % (LANES + 1),
            };
            let found = all(operands);
            for other in &found[1..] {
                prop_assert_eq!(&found[0], other);
            }
        }
    }
}
