//! The search for an integer factor that leaves the least error.

use std::ops::RangeInclusive;

/// Candidates that are looked at together, in vectors.
const BLOCK: usize = 32;
/// Blocks of the longest search.
const BLOCKS: usize = 32;

/// The factor of a range for which `factor * scale`, with the best integer `scale`, is nearest to
/// `wanted`, the first of several; with the distance. The scales lie from 2^14 to 2^15, the factors
/// from 1 to 2^15.
pub fn factor(wanted: f64, range: RangeInclusive<i32>) -> (f64, i32) {
    let (first, last) = range.into_inner();
    // The candidates of the last block overlap those of the one before.
    let start = |block: usize| (first + (block * BLOCK) as i32).min(last - BLOCK as i32 + 1);
    let blocks = ((last - first) as usize + 1).div_ceil(BLOCK);
    if last - first < BLOCK as i32 || blocks > BLOCKS {
        return exact(wanted, first, last);
    }
    let mut least = [u32::MAX; BLOCKS];
    let least = &mut least[..blocks];
    for (block, least) in least.iter_mut().enumerate() {
        *least = about(wanted, start(block));
    }
    let limit = least.iter().fold(u32::MAX, |a, &b| a.min(b)) + 1;
    // Where the error is nearly half the factor, single precision may have rounded the scale to the
    // wrong side.
    if f64::from(limit) > f64::from(first) * 0.49 - 1.0 {
        return exact(wanted, first, last);
    }
    let mut best = (f64::INFINITY, first);
    for (block, _) in least
        .iter()
        .enumerate()
        .filter(|(_, least)| **least <= limit)
    {
        let found = of_block(wanted, start(block));
        if found.0 < best.0 {
            best = found;
        }
    }
    best
}

/// The distance that a factor leaves with the best scale.
fn error(wanted: f64, factor: i32) -> f64 {
    /// Numbers below 2^51 lose their fraction when this is added, by rounding to even.
    const INTEGERS: f64 = (1u64 << 52) as f64;
    let factor = f64::from(factor);
    let scale = (wanted / factor + INTEGERS) - INTEGERS;
    (factor * scale - wanted).abs()
}

/// The same as [`factor`], by looking at one factor after the other.
fn exact(wanted: f64, first: i32, last: i32) -> (f64, i32) {
    let mut best = (f64::INFINITY, first);
    for candidate in first..last + 1 {
        let error = error(wanted, candidate);
        if error < best.0 {
            best = (error, candidate);
        }
    }
    best
}

/// The same for the factors of a block, in vectors.
fn of_block(wanted: f64, first: i32) -> (f64, i32) {
    let mut errors = [0.0; BLOCK];
    for (at, value) in errors.iter_mut().enumerate() {
        *value = error(wanted, first + at as i32);
    }
    let mut least = [f64::INFINITY; 2];
    for [a, b] in errors.as_chunks().0 {
        least = [least[0].min(*a), least[1].min(*b)];
    }
    let least = least[0].min(least[1]);
    let at = errors.iter().position(|&error| error == least);
    (least, first + at.unwrap_or(0) as i32)
}

/// The least error of a block of factors, to within a half.
///
/// Single precision gives quotients below 2^15 to within 2^-8. So the nearest integer is right but
/// for fractions that near to a half, where the error is at least 0.49 times the factor. The
/// products are exact in 32 bits; `wanted` is rounded.
fn about(wanted: f64, first: i32) -> u32 {
    /// Candidates in a few vectors.
    const LANES: usize = 8;
    /// Added to numbers below 2^22, this leaves the nearest integer in the lowest bits.
    const INTEGERS: f32 = (1u32 << 23) as f32;
    let (single, rounded) = (wanted as f32, wanted.round() as u32);
    let mut factors = [first as u32; LANES];
    for (lane, factor) in factors.iter_mut().enumerate() {
        *factor += lane as u32;
    }
    let mut least = [u32::MAX; LANES];
    for _ in 0..BLOCK / LANES {
        for lane in 0..LANES {
            let factor = factors[lane];
            let scale = (single / factor as f32 + INTEGERS).to_bits() & 0x7f_ffff;
            let error = factor.wrapping_mul(scale).abs_diff(rounded);
            least[lane] = least[lane].min(error);
            factors[lane] += LANES as u32;
        }
    }
    least.into_iter().fold(u32::MAX, u32::min)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_search_finds_what_looking_at_each_finds() {
        let mut wanted = 16_384.0;
        let mut short = 0;
        while wanted < 32_767.0 * 32_768.0 {
            // All factors for which the scale has 15 bits, and some of them.
            let low = (wanted / 32_768.0) as i32 + 1;
            let high = ((wanted / 16_384.0) as i32).min(32_767);
            for first in [low, (low + high) / 2, high - 70, high - 1, high] {
                for last in [first, first + 10, first + 63, first + 1023, high] {
                    let (first, last) = (first.max(low), last.clamp(low, high));
                    if first <= last {
                        let all = exact(wanted, first, last);
                        assert_eq!(factor(wanted, first..=last), all, "{wanted} {first} {last}");
                        short += i32::from(last - first >= 32 && last - first <= 1023);
                    }
                }
            }
            wanted *= 1.000_713;
        }
        assert!(short > 10_000, "only {short} searches in blocks");
    }

    #[test]
    fn ties_go_to_the_first() {
        // Many divisors.
        let wanted = 720_720.0 * 64.0;
        assert_eq!(factor(wanted, 1500..=2500), (0.0, 1536));
    }
}
