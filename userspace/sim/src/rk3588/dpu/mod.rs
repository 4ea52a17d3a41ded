//! The DPU: per-channel and element-wise stages, output converter, write DMA.

mod converters;
pub(crate) mod decode;
pub(crate) mod operands;
pub(crate) mod rdma;
pub(crate) mod stages;
pub(crate) mod table;
pub(crate) mod writer;

/// Right shift with rounding to nearest, ties to even.
pub(crate) fn round_shift(value: i64, shift: u32) -> i64 {
    if shift == 0 {
        return value;
    }
    if shift > 62 {
        return 0;
    }
    let floor = value >> shift;
    let rest = value & ((1 << shift) - 1);
    let half = 1i64 << (shift - 1);
    floor + i64::from(rest > half || (rest == half && floor & 1 == 1))
}

#[cfg(test)]
mod tests {
    use super::round_shift;

    #[test]
    fn ties_go_to_even_as_measured_on_a_sibling() {
        let halves = [1, 3, -1, -3].map(|v| round_shift(v * 16384, 15));
        assert_eq!(halves, [0, 2, 0, -2]);
        assert_eq!(round_shift(-5, 1), -2);
        assert_eq!(round_shift(i64::MIN / 4, 63), 0);
    }
}
