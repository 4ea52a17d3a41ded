//! Functions of one byte.

/// Result for every byte.
pub type Table = [u8; 256];

/// Looks up as many bytes as both slices have.
pub fn look_up(table: &Table, from: &[u8], to: &mut [u8]) {
    #[cfg(target_arch = "x86_64")]
    if let Some(vbmi) = vbmi::Vbmi::detect() {
        return vbmi.look_up(table, from, to);
    }
    scalar(table, from, to);
}

fn scalar(table: &Table, from: &[u8], to: &mut [u8]) {
    for (t, &f) in to.iter_mut().zip(from) {
        *t = table[usize::from(f)];
    }
}

#[cfg(target_arch = "x86_64")]
mod vbmi {
    #![allow(unsafe_code)]

    use super::Table;
    use std::arch::is_x86_feature_detected as has;
    use std::arch::x86_64::*;

    /// Proof that the CPU permutes bytes of whole registers.
    #[derive(Clone, Copy)]
    pub struct Vbmi(());

    impl Vbmi {
        pub fn detect() -> Option<Vbmi> {
            let all = has!("avx512f") && has!("avx512bw") && has!("avx512vbmi");
            all.then_some(Vbmi(()))
        }

        pub fn look_up(self, table: &Table, from: &[u8], to: &mut [u8]) {
            // SAFETY: `self` is proof of all features.
            unsafe { compiled(table, from, to) }
        }
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
    fn compiled(table: &Table, from: &[u8], to: &mut [u8]) {
        let len = from.len().min(to.len());
        let (from, from_rest) = from[..len].as_chunks::<64>();
        let (to, to_rest) = to[..len].as_chunks_mut::<64>();
        // SAFETY: each load reads 64 of the table's 256 bytes.
        let quarter =
            |i: usize| unsafe { _mm512_loadu_si512(table[64 * i..64 * i + 64].as_ptr().cast()) };
        let [a, b, c, d] = [quarter(0), quarter(1), quarter(2), quarter(3)];
        for (to, from) in to.iter_mut().zip(from) {
            // SAFETY: the load reads the 64 bytes of `from`.
            let index = unsafe { _mm512_loadu_si512(from.as_ptr().cast()) };
            let low = _mm512_permutex2var_epi8(a, index, b);
            let high = _mm512_permutex2var_epi8(c, index, d);
            let found = _mm512_mask_blend_epi8(_mm512_movepi8_mask(index), low, high);
            // SAFETY: the store writes the 64 bytes of `to`.
            unsafe { _mm512_storeu_si512(to.as_mut_ptr().cast(), found) };
        }
        super::scalar(table, from_rest, to_rest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_byte_is_found(from in proptest::collection::vec(any::<u8>(), 0..300), start: u8) {
            let table: Table = std::array::from_fn(|i| (i as u8).wrapping_mul(7).wrapping_add(start));
            let mut to = vec![0; from.len()];
            look_up(&table, &from, &mut to);
            let expected: Vec<u8> = from.iter().map(|&f| table[usize::from(f)]).collect();
            prop_assert_eq!(to, expected);
        }
    }
}
