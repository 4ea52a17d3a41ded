//! AVX2, and AVX-512 with VNNI.
#![allow(unsafe_code)]

use crate::isa::{Isa, Loop, store};
use crate::lanes::{Block, LANES, PairRow, QuadRow};
use crate::portable::Portable;
use crate::rescale::Rescale;
use std::arch::is_x86_feature_detected as has;
use std::arch::x86_64::*;

/// Proof that the CPU has AVX2.
#[derive(Clone, Copy)]
pub(crate) struct Avx2(());

impl Avx2 {
    pub fn detect() -> Option<Avx2> {
        has!("avx2").then_some(Avx2(()))
    }

    pub fn run<L: Loop>(self, work: L) {
        #[target_feature(enable = "avx2")]
        fn compiled<L: Loop>(isa: Avx2, work: L) {
            work.run::<Avx2, 4, 1>(isa);
        }
        // SAFETY: `self` is proof of AVX2.
        unsafe { compiled(self, work) }
    }
}

impl Isa for Avx2 {
    type Acc = [__m256i; 2];
    type Constants<'a> = &'a Rescale;

    #[inline(always)]
    fn splat(self, value: i32) -> Self::Acc {
        // SAFETY: `self` is proof of AVX2.
        unsafe { [_mm256_set1_epi32(value); 2] }
    }

    #[inline(always)]
    fn block(self, values: &Block) -> Self::Acc {
        bytemuck::cast(*values)
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

    // Sums of two products of bytes would saturate: loops are made of pairs here.
    #[inline(always)]
    fn add_quads(self, acc: Self::Acc, quad: [u8; 4], w: &QuadRow) -> Self::Acc {
        bytemuck::cast(Portable.add_quads(bytemuck::cast(acc), quad, w))
    }

    #[inline(always)]
    fn add_lane_quads(self, acc: Self::Acc, x: &[u8; 4 * LANES], w: &QuadRow) -> Self::Acc {
        bytemuck::cast(Portable.add_lane_quads(bytemuck::cast(acc), x, w))
    }

    #[inline(always)]
    fn lanes(self, acc: Self::Acc) -> Block {
        bytemuck::cast(acc)
    }

    #[inline(always)]
    fn constants(self, by: &Rescale) -> &Rescale {
        by
    }

    #[inline(always)]
    fn store(self, acc: Self::Acc, by: &Rescale, to: &mut [u8]) {
        store(&self.lanes(acc), by, to);
    }
}

/// Proof that the CPU has AVX-512 with byte and word instructions and VNNI.
#[derive(Clone, Copy)]
pub(crate) struct Avx512(());

impl Avx512 {
    #[inline]
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
            work.run::<Avx512, 8, 2>(isa);
        }
        // SAFETY: `self` is proof of all these features.
        unsafe { compiled(self, work) }
    }
}

/// What every rescaled vector needs, and the rest.
#[derive(Clone, Copy)]
pub(crate) struct Constants<'a> {
    bias: __m512i,
    mantissa: __m512i,
    odd: __m512i,
    limit: __m512i,
    half: __m512i,
    shifted: __m512i,
    right: __m512i,
    all: &'a Rescale,
}

impl Isa for Avx512 {
    type Acc = __m512i;
    type Constants<'a> = Constants<'a>;

    #[inline(always)]
    fn splat(self, value: i32) -> __m512i {
        // SAFETY: `self` is proof of AVX-512F.
        unsafe { _mm512_set1_epi32(value) }
    }

