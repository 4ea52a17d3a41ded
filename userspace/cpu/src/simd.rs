//! Runs hot loops compiled for the vector extensions that this machine turns out to have.
//!
//! A loop is written once, in terms of [`Isa`]: its body is compiled for each instruction set, and
//! the few operations that compilers do not find by themselves are intrinsics.

#![allow(unsafe_code)]

/// Accumulators that are computed together.
pub(super) const LANES: usize = 16;

/// One number for each lane.
pub(super) type Block = [i32; LANES];

/// A pair of factors for each lane.
pub(super) type PairRow = [i16; 2 * LANES];

/// Operations on [`LANES`] accumulators. All sums wrap.
pub(super) trait Isa: Copy {
    /// The accumulators.
    type Acc: Copy;

    fn zero(self) -> Self::Acc;

    /// Adds `pair[0] * w[2 * j] + pair[1] * w[2 * j + 1]` to each lane `j`.
    fn add_pairs(self, acc: Self::Acc, pair: [i16; 2], w: &PairRow) -> Self::Acc;

    /// Adds `x[j] * w[2 * j]` to each lane `j`; the odd entries of `w` must be zero.
    fn add_lanes(self, acc: Self::Acc, x: &[i16; LANES], w: &PairRow) -> Self::Acc;

    fn lanes(self, acc: Self::Acc) -> Block;
}

/// A hot loop. `run` must be `#[inline(always)]`, so that its body takes on the instruction set of
/// its caller. `TILE` is the number of independent accumulators the instruction set has room for.
pub(super) trait Loop {
    fn run<I: Isa, const TILE: usize>(self, isa: I);
}

/// Runs the loop with the widest instruction set available.
#[inline]
pub(super) fn run<L: Loop>(work: L) {
    #[cfg(target_arch = "x86_64")]
    {
        if let Some(isa) = x86::Avx512::detect() {
            return isa.run(work);
        }
        if let Some(isa) = x86::Avx2::detect() {
            return isa.run(work);
        }
    }
    work.run::<Portable, 4>(Portable);
}

/// What every machine has.
#[derive(Clone, Copy)]
struct Portable;

impl Isa for Portable {
    type Acc = Block;

    #[inline(always)]
    fn zero(self) -> Block {
        [0; LANES]
    }

    #[inline(always)]
    fn add_pairs(self, mut acc: Block, [a, b]: [i16; 2], w: &PairRow) -> Block {
        for (j, acc) in acc.iter_mut().enumerate() {
            let (wa, wb) = (i32::from(w[2 * j]), i32::from(w[2 * j + 1]));
            let sum = (i32::from(a) * wa).wrapping_add(i32::from(b) * wb);
            *acc = acc.wrapping_add(sum);
        }
        acc
    }

    #[inline(always)]
    fn add_lanes(self, mut acc: Block, x: &[i16; LANES], w: &PairRow) -> Block {
        for (j, acc) in acc.iter_mut().enumerate() {
            *acc = acc.wrapping_add(i32::from(x[j]) * i32::from(w[2 * j]));
        }
        acc
    }

