//! Clamps by moving the range and saturating.

use crate::npu::Range;

/// Offset to use instead of `zero`, and the saturating additions that must follow, so that the
/// result ends up clamped to `range` around the right zero point.
///
/// The converter saturates to int8. A clamp at another value is made by moving that value to the
/// end of int8, saturating, and moving it back: only additions that saturate, all of them proven.
pub fn clamp_shifts(zero: i32, Range { low, high }: Range) -> (i32, Vec<i32>) {
    match (low > -128, high < 127) {
        (false, false) => (zero, Vec::new()),
        (true, false) => (zero - (low + 128), vec![low + 128]),
        (false, true) => (zero + (127 - high), vec![high - 127]),
        (true, true) => (
            zero - (low + 128),
            vec![127 - (high - low - 128), high - 127],
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn saturate(x: i32) -> i32 {
        x.clamp(-128, 127)
    }

    #[test]
    fn shifted_saturation_clamps_like_a_clamp() {
        for zero in [-128, -100, -3, 0, 90, 127] {
            for range in [
                (-128, 127),
                (-100, 127),
                (-128, 5),
                (-3, 60),
                (0, 0),
                (127, 127),
            ] {
                let (low, high) = range;
                let (offset, shifts) = clamp_shifts(zero, Range { low, high });
                for acc in -600..600 {
                    let expected = (acc + zero).clamp(low, high);
                    let mut value = saturate(acc + offset);
                    for shift in &shifts {
                        value = saturate(value + shift);
                    }
                    assert_eq!(value, expected, "{acc} + {zero} in {range:?}");
                }
            }
        }
    }
}