    #[inline(always)]
    fn block(self, values: &Block) -> __m512i {
        // SAFETY: `self` is proof of AVX-512F; the load reads the 64 bytes of `values`.
        unsafe { _mm512_loadu_si512(values.as_ptr().cast()) }
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
    fn add_quads(self, acc: __m512i, quad: [u8; 4], w: &QuadRow) -> __m512i {
        // SAFETY: `self` is proof of AVX-512F and VNNI; the load reads the 64 bytes of `w`.
        unsafe {
            let quad = _mm512_set1_epi32(bytemuck::cast(quad));
            _mm512_dpbusd_epi32(acc, quad, _mm512_loadu_si512(w.as_ptr().cast()))
        }
    }

    #[inline(always)]
    fn add_lane_quads(self, acc: __m512i, x: &[u8; 4 * LANES], w: &QuadRow) -> __m512i {
        // SAFETY: `self` is proof of AVX-512F and VNNI; the loads read the 64 bytes of `x` and
        // those of `w`.
        unsafe {
            let x = _mm512_loadu_si512(x.as_ptr().cast());
            _mm512_dpbusd_epi32(acc, x, _mm512_loadu_si512(w.as_ptr().cast()))
        }
    }

    #[inline(always)]
    fn lanes(self, acc: __m512i) -> Block {
        let mut lanes = [0; LANES];
        // SAFETY: `self` is proof of AVX-512F; the store writes the 64 bytes of `lanes`.
        unsafe { _mm512_storeu_si512(lanes.as_mut_ptr().cast(), acc) };
        lanes
    }

    #[inline(always)]
    fn constants(self, by: &Rescale) -> Constants<'_> {
        // SAFETY: `self` is proof of AVX-512F; the loads read the 64 bytes of blocks.
        unsafe {
            let load = |block: &Block| _mm512_loadu_si512(block.as_ptr().cast());
            Constants {
                bias: load(&by.bias),
                mantissa: load(&by.mantissa),
                odd: load(&by.odd),
                limit: load(&by.limit),
                half: load(&by.half),
                shifted: load(&by.shifted),
                right: load(&by.right),
                all: by,
            }
        }
    }

    /// Products of even and odd lanes apart, their high words brought together; the rounding shift as a
    /// sum that is cut off, one less for what is below zero, so that ties go away from it.
    #[inline(always)]
    fn store(self, acc: __m512i, c: Constants<'_>, to: &mut [u8]) {
        let by = c.all;
        let count = to.len().min(LANES);
        if !by.simple {
            return store(&self.lanes(acc), by, &mut to[..count]);
        }
        // SAFETY: `self` is proof of AVX-512F, BW and VL; the load reads the 64 bytes of a block, the
        // stores write the first `count` bytes of `to`, which are no more than it has.
        unsafe {
            let mut x = _mm512_add_epi32(acc, c.bias);
            if by.is_left {
                x = _mm512_sllv_epi32(x, _mm512_loadu_si512(by.left.as_ptr().cast()));
            }
            // Twice the product and half a unit of it: its high word is the result.
            let high = |x, factor| {
                let nudged =
                    _mm512_add_epi64(_mm512_mul_epi32(x, factor), _mm512_set1_epi64(1 << 30));
                _mm512_add_epi64(nudged, nudged)
            };
            let even = high(x, c.mantissa);
            let odd = high(_mm512_srli_epi64(x, 32), c.odd);
            let words = _mm512_set_epi32(31, 15, 29, 13, 27, 11, 25, 9, 23, 7, 21, 5, 19, 3, 17, 1);
            let high = _mm512_permutex2var_epi32(even, words, odd);
            let negative = _mm512_and_si512(_mm512_srai_epi32(high, 31), c.shifted);
            let sum = _mm512_add_epi32(_mm512_min_epi32(high, c.limit), c.half);
            let sum = _mm512_add_epi32(sum, negative);
            let value = _mm512_srav_epi32(sum, c.right);
            let value = _mm512_add_epi32(value, _mm512_set1_epi32(by.zero_point));
            let value = _mm512_max_epi32(value, _mm512_set1_epi32(by.range.0));
            let value = _mm512_min_epi32(value, _mm512_set1_epi32(by.range.1));
            let bytes = _mm512_cvtepi32_epi8(value);
            match count {
                LANES => _mm_storeu_si128(to.as_mut_ptr().cast(), bytes),
                _ => _mm_mask_storeu_epi8(to.as_mut_ptr().cast(), (1u16 << count) - 1, bytes),
            }
        }
    }
}