    #[inline(always)]
    fn lanes(self, acc: Block) -> Block {
        acc
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{Block, Isa, LANES, Loop, PairRow};
    use std::arch::is_x86_feature_detected as has;
    use std::arch::x86_64::*;

    /// Proof that the CPU has AVX2.
    #[derive(Clone, Copy)]
    pub struct Avx2(());

    impl Avx2 {
        pub fn detect() -> Option<Avx2> {
            has!("avx2").then_some(Avx2(()))
        }

        pub fn run<L: Loop>(self, work: L) {
            #[target_feature(enable = "avx2")]
            fn compiled<L: Loop>(isa: Avx2, work: L) {
                work.run::<Avx2, 4>(isa);
            }
            // SAFETY: `self` is proof of AVX2.
            unsafe { compiled(self, work) }
        }
    }

    impl Isa for Avx2 {
        type Acc = [__m256i; 2];

        #[inline(always)]
        fn zero(self) -> Self::Acc {
            // SAFETY: `self` is proof of AVX2.
            unsafe { [_mm256_setzero_si256(); 2] }
        }

        #[inline(always)]
        fn add_pairs(self, acc: Self::Acc, pair: [i16; 2], w: &PairRow) -> Self::Acc {
            // SAFETY: `self` is proof of AVX2; the loads read the 64 bytes of `w`.
            unsafe {
                let pair = _mm256_set1_epi32(bytemuck::cast(pair));
                let w = w.as_ptr().cast::<__m256i>();
                let add = |acc, w| _mm256_add_epi32(acc, _mm256_madd_epi16(pair, w));
                [
                    add(acc[0], _mm256_loadu_si256(w)),
                    add(acc[1], _mm256_loadu_si256(w.add(1))),
                ]
            }
        }

        #[inline(always)]
        fn add_lanes(self, acc: Self::Acc, x: &[i16; LANES], w: &PairRow) -> Self::Acc {
            // SAFETY: `self` is proof of AVX2; the loads read the 32 bytes of `x` and the 64 of `w`.
            unsafe {
                let x = x.as_ptr().cast::<__m128i>();
                let w = w.as_ptr().cast::<__m256i>();
                let add = |acc, x, w| {
                    let x = _mm256_cvtepi16_epi32(x);
                    _mm256_add_epi32(acc, _mm256_madd_epi16(x, w))
                };
                [
                    add(acc[0], _mm_loadu_si128(x), _mm256_loadu_si256(w)),
                    add(
                        acc[1],
                        _mm_loadu_si128(x.add(1)),
                        _mm256_loadu_si256(w.add(1)),
                    ),
                ]
            }
        }

        #[inline(always)]
        fn lanes(self, acc: Self::Acc) -> Block {
            bytemuck::cast(acc)
        }
    }

    /// Proof that the CPU has AVX-512 with byte and word instructions and VNNI.
    #[derive(Clone, Copy)]
    pub struct Avx512(());

    impl Avx512 {
        pub fn detect() -> Option<Avx512> {
            let all = has!("avx2")
                && has!("avx512f")
                && has!("avx512bw")
                && has!("avx512dq")
                && has!("avx512vl")
                && has!("avx512vnni");
            all.then_some(Avx512(()))
        }

        pub fn run<L: Loop>(self, work: L) {
            #[target_feature(enable = "avx2,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
            fn compiled<L: Loop>(isa: Avx512, work: L) {
                work.run::<Avx512, 8>(isa);
            }
            // SAFETY: `self` is proof of all these features.
            unsafe { compiled(self, work) }
        }
    }

    impl Isa for Avx512 {
        type Acc = __m512i;

        #[inline(always)]
        fn zero(self) -> __m512i {
            // SAFETY: `self` is proof of AVX-512F.
            unsafe { _mm512_setzero_si512() }
        }

        #[inline(always)]
        fn add_pairs(self, acc: __m512i, pair: [i16; 2], w: &PairRow) -> __m512i {
            // SAFETY: `self` is proof of AVX-512F and VNNI; the load reads the 64 bytes of `w`.
            unsafe {
                let pair = _mm512_set1_epi32(bytemuck::cast(pair));
                _mm512_dpwssd_epi32(acc, pair, _mm512_loadu_si512(w.as_ptr().cast()))
            }
        }

        #[inline(always)]
        fn add_lanes(self, acc: __m512i, x: &[i16; LANES], w: &PairRow) -> __m512i {
            // SAFETY: `self` is proof of AVX-512F and VNNI; the loads read the 32 bytes of `x` and
            // the 64 of `w`.
            unsafe {
                let x = _mm512_cvtepi16_epi32(_mm256_loadu_si256(x.as_ptr().cast()));
                _mm512_dpwssd_epi32(acc, x, _mm512_loadu_si512(w.as_ptr().cast()))
            }
        }

        #[inline(always)]
        fn lanes(self, acc: __m512i) -> Block {
            let mut lanes = [0; LANES];
            // SAFETY: `self` is proof of AVX-512F; the store writes the 64 bytes of `lanes`.
            unsafe { _mm512_storeu_si512(lanes.as_mut_ptr().cast(), acc) };
            lanes
        }
    }
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
    }

    /// One step of each operation from accumulators that are not zero.
    struct Steps<'a>(Operands, &'a mut [Block; 2]);

    impl Loop for Steps<'_> {
        #[inline(always)]
        fn run<I: Isa, const TILE: usize>(self, isa: I) {
            let Steps(Operands { x, pair, w, even }, out) = self;
            let once = isa.add_pairs(isa.zero(), pair, &w);
            out[0] = isa.lanes(isa.add_pairs(once, pair, &w));
            out[1] = isa.lanes(isa.add_lanes(once, &x, &even));
        }
    }

    proptest! {
        #[test]
        fn instruction_sets_agree(x: [i16; LANES], pair: [i16; 2], w: [[i16; 2]; LANES]) {
            let w: PairRow = bytemuck::cast(w);
            let even: PairRow = std::array::from_fn(|i| if i % 2 == 0 { w[i] } else { 0 });
            let operands = Operands { x, pair, w, even };
            let (mut best, mut portable) = ([[0; LANES]; 2], [[0; LANES]; 2]);
            run(Steps(operands, &mut best));
            Steps(operands, &mut portable).run::<Portable, 4>(Portable);
            prop_assert_eq!(best, portable);
            #[cfg(target_arch = "x86_64")]
            if let Some(isa) = x86::Avx2::detect() {
                let mut avx2 = [[0; LANES]; 2];
                isa.run(Steps(operands, &mut avx2));
                prop_assert_eq!(avx2, portable);
            }
        }
    }
}
